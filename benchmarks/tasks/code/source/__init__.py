"""From a tree of Python files to syntax graphs."""
