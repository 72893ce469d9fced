"""The server: the exchange over HTTP and WebSocket, on any byte stream."""
