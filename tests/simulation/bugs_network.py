"""Bugs to plant in how a client keeps connections, limits, tokens and liveness, each found by one kind of world.

Each patch names its target as text, which is looked up when the bug is planted. The targets are those of the client
that keeps these promises: where a name has changed since, planting raises AttributeError, and the patch is to be
moved to the new name.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Final
from unittest import mock

__all__ = ["FOUND_BY", "NETWORK_BUGS"]


async def _nothing(*_arguments: object, **_options: object) -> None:
    """Stand in for a coroutine method that the bug leaves out."""


@contextmanager
def _idle_connections_kept() -> Generator[None]:
    """Idle REST connections are kept when a stream reconnects, and lead to the site that the name has left.

    Patches the pool's method that drops its idle connections.
    """
    with mock.patch("tplus_trio.transport.pool.ConnectionPool.retire", _nothing):
        yield


@contextmanager
def _rate_limit_not_shared() -> Generator[None]:
    """A 429 holds nobody but the request that it answered.

    Patches the method by which a limit learns of a refusal.
    """
    with mock.patch("tplus_trio.transport.pacing.RateLimit.refused"):
        yield


@contextmanager
def _token_kept_after_revoking_close() -> Generator[None]:
    """After a close frame that revokes the token, the same token is tried again.

    Patches the session's method that forgets a token.
    """
    with mock.patch("tplus_trio.auth.Session.revoke"):
        yield


@contextmanager
def _blocked_loop_is_silence() -> Generator[None]:
    """The time for which the loop was blocked counts as silence of the peer, and bytes in the pipe are not read first.

    Patches how many parts a silence is waited for in, and how many turns readers are given after it.
    """
    with (
        mock.patch("tplus_trio.transport.watched_stream.SLICES", 1),
        mock.patch("tplus_trio.transport.watched_stream._TURNS", 0),
    ):
        yield


#: By name.
NETWORK_BUGS: Final[dict[str, Callable[[], AbstractContextManager[None]]]] = {
    "idle-rest-connections-kept": _idle_connections_kept,
    "rate-limit-not-shared": _rate_limit_not_shared,
    "token-kept-after-revoking-close": _token_kept_after_revoking_close,
    "blocked-loop-is-silence": _blocked_loop_is_silence,
}
#: The kind of world that finds each.
FOUND_BY: Final = {
    "idle-rest-connections-kept": "moved",
    "rate-limit-not-shared": "limited",
    "token-kept-after-revoking-close": "revoked",
    "blocked-loop-is-silence": "blocked loop",
}
