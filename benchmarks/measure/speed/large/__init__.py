"""Training on one large graph."""
