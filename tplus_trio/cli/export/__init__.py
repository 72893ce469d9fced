"""``tplus-trio export``: makes a table of a tape."""
