"""Speed measurements: each script prints both sides of a comparison made in one run."""
