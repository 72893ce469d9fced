"""The front: REST and WebSocket on one port, over memory and over TCP."""

from __future__ import annotations

import json
import ssl

import httpx
import pytest
import trio
import trio_websocket
import trustme
from trio.testing import MockClock

from tests.helpers.raw_client import open_feed, open_http, sign_in
from tplus_trio.testing import Exchange, MemoryNetwork, Request, Response, serve, serve_stream
from tplus_trio.testing.network.pipe import stream_pair
from tplus_trio.testing.wire_frames import PING, TEXT, fragmented, frame
from tplus_trio.users import User

HANDSHAKE = [
    ("upgrade", "websocket"),
    ("connection", "upgrade"),
    ("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA=="),
    ("sec-websocket-version", "13"),
]


@pytest.fixture
def exchange() -> Exchange:
    made = Exchange()
    made.add_market(200)
    return made


async def test_requests_share_a_connection(exchange: Exchange) -> None:
    async with MemoryNetwork(exchange) as network:
        http = await open_http(network)
        for _ in range(3):
            answer = await http.request("GET", "/marketdepth/200")
            assert answer.status == 200
            assert answer.headers["content-type"] == "application/json"
            assert answer.json()["sequence_number"] == 1000
        assert (await http.request("GET", "/nothing/here")).status == 404
        assert (await http.request("POST", "/marketdepth/200")).status == 405
        assert (await http.request("GET", "/marketdepth/200")).status == 200
    assert network.connects == 1
    assert exchange.snapshot_requests == 5
    assert exchange.crashes == []


async def test_pipelined_requests_are_answered_in_turn(exchange: Exchange) -> None:
    exchange.add_market(201)
    async with MemoryNetwork(exchange) as network:
        stream = await network.connect("exchange", 80)
        requests = [f"GET /market/{asset} HTTP/1.1\r\nhost: x\r\n\r\n" for asset in (200, 201)]
        await stream.send_all("".join(requests).encode())
        got = b""
        while got.count(b'"asset_id"') < 2:
            got += await stream.receive_some()
        assert got.index(b'"asset_id":"200"') < got.index(b'"asset_id":"201"')


async def test_a_handshake_may_follow_a_request_at_once(exchange: Exchange) -> None:
    async with MemoryNetwork(exchange) as network:
        stream = await network.connect("exchange", 80)
        headers = "".join(f"{name}: {value}\r\n" for name, value in HANDSHAKE)
        await stream.send_all(
            b"GET /market/200 HTTP/1.1\r\nhost: x\r\n\r\n"
            + f"GET /trades HTTP/1.1\r\nhost: x\r\n{headers}\r\n".encode()
        )
        got = b""
        while b"HTTP/1.1 101" not in got:
            data = await stream.receive_some()
            assert data
            got += data
        assert exchange.connections == 1


async def test_a_client_may_ask_to_close(exchange: Exchange) -> None:
    async with MemoryNetwork(exchange) as network:
        http = await open_http(network)
        answer = await http.request("GET", "/markets", headers=[("connection", "close")])
        assert answer.status == 200
        assert await http.stream.receive_some() == b""


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: x\r\nlong: " + b"x" * 40_000, 431),
        (b"POST /auth HTTP/1.1\r\nhost: x\r\ncontent-length: 2000000\r\n\r\n" + b"x" * 1_100_000, 413),
    ],
)
async def test_what_is_no_request_is_refused(exchange: Exchange, sent: bytes, status: int) -> None:
    async with MemoryNetwork(exchange, capacity=1 << 21) as network:
        stream = await network.connect("exchange", 80)
        await stream.send_all(sent)
        got = b""
        while data := await stream.receive_some():
            got += data
        assert got.startswith(f"HTTP/1.1 {status} ".encode())
    assert exchange.crashes == []


async def test_a_waiting_client_is_told_to_continue(exchange: Exchange) -> None:
    async with MemoryNetwork(exchange) as network:
        stream = await network.connect("exchange", 80)
        head = b"POST /auth HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n"
        await stream.send_all(head)
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 100")
        await stream.send_all(b"{}")
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 400")


async def test_a_failure_inside_costs_one_answer(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(request: Request) -> Response:
        raise ZeroDivisionError

    async with MemoryNetwork(exchange) as network:
        http = await open_http(network)
        with monkeypatch.context() as patch:
            patch.setattr(exchange, "handle", fail)
            assert (await http.request("GET", "/markets")).status == 500
        assert (await http.request("GET", "/markets")).status == 200
    assert [type(crash) for crash in exchange.crashes] == [ZeroDivisionError]
    exchange.crashes.clear()  # it was meant: the plugin would fail the test for it


async def test_a_failure_at_a_handshake_costs_one_answer(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: str, headers: object) -> None:
        raise ZeroDivisionError

    async with MemoryNetwork(exchange) as network:
        http = await open_http(network)
        with monkeypatch.context() as patch:
            patch.setattr(exchange, "subscribe", fail)
            assert (await http.request("GET", "/trades", headers=HANDSHAKE)).status == 500
        assert (await http.request("GET", "/markets")).status == 200
    assert [type(crash) for crash in exchange.crashes] == [ZeroDivisionError]
    exchange.crashes.clear()  # it was meant: the plugin would fail the test for it


async def test_a_feed_delivers_in_order(exchange: Exchange) -> None:
    async with (
        MemoryNetwork(exchange, latency=0.001) as network,
        open_feed(network, "/marketdepth/diff/200") as feed,
    ):
        for i in range(1000):
            exchange.publish_diff(200, bids=[(i + 1, i)])
        numbers = [json.loads(await feed.get_message())["sequence_number"] for _ in range(1000)]
        assert numbers == list(range(1001, 2001))
        await feed.ping(b"are you there")


async def test_the_subscription_counts_from_the_handshake(exchange: Exchange, autojump_clock: MockClock) -> None:
    """What is published while the answer to the handshake is still on its way is not missed."""
    async with MemoryNetwork(exchange, latency=1.0) as network, trio.open_nursery() as nursery:

        async def publish() -> None:
            await trio.sleep(3.5)  # two seconds to connect, one for the handshake to arrive
            assert exchange.connections == 1
            exchange.publish_diff(200, asks=[(1, 1)])

        nursery.start_soon(publish)
        async with open_feed(network, "/marketdepth/diff/200") as feed:
            assert trio.current_time() == pytest.approx(4.0)
            assert json.loads(await feed.get_message())["sequence_number"] == 1001


async def test_a_closed_feed_is_forgotten(exchange: Exchange, autojump_clock: MockClock) -> None:
    async with MemoryNetwork(exchange) as network:
        async with open_feed(network, "/trades") as feed:
            assert exchange.connections == 1
            await feed.aclose()
            await trio.sleep(0.1)
            assert exchange.connections == 0
        async with open_feed(network, "/trades"):
            network.reset_connections()
            await trio.sleep(0.1)
            assert exchange.connections == 0
        async with open_feed(network, "/trades"):
            network.drop_connections()
            await trio.sleep(0.1)
            assert exchange.connections == 0
    assert exchange.crashes == []


async def test_the_exchange_can_close_a_feed(exchange: Exchange) -> None:
    async with MemoryNetwork(exchange) as network, open_feed(network, "/trades") as feed:
        exchange.publish_trade(200, "1.5", "2")
        exchange.faults.close_streams("/trades", 1012, "restarting")
        assert json.loads(await feed.get_message())["price"] == "1.5"
        with pytest.raises(trio_websocket.ConnectionClosed) as closed:
            await feed.get_message()
        assert closed.value.reason is not None
        assert (closed.value.reason.code, closed.value.reason.reason) == (1012, "restarting")


async def test_a_refused_handshake_is_an_http_answer(exchange: Exchange) -> None:
    exchange.faults.reject_handshakes(1, 429, retry_after=7)
    async with MemoryNetwork(exchange) as network:
        http = await open_http(network)
        answer = await http.request("GET", "/trades", headers=HANDSHAKE)
        assert (answer.status, answer.headers["retry-after"]) == (429, "7")
        assert answer.json()["error"]["code"] == "RATE_LIMITED"
        for path, status in (("/orders", 401), ("/nowhere", 404), ("/marketdepth/diff/999", 404)):
            assert (await http.request("GET", path, headers=HANDSHAKE)).status == status
        assert (await http.request("GET", "/trades", headers=HANDSHAKE[:2])).status == 400
        assert (await http.request("GET", "/markets")).status == 200
    assert exchange.connections == 0


async def test_fragments_pings_and_raw_bytes(exchange: Exchange) -> None:
    async with MemoryNetwork(exchange) as network, open_feed(network, "/trades") as feed:
        exchange.faults.send_fragmented("/trades", "in pieces", pieces=4)
        assert await feed.get_message() == "in pieces"
        exchange.faults.fragment("/trades", pieces=7)
        exchange.publish_trade(200, 3, 4)
        exchange.publish_trade(200, 5, 6)
        assert [json.loads(await feed.get_message())["price"] for _ in range(2)] == ["3", "5"]
        exchange.faults.send_wire("/trades", frame(PING, b"") + frame(TEXT, b"raw"))
        assert await feed.get_message() == "raw"
        exchange.faults.send_garbage("/trades")
        garbage = await feed.get_message()
        with pytest.raises(json.JSONDecodeError):
            json.loads(garbage)


def test_fragments_are_frames() -> None:
    assert fragmented(b"ab", 1) == frame(TEXT, b"ab")
    assert fragmented(b"ab", 2, ping=None) == b"\x01\x01a\x80\x01b"
    assert frame(TEXT, b"x" * 126)[:4] == b"\x81\x7e\x00\x7e"
    assert frame(TEXT, b"x" * 65536)[:10] == b"\x81\x7f" + (65536).to_bytes(8, "big")
    with pytest.raises(ValueError, match="pieces"):
        fragmented(b"ab", 0)


async def test_answers_can_be_held_back(exchange: Exchange, autojump_clock: MockClock) -> None:
    exchange.faults.delay_requests("/marketdepth/", 3.0)
    async with MemoryNetwork(exchange) as network, trio.open_nursery() as nursery:
        http = await open_http(network)

        async def change() -> None:
            await trio.sleep(1.0)
            exchange.publish_diff(200, bids=[(1, 1)])

        nursery.start_soon(change)
        start = trio.current_time()
        answer = await http.request("GET", "/marketdepth/200")
        assert trio.current_time() - start == pytest.approx(3.0)
        assert answer.json()["sequence_number"] == 1000  # of the moment when it was asked for
        assert (await http.request("GET", "/marketdepth/200")).json()["sequence_number"] == 1001


async def test_a_listener_who_never_reads_is_cut_off(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tplus_trio.testing.exchange.feeds.MAX_BACKLOG", 100)
    async with MemoryNetwork(exchange) as network, open_feed(network, "/marketdepth/diff/200"):
        for i in range(200):
            exchange.publish_diff(200, bids=[(1, i)])
        assert exchange.connections == 0


async def test_cancelling_the_server_ends_at_once(exchange: Exchange) -> None:
    near, far = stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_stream, exchange, far)
        await near.send_all(b"GET /mark")
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert await near.receive_some() == b""


async def test_a_cancelled_server_forgets_its_listeners(exchange: Exchange) -> None:
    async with MemoryNetwork(exchange) as network, open_feed(network, "/trades"):
        assert exchange.connections == 1
        async with trio.open_nursery() as nursery:
            near, far = stream_pair()
            nursery.start_soon(serve_stream, exchange, far)
            headers = "".join(f"{name}: {value}\r\n" for name, value in HANDSHAKE)
            await near.send_all(f"GET /trades HTTP/1.1\r\nhost: x\r\n{headers}\r\n".encode())
            assert (await near.receive_some()).startswith(b"HTTP/1.1 101")
            assert exchange.connections == 2
            nursery.cancel_scope.cancel()
        assert exchange.connections == 1


async def test_the_control_channel(exchange: Exchange) -> None:
    user = User()
    headers = {**sign_in(exchange, user), "sec-websocket-protocol": "tplus.ws.v1"}
    async with MemoryNetwork(exchange) as network, open_feed(network, "/control", headers) as channel:
        assert channel.subprotocol == "tplus.ws.v1"
        await channel.send_message('{"request_id": "1", "data": {"CancelOrderRequest": {}}}')
        assert json.loads(await channel.get_message()) == {"type": "ack", "request_id": "1"}
        refusal = json.loads(await channel.get_message())
        assert (refusal["request_id"], refusal["error"]["code"]) == ("1", "INVALID_REQUEST")
        await channel.send_message("not json")
        assert json.loads(await channel.get_message())["error"]["code"] == "INVALID_REQUEST"
        await channel.send_message('{"request_id": "2", "data": {"Nonsense": {}}}')
        assert json.loads(await channel.get_message())["request_id"] == "2"


async def test_serving_over_tcp(exchange: Exchange) -> None:
    async with serve(exchange) as url:
        async with httpx.AsyncClient(base_url=url) as client:
            exchange.publish_diff(200, bids=[("10.25", "1.5")])
            assert (await client.get("/marketdepth/200")).json()["bids"] == [[10.25, 1.5]]
            assert (await client.get("/market-data/nonce/" + "0" * 64)).status_code == 200
        async with trio_websocket.open_websocket_url(url.replace("http", "ws") + "/trades") as feed:
            exchange.publish_trade(200, "10.25", "1")
            assert json.loads(await feed.get_message())["quantity"] == "1"
    with pytest.raises(OSError, match=r"connect"):
        await trio.open_tcp_stream("127.0.0.1", int(url.rpartition(":")[2]))
    assert exchange.crashes == []


async def test_serving_over_tls(exchange: Exchange) -> None:
    authority = trustme.CA()
    server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    async with serve(exchange, ssl_context=server) as url, httpx.AsyncClient(verify=client) as http:
        assert url.startswith("https://")
        assert (await http.get(f"{url}/markets")).status_code == 200
        with pytest.raises(httpx.HTTPError):
            await http.get(f"{url.replace('https', 'http')}/markets")
        assert (await http.get(f"{url}/markets")).status_code == 200
    assert exchange.crashes == []


async def test_what_is_raised_while_serving_comes_out_plain(exchange: Exchange) -> None:
    with pytest.raises(KeyError):
        async with serve(exchange):
            raise KeyError("mine")
