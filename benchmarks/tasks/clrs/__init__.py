"""The CLRS algorithmic reasoning benchmark."""
