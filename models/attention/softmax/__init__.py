"""Softmax and linear attention, with rotations and masks."""
