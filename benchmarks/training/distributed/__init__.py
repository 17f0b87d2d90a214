"""Training on several devices that agree with one."""
