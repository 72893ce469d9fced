"""How many bytes are asked of a socket at a time, for every reader in this package."""

from __future__ import annotations

from typing import Final

__all__ = ["READ_SIZE"]

#: Bytes. A larger buffer saves no more system calls on loopback; a smaller one costs more of them in a burst.
READ_SIZE: Final = 64 * 1024
