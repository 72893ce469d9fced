"""REST and sign-ins with hostile servers: each is a typed failure within the limits that its test names."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.hostile import URL, USER, Failed, Pouring, Recorder, failure_of, turns
from tests.helpers.peers import answer, answers, read_head
from tplus_trio import (
    ApiError,
    ConnectionFailed,
    DecodeError,
    MarketDataClient,
    OrderBookClient,
    OrderFateUnknown,
    TplusError,
)
from tplus_trio.testing import MemoryNetwork

REST = pytest.mark.parametrize("call", ["request", "sign-in", "sign-in of a stream"])

BOOK = b'{"asks":[["2","1"]],"bids":[["1","1"]],"sequence_number":7}'
OTHER = b'{"asks":[["9","9"]],"bids":[["8","8"]],"sequence_number":99}'
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LIMIT = 300_000


# Time: `timeout` (12 s here) covers the whole answer, however slowly it arrives.

SLOW = {
    "one byte": (b"", b"H"),
    "one byte of a status": (b"HTTP/1.1 2", b"0"),
    "one byte of a header": (b"HTTP/1.1 200 OK\r\nx: ", b"y"),
    "one chunk": (CHUNKED, b"1\r\n \r\n"),
    "an interim answer": (b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
}


@REST
@pytest.mark.parametrize("how", SLOW)
async def test_an_answer_that_dribbles_in_ends_in_time(how: str, call: str, autojump_clock: MockClock) -> None:
    head, piece = SLOW[how]
    failed = await failure_of(Pouring(head, piece, every=5.0), call, timeout=12.0)
    assert isinstance(failed.error, ConnectionFailed | DecodeError)
    assert failed.seconds <= 12.001


# Size: 100 KiB of one head, `max_message_size` (300 kB here) of everything, and one read of 64 KiB on top.

ENDLESS = {
    "a status line": (b"HTTP/1.1 200 ", b"O" * 4000, 200_000),
    "a header": (b"HTTP/1.1 200 OK\r\nx: ", b"y" * 4000, 200_000),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"x: y\r\n" * 600, 200_000),
    "a chunk's head": (CHUNKED + b"1;", b"y" * 4000, 200_000),
    "trailers": (CHUNKED + b"0\r\n", b"x: y\r\n" * 600, 200_000),
    "interim answers": (b"", b"HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\n" * 100, LIMIT),
    "chunks": (CHUNKED, b"fff\r\n" + b" " * 0xFFF + b"\r\n", LIMIT),
    "a body": (b"HTTP/1.1 200 OK\r\n\r\n", b" " * 4000, LIMIT),
    "a body of 100 MB": (b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n", b"[" * 4000, LIMIT),
    "a refusal": (b"HTTP/1.1 503 Wait\r\n\r\n", b"no" * 2000, LIMIT),
}


@REST
@pytest.mark.parametrize("how", ENDLESS)
async def test_an_answer_without_end_is_cut_off(how: str, call: str, autojump_clock: MockClock) -> None:
    head, piece, limit = ENDLESS[how]
    server = Pouring(head, piece)
    failed = await failure_of(server, call, max_message_size=LIMIT)
    assert isinstance(failed.error, ConnectionFailed | DecodeError)
    assert server.sent < limit + 3 * 65536
    assert failed.seconds < 1


async def test_an_answer_in_a_chunk_for_each_byte_lets_neighbours_run(autojump_clock: MockClock) -> None:
    """All chunks come from one read; another task runs between any two of them."""
    counted = [0]
    chunks = 10_000
    async with (
        MemoryNetwork(handler=answers(CHUNKED + b"1\r\n \r\n" * chunks + b"0\r\n\r\n")) as network,
        MarketDataClient(URL, connector=network) as md,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(turns, counted)
        with pytest.raises(DecodeError):
            await md.get_orderbook_snapshot(200)
        nursery.cancel_scope.cancel()
    assert counted[0] >= chunks


# Redirects: nothing is sent to another server, least of all credentials.

TARGETS = [
    "http://elsewhere/",
    "https://exchange/",
    "file:///etc/passwd",
    "/marketdepth/200",
    "http://exchange/",
    "//x",
    "",
]


async def redirected(status: int, target: str, call: str) -> Failed:
    body = b"<a>moved</a>"
    failed = await failure_of(answers(*[answer(status, body, f"Location: {target}")] * 3), call)
    assert {host for host, _ in failed.asked} == {"exchange"}
    assert len(failed.asked) == 1
    assert failed.seconds < 1
    return failed


@REST
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(status: int, target: str, call: str, autojump_clock: MockClock) -> None:
    failed = await redirected(status, target, call)
    assert isinstance(failed.error, ApiError)
    assert failed.error.status == status
    assert "redirect" in str(failed.error)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirected_order_is_sent_once_and_nowhere_else(status: int, autojump_clock: MockClock) -> None:
    requests: list[bytes] = []

    async def handler(stream: trio.abc.Stream) -> None:
        while head := await read_head(stream):
            requests.append(head.partition(b"\r\n")[0])
            if b"/nonce/" in requests[-1]:
                await stream.send_all(answer(200, b'{"value":"1"}'))
            elif b"/auth" in requests[-1]:
                await stream.send_all(answer(200, b'{"token":"secret","expiry_ns":9999999999999999999}'))
            elif b"/market/" in requests[-1]:
                market = b'{"asset_id":"200","book_price_decimals":0,"book_quantity_decimals":0}'
                await stream.send_all(answer(200, market))
            else:
                await stream.send_all(answer(status, b"", "Location: http://elsewhere/orders/create"))

    async with MemoryNetwork(handler=handler) as network:
        connector = Recorder(network)
        async with OrderBookClient(URL, default_user=USER, connector=connector) as oms:
            with pytest.raises(OrderFateUnknown, match="redirect"):
                await oms.create_limit_order(1, 1, "Buy", asset_id=200)
    assert [host for host, _ in connector.asked] == ["exchange"] * len(connector.asked)
    assert sum(b"/orders/create" in request for request in requests) == 1


# Malformed answers, and more than one answer.

NONSENSE = {
    "HTTP/0.9": BOOK,
    "204 with a body": b"HTTP/1.1 204 No Content\r\n\r\n" + BOOK,
    "304 with a body": b"HTTP/1.1 304 Not Modified\r\n\r\n" + BOOK,
    "a length of 30 digits": b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\n{}",
    "a length in words": b"HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n{}",
    "a length too large": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
    "a length too small": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" + BOOK,
    "a negative chunk": CHUNKED + b"-1\r\nx\r\n",
    "a chunk of 2**80": CHUNKED + b"f" * 20 + b"\r\nx\r\n",
    "a coding of the transfer": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a header of NUL": b"HTTP/1.1 200 OK\r\nx: \0\r\n\r\n",
    "a header without a name": b"HTTP/1.1 200 OK\r\n: x\r\n\r\n",
    "two codings": b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
    "a coding after none": b"HTTP/1.1 200 OK\r\nContent-Encoding: identity, br\r\nContent-Length: 2\r\n\r\n{}",
    "deep JSON": answer(200, b"[" * 500_000),
    "deep JSON in keys": answer(200, b'{"asks":' * 100_000),
    "invalid UTF-8": answer(200, b'{"asks":[],"bids":[],"sequence_number":1,"\xff":1}'),
    "a status of 999": answer(999, b"{}"),
    "a status of 000": b"HTTP/1.1 000 OK\r\n\r\n{}",
}


@REST
@pytest.mark.parametrize("data", NONSENSE.values(), ids=NONSENSE.keys())
async def test_nonsense_is_a_typed_failure_at_once(data: bytes, call: str, autojump_clock: MockClock) -> None:
    failed = await failure_of(answers(data), call)
    assert isinstance(failed.error, ConnectionFailed | DecodeError | ApiError)
    assert failed.seconds < 1


async def second_answer(first: bytes) -> int:
    """Return the number of the second request's book, from a server whose first answer has bytes after it."""
    connections = 0

    async def handler(stream: trio.abc.Stream) -> None:
        nonlocal connections
        connections += 1
        if connections == 1:
            await read_head(stream)
            await stream.send_all(first)
        with suppress(trio.BrokenResourceError):
            while await read_head(stream):
                await stream.send_all(answer(200, BOOK))

    async with MemoryNetwork(handler=handler) as network, MarketDataClient(URL, connector=network) as md:
        with suppress(TplusError):
            await md.get_orderbook_snapshot(201)
        with suppress(ConnectionFailed):
            return (await md.get_orderbook_snapshot(200)).sequence_number
        # The connection is closed: the next request gets a new one.
        number = (await md.get_orderbook_snapshot(200)).sequence_number
        assert connections == 2
        return number


@pytest.mark.parametrize(
    "first",
    [
        answer(200, BOOK) + answer(200, OTHER),
        answer(204) + answer(200, OTHER),
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]" + answer(200, OTHER),
        CHUNKED + b"2\r\n{}\r\n0\r\n\r\n" + answer(200, OTHER),
        answer(404, b"no") + b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n" + OTHER[:20],
    ],
)
async def test_bytes_after_an_answer_are_not_the_next_answer(first: bytes, autojump_clock: MockClock) -> None:
    """A second answer to one request must not become a book of another market."""
    assert await second_answer(first) == 7


async def test_cookies_are_neither_kept_nor_sent(autojump_clock: MockClock) -> None:
    """A cookie jar would grow with every answer, and would be sent with every request."""
    heads: list[bytes] = []

    async def handler(stream: trio.abc.Stream) -> None:
        while head := await read_head(stream):
            heads.append(head)
            fresh = [f"Set-Cookie: c{len(heads)}-{n}={'x' * 100}; Path=/" for n in range(50)]
            await stream.send_all(answer(200, BOOK, *fresh, "Set-Cookie: d=1; Domain=exchange"))

    async with MemoryNetwork(handler=handler) as network, MarketDataClient(URL, connector=network) as md:
        for _ in range(20):
            await md.get_orderbook_snapshot(200)
    assert len(heads) == 20
    assert not any(b"cookie" in head.lower() for head in heads)
    assert len(heads[-1]) == len(heads[0])
