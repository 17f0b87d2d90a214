"""Encodings, models and tasks from their text form."""
