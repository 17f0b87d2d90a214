"""Pictures of encodings on their graphs."""
