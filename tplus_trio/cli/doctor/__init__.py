"""``tplus-trio doctor``: finds out why a service cannot be used."""
