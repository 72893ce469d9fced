"""Bytes in and out: the connector, REST over it, WebSockets over it."""
