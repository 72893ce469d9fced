"""Streams: what a consumer iterates, the task behind it, and how each feed is made whole again."""
