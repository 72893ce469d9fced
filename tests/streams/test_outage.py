"""Log lines and `last_error` of an outage: when it begins, how it began, and when it is over."""

from __future__ import annotations

import logging

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock

from tests.helpers.world import ASSET, SNAPSHOT, URL, open_world
from tplus_trio import (
    BookNotSynced,
    ConnectionFailed,
    MarketDataClient,
    NotFoundError,
    OrderBook,
    StreamState,
)
from tplus_trio.testing import Response

LOGGER = "tplus_trio.streams"


def messages(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == LOGGER and record.levelno == level]


async def test_an_outage_logs_a_warning_and_its_end_an_info(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    async with open_world() as world, world.md.open_book(ASSET) as book:
        await book.wait_synced()
        assert book.last_error is None
        for outage in (1, 2):
            world.network.reset_connections()
            world.network.partition(60, refuse=True)
            await trio.sleep(50)
            assert len(messages(caplog, logging.WARNING)) == outage, "one warning for each outage"
            assert isinstance(book.last_error, ConnectionFailed)
            await trio.sleep(100)
            assert len(messages(caplog, logging.INFO)) == outage
            assert book.last_error is None
    warning, info = messages(caplog, logging.WARNING)[0], messages(caplog, logging.INFO)[0]
    assert warning.startswith("/marketdepth/diff/200: the connection was lost")
    assert "; trying again in 0.25 s" in warning
    assert "live again after" in info
    assert "failures" in info
    assert len(messages(caplog, logging.DEBUG)) > 3


@pytest.mark.parametrize("answer", ["503", "gzip", "a null side", "a negative price", "no answer"])
async def test_repeated_snapshot_failures_log_one_warning_and_reach_the_caller(
    answer: str, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async with open_world(timeout=2.0) as world:
        faults = world.exchange.faults
        if answer == "503":
            faults.fail_requests(SNAPSHOT, 503, 10**6)
        elif answer == "no answer":
            faults.delay_requests(SNAPSHOT, 100.0, 10**6)
        else:
            bodies = {
                "gzip": b"\x1f\x8b",
                "a null side": b'{"asks":null,"bids":[],"sequence_number":1}',
                "a negative price": b'{"asks":[["-1","1"]],"bids":[],"sequence_number":1}',
            }
            headers = (("content-encoding", "gzip"),) if answer == "gzip" else ()
            faults.answer_requests(SNAPSHOT, Response(200, bodies[answer], headers), 10**6)
        async with world.md.open_book(ASSET) as book:
            await trio.sleep(600)
            assert len(messages(caplog, logging.WARNING)) == 1
            assert book.last_error is not None
            with pytest.raises(BookNotSynced, match="it is asking for a snapshot, since: ") as caught:
                book.snapshot()
            assert caught.value.__cause__ is book.last_error


async def test_a_removed_market_ends_its_streams_with_one_warning_each(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async with (
        open_world() as world,
        world.md.open_book(ASSET) as book,
        world.md.stream_depth(ASSET, share=False) as depth,
    ):
        await book.wait_synced()
        assert isinstance(await depth.receive(), OrderBook)
        world.exchange.faults.fail_requests(SNAPSHOT, 404, 10)
        book.resync()
        world.exchange.faults.reject_handshakes(10, 404, path="/marketdepth")
        depth.reconnect()
        await trio.sleep(10)
        assert book.state is depth.state is StreamState.CLOSED
        assert isinstance(book.last_error, NotFoundError)
        assert (
            sorted(text.partition(":")[0] for text in messages(caplog, logging.WARNING))
            == ["/marketdepth/diff/200 failed for good"] * 2
        )
        with pytest.raises(BookNotSynced, match="failed for good: "):
            book.snapshot()


async def test_last_error_keeps_no_stack_frames(autojump_clock: MockClock) -> None:
    class Failing:
        async def connect(self, host: str, port: int) -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            raise OSError("refused")

    async with MarketDataClient(URL, connector=Failing()) as md, md.stream_ticker(ASSET) as stream:
        await trio.sleep(0.1)
        assert isinstance(stream.last_error, ConnectionFailed)
        assert isinstance(stream.last_error.__cause__, OSError)
        assert stream.last_error.__traceback__ is None
        assert stream.last_error.__cause__.__traceback__ is None
