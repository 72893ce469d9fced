"""REST over any stream: answers that are too large, too slow or malformed, and connections that are used again."""

from __future__ import annotations

import gzip
import random
from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.peers import Handler, answer, answers, listening, read_head
from tests.helpers.world import open_world
from tplus_trio import (
    ApiError,
    ConnectionFailed,
    DecodeError,
    MarketDataClient,
    NotFoundError,
    OrderBookClient,
    OrderFateUnknown,
    RateLimitError,
    ServerError,
    TplusError,
    User,
)
from tplus_trio.testing import MemoryNetwork, Response

BOOK = b'{"asks":[["2","1"]],"bids":[["1","1"]],"sequence_number":7}'


async def failure_of(handler: Handler, **options: float) -> TplusError:
    """Return the error of a request to this server. No connection may remain open."""
    async with (
        MemoryNetwork(handler=handler) as network,
        MarketDataClient("http://exchange", connector=network, **options) as md,  # type: ignore[arg-type]  # numbers
    ):
        with pytest.raises(TplusError) as caught:
            await md.get_orderbook_snapshot(200)
        assert network.open_connections == 0
    return caught.value


async def test_rest_goes_through_the_connector(autojump_clock: MockClock) -> None:
    asked: list[tuple[str, int]] = []

    class Connector:
        async def connect(self, host: str, port: int) -> trio.abc.Stream:
            asked.append((host, port))
            return await network.connect(host, port)

    async with MemoryNetwork() as network:
        network.exchange.add_market(200)
        for url in ("http://Example.test", "http://example.test:81/", "http://[::1]:82", "http://[::1]"):
            async with MarketDataClient(url, connector=Connector()) as md:
                await md.get_orderbook_snapshot(200)
                async with md.stream_tickers() as stream:
                    await stream.wait_live()
    assert asked == [
        *[("example.test", 80)] * 2,
        *[("example.test", 81)] * 2,
        *[("::1", 82)] * 2,
        *[("::1", 80)] * 2,
    ]


async def test_heads_say_who_is_asked(autojump_clock: MockClock) -> None:
    heads: list[bytes] = []

    async def handler(stream: trio.abc.Stream) -> None:
        heads.append(await read_head(stream))
        await stream.send_all(answer(404))

    async with MemoryNetwork(handler=handler) as network:
        headers = {"X-Mine": "yes", "ORIGIN": "http://ex.test:81"}
        md = MarketDataClient("http://ex.test:81/v1/", connector=network, headers=headers, restart=None)
        async with md:
            with pytest.raises(NotFoundError):
                await md.get_trades_for_asset(200, page=1, limit=5)
            with pytest.raises(TplusError):
                await md.stream_tickers().receive()
    rest, websocket = (head.lower() for head in heads)
    assert rest.startswith(b"get /v1/trades/200?page=1&limit=5 http/1.1\r\n")
    assert websocket.startswith(b"get /v1/tickers/ws http/1.1\r\n")
    assert b"origin: http://ex.test:81\r\n" in websocket
    assert b"sec-websocket-extensions" not in websocket
    for head in (rest, websocket):
        names = [line.partition(b":")[0] for line in head.split(b"\r\n")[1:]]
        assert names.count(b"origin") <= 1
        assert b"\r\nhost: ex.test:81\r\n" in head
        assert b"\r\nx-mine: yes\r\n" in head
        assert b"gzip" not in head


@pytest.mark.parametrize(
    ("status", "body", "kind", "code", "message"),
    [
        (400, b'{"error":{"code":"BAD","message":"no"}}', ApiError, "BAD", "no"),
        (404, b'{"error":"gone"}', NotFoundError, "UNKNOWN", "gone"),
        (429, b"slow down", RateLimitError, "UNKNOWN", "slow down"),
        (500, b"\xff\xfe", ServerError, "UNKNOWN", "\ufffd\ufffd"),
        (503, b"", ServerError, "UNKNOWN", ""),
        (502, b"<html><title>Bad\n  Gateway</title>" + b"x" * 100_000, ServerError, "UNKNOWN", "Bad Gateway"),
        (500, b"[" * 100_000, ServerError, "UNKNOWN", "[[["),
        (418, b'{"error":{"code":5,"message":["x"],"details":7,"retryable":"no"}}', ApiError, "5", "['x']"),
    ],
)
async def test_errors_are_typed(
    status: int, body: bytes, kind: type[ApiError], code: str, message: str, autojump_clock: MockClock
) -> None:
    error = await failure_of(answers(answer(status, body, "Retry-After: 3", "Connection: close")))
    assert type(error) is kind
    assert isinstance(error, ApiError)
    assert (error.status, error.code, error.retry_after) == (status, code, 3.0)
    assert error.message.startswith(message)
    assert len(str(error)) < 600


async def test_a_redirect_is_not_followed(autojump_clock: MockClock) -> None:
    async with MemoryNetwork(handler=answers(answer(302, b"", "Location: http://elsewhere/"))) as network:
        async with MarketDataClient("http://exchange", connector=network) as md:
            with pytest.raises(ApiError, match="redirect") as caught:
                await md.get_orderbook_snapshot(200)
            assert caught.value.status == 302
        assert network.connects == 1


# Size.


@pytest.mark.parametrize("how", ["length", "chunked", "to the end", "in the head", "after the answer"])
async def test_an_answer_beyond_the_limit_is_cut_off(how: str, autojump_clock: MockClock) -> None:
    limit, sent = 1_000_000, 0

    async def handler(stream: trio.abc.Stream) -> None:
        nonlocal sent
        await read_head(stream)
        heads = {
            "length": b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n",
            "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "to the end": b"HTTP/1.1 200 OK\r\n\r\n",
            "in the head": b"HTTP/1.1 200 OK\r\n",
            "after the answer": b"HTTP/1.1 100 Continue\r\n\r\n",
        }
        pieces = {"chunked": b"2710\r\n" + b"x" * 10_000 + b"\r\n", "in the head": b"A: " + b"x" * 9000 + b"\r\n"}
        piece = pieces.get(how, heads[how] * 400 if how == "after the answer" else b"x" * 10_000)
        with suppress(trio.BrokenResourceError):
            await stream.send_all(heads[how])
            while sent < 100_000_000:
                await stream.send_all(piece)
                sent += len(piece)

    error = await failure_of(handler, max_message_size=limit)
    assert isinstance(error, DecodeError | ConnectionFailed)
    assert sent < 2 * limit
    assert trio.current_time() < 1


async def test_an_encoded_answer_is_refused(autojump_clock: MockClock) -> None:
    bomb = gzip.compress(b"[" + b" " * 50_000_000 + b"]")
    for coding in ("gzip", "deflate", "br", "GZIP", "identity, gzip"):
        error = await failure_of(answers(answer(200, bomb, f"Content-Encoding: {coding}")))
        assert isinstance(error, DecodeError)
        assert "encoding" in str(error)


async def test_a_chunked_answer_is_put_together(autojump_clock: MockClock) -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(BOOK[i : i + 7]), BOOK[i : i + 7]) for i in range(0, len(BOOK), 7))
    whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    async with (
        MemoryNetwork(handler=answers(whole)) as network,
        MarketDataClient("http://exchange", connector=network) as md,
    ):
        assert (await md.get_orderbook_snapshot(200)).sequence_number == 7


# Time.


@pytest.mark.parametrize("how", ["silent", "drip head", "drip body", "no connection", "reads nothing"])
async def test_the_timeout_is_for_the_whole_request(how: str, autojump_clock: MockClock) -> None:
    async def handler(stream: trio.abc.Stream) -> None:
        if how == "reads nothing":
            await trio.sleep_forever()
        await read_head(stream)
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n"
        data = {"drip head": b"A: b\r\n", "drip body": b"x"}.get(how)
        with suppress(trio.BrokenResourceError):
            if data is None:
                while await stream.receive_some():
                    pass
                return
            await stream.send_all(head + (b"\r\n" if how == "drip body" else b""))
            while True:
                await trio.sleep(0.5)
                await stream.send_all(data)

    async with MemoryNetwork(handler=handler, capacity=10) as network:
        if how == "no connection":
            network.partition(1000)
        async with MarketDataClient("http://exchange", connector=network, timeout=3.0) as md:
            with pytest.raises(ConnectionFailed, match="not answered within 3 s"):
                await md.get_orderbook_snapshot(200)
            assert trio.current_time() == pytest.approx(3.0)
            assert network.open_connections == 0


# Connections.


NO_ANSWERS = {
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 O",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
    "half a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{",
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "binary": bytes(range(256)) * 4,
    "an illegal length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
    "another version": b"HTTP/2.0 200 OK\r\n\r\n",
    "a switch": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: upgrade\r\n\r\n",
}


@pytest.mark.parametrize("data", NO_ANSWERS.values(), ids=NO_ANSWERS.keys())
async def test_a_malformed_answer_is_a_typed_failure(data: bytes, autojump_clock: MockClock) -> None:
    error = await failure_of(answers(data))
    assert isinstance(error, ConnectionFailed | ApiError | DecodeError)
    assert trio.current_time() < 1


async def test_a_lost_connection_keeps_its_cause(autojump_clock: MockClock) -> None:
    async def handler(stream: trio.abc.Stream) -> None:
        await read_head(stream)
        network.reset_connections()

    async with MemoryNetwork(handler=handler) as network, MarketDataClient("http://exchange", connector=network) as md:
        with pytest.raises(ConnectionFailed) as caught:
            await md.get_orderbook_snapshot(200)
        assert caught.value.__cause__ is not None
        network.refuse()
        with pytest.raises(ConnectionFailed) as caught:
            await md.get_orderbook_snapshot(200)
        assert isinstance(caught.value.__cause__, ConnectionRefusedError)


@pytest.mark.parametrize("how", ["closed", "reset", "says something more"])
async def test_a_stale_connection_is_not_used_again(how: str, autojump_clock: MockClock) -> None:
    """A server may close an idle connection at any time. The next request must not fail because of it."""

    async def handler(stream: trio.abc.Stream) -> None:
        await read_head(stream)
        await stream.send_all(answer(200, BOOK))
        await trio.sleep(1)
        if how == "reset":
            network.reset_connections()
        if how == "says something more":
            await stream.send_all(b"HTTP/1.1 408 Too late\r\nContent-Length: 0\r\n\r\n")
            await trio.sleep(100)

    async with MemoryNetwork(handler=handler) as network:
        async with MarketDataClient("http://exchange", connector=network) as md:
            for _ in range(3):
                assert (await md.get_orderbook_snapshot(200)).sequence_number == 7
                await trio.sleep(2)
        assert network.connects == 3
        assert network.open_connections == 0


async def test_a_stale_tcp_connection_is_not_used_again() -> None:
    async def handler(stream: trio.abc.Stream) -> None:
        await read_head(stream)
        await stream.send_all(answer(200, BOOK))

    async with listening(handler) as port, MarketDataClient(f"http://127.0.0.1:{port}") as md:
        for _ in range(3):
            assert (await md.get_orderbook_snapshot(200)).sequence_number == 7
            await trio.sleep(0.02)


async def test_a_connection_is_kept_and_used_again(autojump_clock: MockClock) -> None:
    async with MemoryNetwork() as network:
        network.exchange.add_market(200)
        # The bytes of a connection in total may exceed the limit of one answer.
        async with MarketDataClient("http://exchange", connector=network, max_message_size=1000) as md:
            for _ in range(20):
                await md.get_orderbook_snapshot(200)
            with pytest.raises(NotFoundError):
                await md.get_orderbook_snapshot(201)
            await md.get_orderbook_snapshot(200)
            assert network.connects == 1
        assert network.open_connections == 0


async def test_a_cancelled_request_leaves_nothing_and_the_client_works_on(autojump_clock: MockClock) -> None:
    async with MemoryNetwork(latency=0.5) as network:
        network.exchange.add_market(200)
        async with MarketDataClient("http://exchange", connector=network) as md:
            for patience in (0.2, 0.9, 1.2, 1.9):
                with trio.move_on_after(patience) as scope:
                    await md.get_orderbook_snapshot(200)
                assert scope.cancelled_caught
                assert network.open_connections == 0
            await md.get_orderbook_snapshot(200)


@pytest.mark.parametrize("seed", range(3))
async def test_two_hundred_requests_some_of_them_cancelled(seed: int, autojump_clock: MockClock) -> None:
    rng = random.Random(seed)

    async def ask() -> None:
        with trio.move_on_after(rng.uniform(0, 3)):
            await trio.sleep(rng.uniform(0, 2))
            await md.get_orderbook_snapshot(200)

    async with MemoryNetwork(latency=(0.0, 0.2), seed=seed) as network:
        network.exchange.add_market(200)
        async with MarketDataClient("http://exchange", connector=network) as md:
            async with trio.open_nursery() as nursery:
                for _ in range(200):
                    nursery.start_soon(ask)
            assert network.open_connections <= 8  # the connections that are kept
            async with trio.open_nursery() as nursery:
                for _ in range(100):
                    nursery.start_soon(md.get_orderbook_snapshot, 200)
        assert network.open_connections == 0


async def test_an_order_is_not_sent_twice_over_a_lost_connection(autojump_clock: MockClock) -> None:
    async with MemoryNetwork() as network:
        network.exchange.add_market(200)
        async with OrderBookClient("http://exchange", default_user=User(), connector=network) as oms:
            await oms.get_market(200)
            network.exchange.faults.answer_requests("/orders/create", Response(200, b"{}"))
            network.exchange.faults.delay_requests("/orders/create", 5)

            async def cut() -> None:
                await trio.sleep(1)
                network.reset_connections()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(cut)
                with pytest.raises(OrderFateUnknown):
                    await oms.create_limit_order(1, 1, "Buy", asset_id=200)
            assert network.exchange.requests["POST", "/orders/create"] == 1


async def test_an_error_page_is_shown_as_its_title_on_one_line(autojump_clock: MockClock) -> None:
    page = b"<html>\n<head><title>503 Service\nTemporarily Unavailable</title></head>\n<body>" + b"x" * 5000
    async with open_world() as world:
        world.exchange.faults.answer_requests("/tickers", Response(503, page, (("content-type", "text/html"),)))
        with pytest.raises(ServerError) as caught:
            await world.md.get_tickers()
        assert caught.value.message == "503 Service Temporarily Unavailable"
