"""Values of which models are made."""

KEY = "ab" * 32
