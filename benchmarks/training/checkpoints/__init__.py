"""What a run saves of itself, and reads again."""
