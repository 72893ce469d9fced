"""Faults of sessions and open feeds: tokens that end, feeds that stall or are closed."""

from __future__ import annotations

from tplus_trio.arguments import check_count, check_number
from tplus_trio.testing.exchange.faults.fault_group import FaultGroup, FaultTargets
from tplus_trio.testing.exchange.faults.pending_faults import path_prefix
from tplus_trio.users.user import User

__all__ = ["SessionFaults"]


class SessionFaults(FaultGroup):
    """Ended tokens, stalled and closed feeds; part of :class:`~tplus_trio.testing.Faults`."""

    def __init__(self, targets: FaultTargets) -> None:
        super().__init__(targets)
        self._on_clear("stall_feed", targets.hub.end_stalls)

    def expire_tokens(self) -> None:
        """Make every token invalid now."""
        self._targets.accounts.expire_all()

    def revoke_tokens(self, code: int = 1008) -> None:
        """Make every token invalid now, and report it only in close frames.

        Feeds that were opened with a token are closed with ``code``. A later handshake with a revoked token is
        answered 101 and then closed with ``code``; a request with one is refused (401). A new sign-in helps.

        Args:
            code: The close code that the server sends, from 1000 to 4999, such as 1008, 3000, 4401 or 4403.

        Raises:
            TypeError: ``code`` is not an integer.
            ValueError: ``code`` is out of range.
        """
        _check_close_code(code)
        self._targets.accounts.revoke_all(code)
        for subscription in self._targets.hub.matching():
            if subscription.user is not None:
                subscription.close(code, "token revoked")

    def end_sessions(self, user: User | str | None = None, code: int = 1008) -> None:
        """Make the tokens of a user, or of all users, invalid now, and close what was opened with them.

        Feeds and control channels are closed with ``code``. A later request or handshake with such a token is refused
        (401). A new sign-in helps.

        Args:
            user: The user, or the user's public key; None is all users.
            code: The close code that the server sends, from 1000 to 4999.

        Raises:
            TypeError: ``code`` is not an integer.
            ValueError: ``code`` is out of range.
        """
        _check_close_code(code)
        key = user.public_key if isinstance(user, User) else user
        self._targets.accounts.end_sessions(key)
        for subscription in self._targets.hub.matching():
            if subscription.user is not None and key in (None, subscription.user):
                subscription.close(code, "session ended")

    def stall_feed(self, path: str, seconds: float) -> None:
        """Hold back all messages on paths that begin with ``path``; send them afterwards, in order.

        Pings are still answered, so the client sees only silence.

        Args:
            path: The prefix of the paths; ``""`` is all paths.
            seconds: How long, on trio's clock, real or virtual; 0 ends a stall.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: ``seconds`` is negative or infinite, or ``path`` does not begin with ``/``.
            RuntimeError: The call was made outside trio.
        """
        self._targets.hub.stall(path_prefix(path), check_number("seconds", seconds, finite=True))

    def close_streams(self, path: str = "", code: int = 1012, reason: str = "") -> None:
        """Close all feeds on paths that begin with ``path`` with a close frame, after their waiting messages.

        Args:
            path: The prefix of the paths; ``""`` is all paths.
            code: The close code, from 1000 to 4999.
            reason: The text of the close frame.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: ``code`` is out of range, or ``path`` does not begin with ``/``.
        """
        _check_close_code(code)
        for subscription in self._targets.hub.matching(path_prefix(path)):
            subscription.close(code, reason)


def _check_close_code(code: int) -> None:
    if not 1000 <= check_count("code", code) <= 4999:
        raise ValueError(f"code is a close code, from 1000 to 4999, not {code}")
