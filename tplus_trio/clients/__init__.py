"""The clients: a method for each endpoint, and no mechanism."""
