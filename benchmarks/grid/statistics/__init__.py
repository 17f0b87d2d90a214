"""What differences in a grid are worth: tests, effects with intervals, ranks over tasks, power. Nothing is rendered."""
