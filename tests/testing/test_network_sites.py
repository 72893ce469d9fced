"""Sites, shared rate limits, revoked tokens and throttled connections of the testing kit."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tplus_trio import MarketDataClient, OrderBookClient, TplusError
from tplus_trio.testing import Exchange, MemoryNetwork, Rejection, Replica, Request
from tplus_trio.users import User


def _naming(name: bytes) -> object:
    async def handler(stream: trio.abc.Stream) -> None:
        while await stream.receive_some():
            await stream.send_all(name)

    return handler


async def test_a_host_that_moved_leads_new_connections_elsewhere() -> None:
    async with MemoryNetwork(handler=_naming(b"old")) as network:  # type: ignore[arg-type]  # made above
        network.add_site("new", _naming(b"new"))  # type: ignore[arg-type]  # made above
        before = await network.connect("md", 80)
        network.move("md", "new")
        after, other = await network.connect("md", 80), await network.connect("oms", 80)
        said = []
        for stream in (before, after, other):
            await stream.send_all(b"?")
            said.append(bytes(await stream.receive_some()))
        assert said == [b"old", b"new", b"old"]
        network.move("", "new")
        network.move("md", "")
        after, other = await network.connect("md", 80), await network.connect("oms", 80)
        for stream, name in ((after, b"old"), (other, b"new")):
            await stream.send_all(b"?")
            assert await stream.receive_some() == name


async def test_sites_that_do_not_exist() -> None:
    network = MemoryNetwork()
    with pytest.raises(ValueError, match="site is one of"):
        network.move("md", "new")
    network.add_site("new", Exchange())
    for name in ("", "new"):
        with pytest.raises(ValueError, match="new site"):
            network.add_site(name, Exchange())


async def test_a_frozen_replica_answers_as_of_then(exchange: Exchange) -> None:
    replica = Replica(exchange)
    exchange.publish_diff(200, bids=[("9.5", 20)])
    ask = Request("GET", "/marketdepth/200")
    assert replica.handle(ask).body == exchange.handle(ask).body
    replica.freeze("/marketdepth")
    exchange.publish_diff(200, bids=[("9.6", 20)])
    assert b'"sequence_number":1001' in replica.handle(ask).body
    assert b'"sequence_number":1002' in exchange.handle(ask).body
    assert replica.frozen_answers == 1
    assert replica.handle(Request("GET", "/trades")).body == b"[]"
    replica.thaw()
    assert b'"sequence_number":1002' in replica.handle(ask).body


async def test_a_client_reads_from_the_site_that_it_connects_to(exchange: Exchange, autojump_clock: MockClock) -> None:
    replica = Replica(exchange)
    async with MemoryNetwork() as network:
        network.add_site("replica", replica)
        network.move("md", "replica")
        async with MarketDataClient("http://md", connector=network) as md:
            book = await md.get_orderbook_snapshot(200)
            assert book.sequence_number == 1000


async def test_requests_and_handshakes_share_a_rate_limit(exchange: Exchange, autojump_clock: MockClock) -> None:
    exchange.faults.limit_rate(2, retry_after=3)
    ask = Request("GET", "/marketdepth/200")
    assert exchange.handle(ask).status == 200
    exchange.subscribe("/trades").close()
    refusal = exchange.handle(ask)
    assert (refusal.status, dict(refusal.headers)["retry-after"]) == (429, "3")
    with pytest.raises(Rejection):
        exchange.subscribe("/trades")
    assert exchange.refused == 2
    await trio.sleep(0.5)
    assert exchange.handle(ask).status == 200
    assert exchange.handle(ask).status == 429
    exchange.faults.limit_rate(None)
    assert exchange.handle(ask).status == 200
    exchange.faults.limit_rate(1, path="/trades", burst=3)
    assert [exchange.handle(Request("GET", "/trades")).status for _ in range(4)] == [200, 200, 200, 429]
    assert exchange.handle(ask).status == 200
    for wrong in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="per_second"):
            exchange.faults.limit_rate(wrong)


@pytest.mark.parametrize("code", [1008, 3000, 4401, 4403])
async def test_a_revoked_token_is_closed_after_the_handshake(
    code: int, exchange: Exchange, order_book: OrderBookClient, user: User, autojump_clock: MockClock
) -> None:
    async with order_book.stream_orders() as orders:
        await orders.wait_live()
        session = exchange.sign_ins
        token = next(iter(exchange._market_state.accounts._tokens))  # a client's token is shown nowhere
        exchange.faults.revoke_tokens(code)
        headers = {"authorization": f"Bearer {token}", "user-id": user.public_key}
        refused = exchange.subscribe("/orders", headers)
        assert (refused.closed, refused.close_code) == (True, code)
        assert exchange.sign_ins == session
        answer = exchange.handle(Request("GET", f"/orders/user/{user.public_key}", headers))
        assert answer.status == 401
    with pytest.raises(ValueError, match="code"):
        exchange.faults.revoke_tokens(99)


async def test_a_throttled_connection_queues_what_is_sent(autojump_clock: MockClock) -> None:
    async def send(stream: trio.abc.Stream) -> None:
        await stream.send_all(b"x" * 8192)
        await trio.sleep_forever()

    async with MemoryNetwork(handler=send) as network:
        network.throttle(4096)
        near = await network.connect("md", 80)
        start, received = trio.current_time(), 0
        while received < 8192:
            received += len(await near.receive_some())
        assert trio.current_time() - start == pytest.approx(2.0)
        network.throttle(None)
        start = trio.current_time()
        other = await network.connect("md", 80)
        await other.receive_some(1)
        assert trio.current_time() == start
        with pytest.raises(ValueError, match="bytes_per_second"):
            network.throttle(0)


async def test_a_sign_in_helps_after_revocation(
    exchange: Exchange, order_book: OrderBookClient, user: User, autojump_clock: MockClock
) -> None:
    await order_book.get_user_orders()
    exchange.faults.revoke_tokens(4401)
    try:
        await order_book.get_user_orders()
    except TplusError as exc:
        pytest.fail(f"a revoked token is renewed after its 401: {exc!r}")
    assert exchange.sign_ins == 2
