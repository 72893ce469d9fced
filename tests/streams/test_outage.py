"""What is said of an outage: where it can be read, what it began with, and when it is over."""

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
    ServerError,
    StreamState,
)
from tplus_trio.testing import MemoryNetwork, Response

LOGGER = "tplus_trio.streams"


def said(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
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
            assert len(said(caplog, logging.WARNING)) == outage, "one for each outage"
            assert isinstance(book.last_error, ConnectionFailed)
            await trio.sleep(100)
            assert len(said(caplog, logging.INFO)) == outage
            assert book.last_error is None
    warning, info = said(caplog, logging.WARNING)[0], said(caplog, logging.INFO)[0]
    assert warning.startswith("/marketdepth/diff/200: the connection was lost")
    assert "; trying again in 0.25 s" in warning
    assert "live again after" in info
    assert "failures" in info
    assert len(said(caplog, logging.DEBUG)) > 3


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
            assert len(said(caplog, logging.WARNING)) == 1
            assert book.last_error is not None
            with pytest.raises(BookNotSynced, match="it is asking for a snapshot, since: ") as caught:
                book.snapshot()
            assert caught.value.__cause__ is book.last_error


async def test_a_removed_market_ends_its_streams_with_one_warning_each(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async with open_world() as world, world.md.open_book(ASSET) as book, world.md.stream_depth(ASSET) as depth:
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
            sorted(text.partition(":")[0] for text in said(caplog, logging.WARNING))
            == ["/marketdepth/diff/200 failed for good"] * 2
        )
        with pytest.raises(BookNotSynced, match="failed for good: "):
            book.snapshot()


async def test_a_book_that_was_not_entered_refuses_every_use(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        book = world.md.open_book(ASSET)
        assert not book.is_synced
        for use in (
            lambda: book.best_bid,
            lambda: book.spread,
            lambda: book.bids(1),
            lambda: book.sequence_number,
            book.snapshot,
            book.changes,
        ):
            with pytest.raises(RuntimeError, match=r"was not entered: `async with"):
                use()
        with pytest.raises(RuntimeError, match="was not entered"):
            await book.wait_synced()
        async with book:
            await book.wait_synced()
            assert (await book.wait_for(lambda change: change.best_bid is not None)).best_bid == book.best_bid
        with pytest.raises(BookNotSynced, match="its context was left"):
            book.snapshot()


async def test_wait_live_waits_for_a_stream_that_is_entered_later(autojump_clock: MockClock) -> None:
    async with open_world() as world, trio.open_nursery() as nursery:
        stream = world.md.stream_depth(ASSET)
        nursery.start_soon(stream.wait_live)
        await trio.sleep(1)
        async with stream:
            await trio.sleep(1)
            assert not nursery.child_tasks


async def test_the_repr_has_the_feed_the_state_and_the_last_error(autojump_clock: MockClock) -> None:
    async with open_world() as world, world.md.stream_depth(ASSET) as stream, world.md.open_book(ASSET) as book:
        await book.wait_synced()
        await stream.wait_live()
        assert repr(stream) == "<Stream /marketdepth/diff/200 live>"
        assert repr(book) == "<LiveBook /marketdepth/diff/200 live>"
        world.network.reset_connections()
        world.network.partition(60, refuse=True)
        await trio.sleep(30)
        assert repr(stream).startswith("<Stream /marketdepth/diff/200 backoff: ConnectionFailed(")


async def test_a_call_on_a_closed_client_raises_an_error_of_this_package(autojump_clock: MockClock) -> None:
    async with MemoryNetwork() as network:
        async with MarketDataClient(URL, connector=network) as md:
            pass
        with pytest.raises(RuntimeError, match="the client was closed: its `async with` block was left"):
            await md.get_tickers()


async def test_last_error_keeps_no_stack_frames(autojump_clock: MockClock) -> None:
    class Failing:
        async def connect(self, host: str, port: int) -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            raise OSError("no way")

    async with MarketDataClient(URL, connector=Failing()) as md, md.stream_ticker(ASSET) as stream:
        await trio.sleep(0.1)
        assert isinstance(stream.last_error, ConnectionFailed)
        assert isinstance(stream.last_error.__cause__, OSError)
        assert stream.last_error.__traceback__ is None
        assert stream.last_error.__cause__.__traceback__ is None


async def test_an_error_page_is_logged_on_one_line(autojump_clock: MockClock) -> None:
    page = b"<html>\n<head><title>503 Service\nTemporarily Unavailable</title></head>\n<body>" + b"x" * 5000
    async with open_world() as world:
        world.exchange.faults.answer_requests("/tickers", Response(503, page, (("content-type", "text/html"),)))
        with pytest.raises(ServerError) as caught:
            await world.md.get_tickers()
        assert caught.value.message == "503 Service Temporarily Unavailable"
