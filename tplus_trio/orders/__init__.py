"""Requests about orders: what is sent, and what became of it."""
