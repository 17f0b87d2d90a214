"""Many graphs in flat tensors: to and from PyG, selection, loading."""
