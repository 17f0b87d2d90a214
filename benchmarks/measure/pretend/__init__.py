"""An accelerator that is pretended: its way through the code, with real numbers, and no GPU."""
