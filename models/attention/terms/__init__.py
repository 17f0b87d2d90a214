"""Terms of attention that depend on what nodes hold and how they are related; attention from positions alone."""
