"""``tplus-trio demo``: what the library does when connections are lost, data is missing, and a bot is killed."""
