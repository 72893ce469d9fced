"""The sites of a network: the servers that hosts lead to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import trio.abc

__all__ = ["Handler", "Sites"]

#: A coroutine function that serves the far end of one connection.
Handler: TypeAlias = Callable[[trio.abc.Stream], Awaitable[object]]


class Sites:
    """The servers of a network by name, and the site of each host that was moved.

    Args:
        handler: The site ``""``: all hosts lead to it until they are moved.
    """

    def __init__(self, handler: Handler) -> None:
        self._handlers: dict[str, Handler] = {"": handler}
        #: The site of each host that was moved; ``""`` stands for all other hosts.
        self._moved: dict[str, str] = {}

    def add(self, name: str, handler: Handler) -> None:
        """Add a site.

        Raises:
            ValueError: The name is empty or taken.
        """
        if not name or name in self._handlers:
            raise ValueError(f"name is that of a new site, and not empty, not {name!r}")
        self._handlers[name] = handler

    def move(self, host: str, site: str) -> None:
        """Lead new connections to ``host`` to ``site``.

        Raises:
            ValueError: No site has this name.
        """
        if site not in self._handlers:
            raise ValueError(f"site is one of {sorted(self._handlers)}, not {site!r}; add it with add_site()")
        self._moved[host] = site

    def of(self, host: str) -> Handler:
        """Return the handler of the site that ``host`` leads to."""
        return self._handlers[self._moved.get(host, self._moved.get("", ""))]
