"""Values that others published: read, and beside ours."""
