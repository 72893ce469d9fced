"""``tplus-trio order``: requests about orders of a stored user."""
