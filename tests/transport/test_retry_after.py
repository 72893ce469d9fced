"""`Retry-After`: seconds, dates in all forms, several values, and clocks that differ."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from tests.helpers.world import ASSET, open_world
from tplus_trio import RateLimitError
from tplus_trio.transport.retry_after import retry_after

NOW = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 0.25 ", 0.25),
        ("0", 0.0),
        ("Sun, 06 Nov 1994 08:50:37 GMT", 60.0),
        ("Sunday, 06-Nov-94 08:50:37 GMT", 60.0),
        ("Sun Nov  6 08:50:37 1994", 60.0),
        ("Sun Nov 16 08:49:37 1994", 864_000.0),
        ("Sun, 06 Nov 1994 08:50:37 -0000", 60.0),
        ("Sun, 06 Nov 1994 08:50:37 +0000", 60.0),
        ("sun, 06 nov 1994 08:50:37 gmt", 60.0),
        ("Sun, 06 Nov 1994 08:48:37 GMT", 0.0),
        ("Sun, 06 Nov 1994 08:50:60 GMT", 82.0),
        # RFC 9110: more than 50 years ahead means the century before.
        ("Sunday, 06-Nov-40 08:49:37 GMT", 0.0),
        ("5, 9", 9.0),
        ("5, Sun, 06 Nov 1994 08:50:37 GMT", 60.0),
        ("Sun, 06 Nov 1994 08:49:38 GMT, 120", 120.0),
        ("Sun, 06 Nov 1994 08:49:38 GMT, Sunday, 06-Nov-94 08:49:40 GMT", 3.0),
        ("soon, 3", 3.0),
        *((nonsense, None) for nonsense in ("", "soon", "-5", "1e9", "inf", "nan", "٣", "9" * 400, "1" * 2000)),
        ("Sun, 31 Feb 1994 08:50:37 GMT", None),
        ("Sun, 06 Nov 1994 25:50:37 GMT", None),
        ("Sun, 06 Nov 1994 08:50:37 +0200", None),
        ("Sun, 06 Nov 0000 08:50:37 GMT", None),
    ],
)
def test_a_header_is_parsed_into_seconds(value: str, seconds: float | None) -> None:
    assert retry_after(value, date=NOW) == seconds


@pytest.mark.parametrize("date", [None, "", "yesterday"])
@pytest.mark.parametrize("form", ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"])
def test_without_a_date_of_the_answer_the_clock_here_counts(form: str, date: str | None) -> None:
    wait = retry_after((datetime.now(UTC) + timedelta(seconds=90)).strftime(form), date=date)
    assert wait == pytest.approx(90, abs=5)


@given(st.text(max_size=60), st.none() | st.text(max_size=60))
def test_any_text_is_a_wait_or_none(value: str, date: str | None) -> None:
    wait = retry_after(value, date=date)
    assert wait is None or wait >= 0


@pytest.mark.parametrize("path", ["/nonce", "/auth", "/market", "/orders/create", "/orders/cancel", "/orders/user"])
async def test_an_error_says_how_long_to_wait_whichever_request_met_it(path: str, autojump_clock: MockClock) -> None:
    async with open_world() as world:
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "/market": lambda: world.oms.get_market(ASSET),
            "/orders/create": lambda: world.oms.create_limit_order(5, 900, "Buy", asset_id=ASSET),
            "/orders/cancel": lambda: world.oms.cancel_order("mine", ASSET),
        }
        world.exchange.faults.fail_requests(path, 429, retry_after=2.5)
        with pytest.raises(RateLimitError) as caught:
            await calls.get(path, world.oms.get_user_orders)()
        assert caught.value.retry_after == 2.5


async def test_a_batch_that_is_refused_says_how_long_to_wait(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        _, order = await world.oms.prepare_limit_order_request(ASSET, 900, 5, "Buy", None, None)
        replacement = await world.oms.prepare_replace_order_request("mine", ASSET, 5, 901)
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "/orders/batch-create": partial(world.oms.send_multiple_orders, [order]),
            "/orders/batch-replace": partial(world.oms.replace_multiple_orders, [replacement]),
        }
        for path, call in calls.items():
            world.exchange.faults.fail_requests(path, 429, retry_after=2.5)
            with pytest.raises(RateLimitError) as caught:
                await call()
            assert caught.value.retry_after == 2.5
            await trio.sleep(10)
