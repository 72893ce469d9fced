"""Connections that end, stall or slow down; handshakes and requests that are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from tplus_trio.testing.wire_frames import TEXT, frame

from .settings import MOST_DELAY, MOST_REST_DELAY, MOST_RETRY_AFTER

if TYPE_CHECKING:
    from .faults import Fault, Injector

__all__ = ["CONNECTION_FAULTS"]


def drop(injector: Injector) -> None:
    """End every connection with a close."""
    injector.network.drop_connections()


def reset(injector: Injector) -> None:
    """End every connection with a reset."""
    injector.network.reset_connections()


async def reset_mid_frame(injector: Injector) -> None:
    """End every connection in the middle of a frame."""
    # The rest of the frame never arrives. The client reads later messages as its payload until the connection ends.
    injector.reference.disturbed(2 * injector.settings.most_latency + 0.01)
    injector.faults.send_wire(injector.draw_feed(), frame(TEXT, b"x" * 60_000)[: injector.rng.randrange(1, 2000)])
    try:
        await trio.sleep(2 * injector.settings.most_latency + 0.01)
    finally:
        # Also on cancellation, when the world calms down: the client notices half a frame without a reset only later.
        injector.network.reset_connections()


def stall(injector: Injector) -> None:
    """Stop every connection silently: nothing arrives, and nothing ends."""
    injector.reference.disturbed(injector.settings.notice)
    injector.network.stall()


def partition(injector: Injector) -> bool:
    """Cut off the network for a while; new connections get no answer."""
    return _partition(injector, refuse=False)


def partition_refusing(injector: Injector) -> bool:
    """Cut off the network for a while; new connections are refused."""
    return _partition(injector, refuse=True)


def _partition(injector: Injector, *, refuse: bool) -> bool:
    if trio.current_time() <= injector.partition_ends:
        return False
    seconds = injector.rng.uniform(0.1, injector.settings.most_partition)
    injector.partition_ends = trio.current_time() + seconds
    injector.reference.disturbed(seconds)
    injector.network.partition(seconds, refuse=refuse)
    return True


def refuse(injector: Injector) -> None:
    """Refuse the next connections."""
    injector.network.refuse(injector.draw_count())


async def delay(injector: Injector) -> None:
    """Delay all bytes for a while."""
    seconds = injector.rng.uniform(0.1, 5.0)
    injector.network.delay(injector.rng.uniform(0.0, MOST_DELAY))
    injector.reference.disturbed(seconds + MOST_DELAY)
    await trio.sleep(seconds)
    injector.network.delay(0.0)


def _reject(injector: Injector, status: int) -> None:
    after = float(injector.rng.randrange(1, MOST_RETRY_AFTER + 1)) if status == 429 else None
    injector.faults.reject_handshakes(injector.draw_count(), status, path=injector.draw_prefix(), retry_after=after)
    injector.network.reset_connections()


def _refuse_user(injector: Injector, status: int) -> bool:
    if not injector.private or not injector.may_refuse():
        return False
    injector.faults.reject_handshakes(1, status, path=injector.rng.choice(injector.private))
    injector.network.reset_connections()
    return True


def handshake_401(injector: Injector) -> bool:
    """Refuse a user's handshake with status 401."""
    return _refuse_user(injector, 401)


def handshake_403(injector: Injector) -> bool:
    """Refuse a user's handshake with status 403."""
    return _refuse_user(injector, 403)


def handshake_429(injector: Injector) -> None:
    """Refuse handshakes with status 429 and a delay."""
    _reject(injector, 429)


def handshake_500(injector: Injector) -> None:
    """Refuse handshakes with status 500."""
    _reject(injector, 500)


def handshake_503(injector: Injector) -> None:
    """Refuse handshakes with status 503."""
    _reject(injector, 503)


def rest_503(injector: Injector) -> None:
    """Fail requests with status 503."""
    injector.faults.fail_requests(injector.draw_prefix(), 503, injector.draw_count())


def rest_429(injector: Injector) -> None:
    """Fail requests with status 429."""
    injector.faults.fail_requests(injector.draw_prefix(), 429, injector.draw_count(), retry_after=1.0)


def sign_in_503(injector: Injector) -> None:
    """Fail requests of the sign-in with status 503."""
    injector.faults.fail_requests(injector.rng.choice(("/nonce/", "/auth")), 503, injector.draw_count())


def rest_delayed(injector: Injector) -> None:
    """Answer requests late, half the time after a reset."""
    injector.faults.delay_requests(
        injector.draw_prefix(), injector.rng.uniform(0.0, MOST_REST_DELAY), injector.draw_count()
    )
    if injector.rng.random() < 0.5:
        injector.network.reset_connections()


async def tokens_expired(injector: Injector) -> bool:
    """Let all tokens expire while callers sign in together."""
    if not injector.may_refuse():
        return False
    injector.faults.expire_tokens()
    await injector.sign_in()
    return True


def tokens_expired_and_reset(injector: Injector) -> bool:
    """Let all tokens expire and end every connection."""
    if not injector.may_refuse():
        return False
    injector.faults.expire_tokens()
    injector.network.reset_connections()
    return True


def close_frame(injector: Injector) -> None:
    """End streams with a close frame."""
    injector.faults.close_streams(
        injector.rng.choice(("", injector.draw_feed())), injector.rng.choice((1000, 1001, 1011, 1012))
    )


_FAULTS: Final[tuple[Fault, ...]] = (
    drop,
    reset,
    reset_mid_frame,
    stall,
    partition,
    partition_refusing,
    refuse,
    delay,
    handshake_401,
    handshake_403,
    handshake_429,
    handshake_500,
    handshake_503,
    rest_503,
    rest_429,
    sign_in_503,
    rest_delayed,
    tokens_expired,
    tokens_expired_and_reset,
    close_frame,
)
CONNECTION_FAULTS: Final[dict[str, Fault]] = {fault.__name__.replace("_", " "): fault for fault in _FAULTS}
