"""Tasks on datasets of PyG's loaders."""
