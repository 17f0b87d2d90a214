"""What is made of the sizes of graphs on a device, as one kernel each: nothing waits for the host."""
