"""Names, keys, ids and headers that would change meaning on the wire are refused or quoted."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.peers import answer, read_head
from tplus_trio import AssetIdentifier, DecodeError, LocalUser, MarketDataClient, OrderBookClient, TplusError, User
from tplus_trio.models import CancelOrder
from tplus_trio.testing import Exchange, MemoryNetwork
from tplus_trio.transport.connector import Endpoint

#: Parts of a request line, a path or a header that could smuggle something in.
NASTY: Final = ("\r\n", "\n", "\0", "/..", "\\", "?x=1", "#x", "%2e%2e", "%0d%0a", " ", "é", "\u2028", "\ud800")


@pytest.mark.parametrize(
    "url",
    [
        "http://host:+80",
        "http://host:８０",  # noqa: RUF001 - digits, but not those of a port
        "http://host:١٢",
        "http://host:8_0",
        "http://host:0",
        "http://host:65536",
        "http://host:80:90",
        "http://host\r\nX: y",
        "http://host/\r\nX: y",
        "http://host\\@elsewhere",
        "http://host\\elsewhere",
        "http:\\\\host",
        "http://user:password@host",
        "http://[fe80::1%25eth0]",
        "http://[fe80::1%eth0]:80",
        "https://[::1]x:8443",
        "https://[::1]8443",
        "https://x[::1]",
        "http://[v1.host]",
        "http://ｅxample.com",  # noqa: RUF001 - it looks like another
        "http://exampⅼe.com",  # noqa: RUF001 - likewise
        "http://a。b",
        "http://faß.de",
        "http://ﬁn.com",
        "http://\u2100.com",
        "http://ex\u200bample.com",
        "http://host/a/%2e%2E/b",
        "http://host/a/.%2e",
        "http://host/%2e./b",
        "http://host/a/./b",
        "http://host/a%2f..%2fb",
        "http://host/a%5c..%5cb",
        "http://host/a%0d%0ab",
        "http://host/a%00",
        "http://host/a%",
        "http://host/a%zz",
    ],
)
def test_an_ambiguous_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"legal is http\(s\)") as caught:
        MarketDataClient(url)
    assert url not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://[::ffff:1.2.3.4]:80", "::ffff:1.2.3.4"),
        ("http://bücher.example", "xn--bcher-kva.example"),
        ("http://bu\u0308cher.example", "xn--bcher-kva.example"),
        ("http://BÜCHER.example", "xn--bcher-kva.example"),
        ("http://xn--bcher-kva.example", "xn--bcher-kva.example"),
    ],
)
def test_an_unambiguous_url_is_accepted(url: str, host: str) -> None:
    assert Endpoint.from_url(url).host == host


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "Connection", "UPGRADE", "Sec-WebSocket-Key"])
def test_the_frame_of_a_request_is_not_for_headers_to_change(name: str) -> None:
    for make in (MarketDataClient, OrderBookClient):
        with pytest.raises(ValueError, match=name):
            make("http://host", headers={name: "5"})


@pytest.mark.parametrize("nasty", [text for text in NASTY if not text.isprintable() or not text.isascii()])
def test_no_header_holds_more_than_a_header(nasty: str) -> None:
    for headers in ({f"X{nasty}Y": "z"}, {"X": f"y{nasty}z"}, {nasty: "z"}, {"X": nasty}):
        with pytest.raises(ValueError, match="cannot be sent") as caught:
            MarketDataClient("http://host", headers=headers)
        assert f"y{nasty}z" not in str(caught.value)


@pytest.mark.parametrize("nasty", NASTY)
async def test_an_illegal_name_sends_no_request(nasty: str, autojump_clock: MockClock) -> None:
    key = User().public_key
    async with MemoryNetwork() as network:
        md = MarketDataClient("http://host", connector=network)
        oms = OrderBookClient("http://host", connector=network, default_user=User())
        for bad in (f"200{nasty}", f"{nasty}200", f"{'a' * 64}@{'0' * 16}{nasty}", nasty):
            for call in (md.stream_depth, md.stream_klines, md.open_book, md.stream_ticker):
                with pytest.raises(ValueError, match=r"asset|index"):
                    call(bad)
            with pytest.raises(ValueError, match=r"asset|index"):
                await oms.cancel_order("x", bad)
        for bad in (key + nasty, nasty + key, key[: -len(nasty)] + nasty):
            with pytest.raises(ValueError, match="64 hex"):
                LocalUser(bad, lambda: b"")
        for bad in (f"1{nasty}", nasty):
            with pytest.raises(ValueError, match="interval"):
                await md.get_klines(200, interval=bad)
            with pytest.raises(ValueError, match="side"):
                await oms.create_limit_order(1, 1, bad, asset_id=200)
        for prefix in (f"/a{nasty}b", f"{nasty}/a"):
            if nasty != "\\" or prefix:
                with pytest.raises(ValueError, match="auth_path_prefix"):
                    MarketDataClient("http://host", auth_path_prefix=prefix)
        assert network.connects == 0


@pytest.mark.parametrize("nasty", [text for text in NASTY if text != "\ud800"])
async def test_an_order_id_stays_in_its_body(nasty: str, autojump_clock: MockClock) -> None:
    """The user chooses an order's id. It is sent in JSON only, and signed as it stands there."""
    exchange = Exchange()
    exchange.add_market(200)
    name = f'a{nasty}"b'
    async with (
        MemoryNetwork(exchange) as network,
        OrderBookClient("http://host", connector=network, default_user=User()) as oms,
    ):
        assert (await oms.create_limit_order(1, 1, "Buy", asset_id=200, order_id=name)).order_id == name
        assert (await oms.cancel_order(name, 200)).order_id == name
    assert exchange.crashes == []


def test_an_order_id_that_is_no_text_is_refused() -> None:
    with pytest.raises(ValueError, match="order_id must have a UTF-8 form"):
        CancelOrder("\ud800", AssetIdentifier(200), User().public_key)


@pytest.mark.parametrize("nasty", NASTY)
async def test_a_token_that_is_no_header_value_is_refused(nasty: str, autojump_clock: MockClock) -> None:
    """A service can put only its token into later requests."""
    heads: list[bytes] = []
    token = f"a{nasty}b".encode("utf-8", "surrogatepass").decode("utf-8", "replace")

    async def handler(stream: trio.abc.Stream) -> None:
        while head := await read_head(stream):
            heads.append(head.partition(b"\r\n\r\n")[0])
            if b" /nonce/" in head:
                await stream.send_all(answer(200, b'"1"'))
            elif b" /auth " in head:
                body = repr(token).replace("'", '"').replace("\\x", "\\u00")
                await stream.send_all(answer(200, b'{"token":%s,"expiry_ns":%d}' % (body.encode(), 2**62)))
            else:
                await stream.send_all(answer(200, b"[]"))

    async with (
        MemoryNetwork(handler=handler) as network,
        OrderBookClient("http://host", connector=network, default_user=User()) as oms,
    ):
        calls: list[Callable[[], Awaitable[Any]]] = [oms.get_user_orders, oms.stream_orders(restart=None).receive]
        for call in calls:
            with suppress(TplusError):
                await call()
    sent = [line for head in heads for line in head.split(b"\r\n") if line.lower().startswith(b"authorization")]
    if re.fullmatch("[!-~]+", token):
        assert sent
        assert set(sent) <= {b"Authorization: Bearer " + token.encode(), b"authorization: Bearer " + token.encode()}
    else:
        assert sent == []
    assert all(head.count(b"\r\n") == head.count(b"\n") for head in heads)


@pytest.mark.parametrize("length", [16 * 1024, 16 * 1024 + 1])
async def test_a_token_that_is_too_long_is_sent_nowhere(length: int, autojump_clock: MockClock) -> None:
    signed_in = 0

    async def handler(stream: trio.abc.Stream) -> None:
        nonlocal signed_in
        while head := await read_head(stream):
            if b" /nonce/" in head:
                await stream.send_all(answer(200, b'"1"'))
            elif b" /auth " in head:
                await stream.send_all(answer(200, b'{"token":"%s","expiry_ns":%d}' % (b"t" * length, 2**62)))
            else:
                signed_in += b"earer " + b"t" * length in head
                await stream.send_all(answer(200, b"[]"))

    async with (
        MemoryNetwork(handler=handler) as network,
        OrderBookClient("http://host", connector=network, default_user=User()) as oms,
    ):
        if length > 16 * 1024:
            with pytest.raises(DecodeError, match=r"longer than 16384 characters$"):
                await oms.get_user_orders()
        else:
            await oms.get_user_orders()
    assert signed_in == (length <= 16 * 1024)
