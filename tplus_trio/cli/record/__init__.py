"""``tplus-trio record``: writes what a service sends to a tape."""
