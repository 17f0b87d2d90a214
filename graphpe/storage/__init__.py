"""A dataset, encoded, on disk: computed in parallel, resumable, checked when read."""
