"""One large operator: its products, bounds, and the problem that a solver is given."""
