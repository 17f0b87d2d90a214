"""What edges mean: adjacency, Laplacians, components, reachability."""
