"""``tplus-trio book --web``: a live book as a page in a browser."""
