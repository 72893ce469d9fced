"""A fault that could never happen is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tplus_trio.testing import Exchange, Faults

IMPOSSIBLE: dict[str, Callable[[Faults], object]] = {
    "asset 999": lambda faults: faults.lose_diffs(999),
    "asset 998": lambda faults: faults.swap_diffs(998),
    "asset 997": lambda faults: faults.stale_snapshots(asset=997),
    "asset 996": lambda faults: faults.restart_sequence(996),
    "got 'ETH'": lambda faults: faults.number_by("ETH", 2),
    "n is at least 0, not -1": lambda faults: faults.lose_diffs(200, -1),
    "n is at least 0, not -2": lambda faults: faults.skip_sequence(200, -2),
    "n is at least 0, not -3": lambda faults: faults.repeat_diffs(200, -3),
    "n is a whole number, not str": lambda faults: faults.reject_handshakes("2"),  # type: ignore[arg-type]  # illegal on purpose
    "step is at least 1, not 0": lambda faults: faults.number_by(200, 0),
    "behind is at least 0": lambda faults: faults.stale_snapshots(1, -5),
    "path begins with '/'": lambda faults: faults.reject_handshakes(path="marketdepth"),
    "not 'trades'": lambda faults: faults.stall_feed("trades", 5),
    "not 'klines'": lambda faults: faults.close_streams("klines"),
    "path is that of a feed": lambda faults: faults.send_garbage("trades"),
    "not ''": lambda faults: faults.send_wire("", b""),
    "path is a str, not int": lambda faults: faults.fail_requests(503),  # type: ignore[arg-type]  # illegal on purpose
    "to 599, not 99": lambda faults: faults.reject_handshakes(1, 99),
    "to 599, not 600": lambda faults: faults.fail_requests("/trades", 600),
    "retry_after is at least 0": lambda faults: faults.fail_requests("/trades", 429, retry_after=-1),
    "seconds is at least 0": lambda faults: faults.delay_requests("/trades", -1),
    "response is a Response": lambda faults: faults.answer_requests("/trades", "[]"),  # type: ignore[arg-type]  # illegal on purpose
    "text is a str": lambda faults: faults.garble("/trades", text=b""),  # type: ignore[arg-type]  # illegal on purpose
    "pieces is at least 1": lambda faults: faults.fragment("/trades", pieces=0),
    "to 4999, not 5": lambda faults: faults.close_streams(code=5),
}


@pytest.mark.parametrize("reason", IMPOSSIBLE)
def test_a_fault_that_could_never_happen_is_refused(exchange: Exchange, reason: str) -> None:
    with pytest.raises((ValueError, TypeError), match=reason):
        IMPOSSIBLE[reason](exchange.faults)
