"""Adapters that tell metrics libraries what a client does; each needs the extra of its name."""
