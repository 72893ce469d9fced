"""Bugs to plant in how a client treats connections, limits, tokens and liveness. One kind of world finds each.

Each patch names its target as text, which is looked up when the bug is planted. The targets are the functions of the
client that keep these promises: if a name has changed, planting raises AttributeError, and the patch has to be
changed to the new name.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Final
from unittest import mock

__all__ = ["FOUND_BY", "NETWORK_BUGS"]


async def _nothing(*_arguments: object, **_options: object) -> None:
    """Replaces a coroutine method by nothing."""


@contextmanager
def _idle_connections_kept() -> Generator[None]:
    """Idle REST connections are kept when a stream reconnects, and lead to the site that the name has left.

    Patches the pool's method that drops its idle connections.
    """
    with mock.patch("tplus_trio.transport.pool.ConnectionPool.retire", _nothing):
        yield


@contextmanager
def _rate_limit_not_shared() -> Generator[None]:
    """A 429 delays only the request that it answered.

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
    """Time in which the loop is blocked counts as silence of the peer, and waiting bytes are not read first.

    Patches the number of parts in which a silence is measured, and of scheduler steps that readers get after it.
    """
    with (
        mock.patch("tplus_trio.transport.watched_stream.SLICES", 1),
        mock.patch("tplus_trio.transport.watched_stream._TURNS", 0),
    ):
        yield


#: The bugs by name.
NETWORK_BUGS: Final[dict[str, Callable[[], AbstractContextManager[None]]]] = {
    "idle-rest-connections-kept": _idle_connections_kept,
    "rate-limit-not-shared": _rate_limit_not_shared,
    "token-kept-after-revoking-close": _token_kept_after_revoking_close,
    "blocked-loop-is-silence": _blocked_loop_is_silence,
}
#: The kind of world that finds each bug.
FOUND_BY: Final = {
    "idle-rest-connections-kept": "moved",
    "rate-limit-not-shared": "limited",
    "token-kept-after-revoking-close": "revoked",
    "blocked-loop-is-silence": "blocked loop",
}
