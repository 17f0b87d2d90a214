"""Attention on a GPU as Triton kernels over graphs of any sizes: nothing is padded, nothing waits for the device."""
