"""Values for models."""

KEY = "ab" * 32
