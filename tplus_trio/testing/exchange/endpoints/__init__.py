"""The endpoints: which request or handshake goes where, and what it is answered."""
