"""What users' files hold: separators, decimal commas, lists in cells, several files, rows that are skipped."""
