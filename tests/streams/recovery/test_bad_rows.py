"""A stream and a REST call deliver the good rows around bad ones."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.wire_texts import REAL_TRADE, TICKER
from tests.helpers.world import ASSET, open_world
from tplus_trio import DecodeError, PositionUpdate, Rows, Trade
from tplus_trio.cli.show import as_text
from tplus_trio.testing import Response


async def test_a_bad_item_does_not_drop_the_good_ones_of_its_frame(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.stream_tickers() as tickers:
        await tickers.wait_live()
        world.exchange.faults.send_text("/tickers/ws", f'[{TICKER},{{"asset_id":"200"}},{TICKER}]')
        with trio.fail_after(10):
            first, second = await tickers.receive(), await tickers.receive()
        assert first == second
        assert (tickers.stats.malformed, tickers.stats.connects) == (1, 1)


async def test_a_page_with_a_bad_row_is_a_page(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    async with open_world() as world:
        body = f"[{REAL_TRADE},{REAL_TRADE.replace('122519', 'null')}]".encode()
        calls: dict[str, Callable[[], Awaitable[Rows[Trade]]]] = {
            "/trades": world.md.get_trades,
            f"/trades/{ASSET}": partial(world.md.get_trades_for_asset, ASSET),
        }
        for path, call in calls.items():
            world.exchange.faults.answer_requests(path, Response(200, body))
            trades = await call()
            assert [trade.trade_id for trade in trades] == [122519]
            assert [bad.position for bad in trades.bad] == [1]
            assert f"{path}: 1 rows could not be read: row 1 is not a Trade" in caplog.text
            caplog.clear()
            world.exchange.faults.answer_requests(path, Response(200, b"[5]"))
            with pytest.raises(DecodeError, match=f"row 0 of {path} is not a Trade"):
                await call()


def test_small_numbers_are_written_out() -> None:
    text = as_text("positions", "", PositionUpdate("u", (), 5))
    assert text.endswith("user_id u  positions []  timestamp_ns 5")
