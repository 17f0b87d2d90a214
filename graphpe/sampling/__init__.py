"""Parts of one large graph: neighbours of some nodes, partitions, and what is induced on nodes."""
