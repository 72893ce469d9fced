"""Order requests: how they are sent, and how their answers are interpreted."""
