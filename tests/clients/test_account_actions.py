"""Signed requests about accounts: the bytes that the official client signs and sends, and a nonce only once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tplus.client import OrderBookClient as TheirClient
from tplus.utils.user import User as TheirUser
from trio.testing import MockClock

from tests.helpers.world import ASSET, World, open_world
from tplus_trio import ConnectionFailed, User
from tplus_trio.clients.nonces import ActionNonces
from tplus_trio.testing import Response

CLOSE, TRANSFER = "/account/transfer/close-position", "/account/transfer/sub-account"


def record_bodies(world: World, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The bodies of the client's requests from now on. The exchange answers each with an empty object."""
    bodies: list[bytes] = []
    request = world.oms._service.request

    async def recorded(method: str, path: str, **options: Any) -> bytes:
        if path in (CLOSE, TRANSFER):
            world.exchange.faults.answer_requests(path, Response(200, b"{}"))
            bodies.append(bytes(options["body"]))
        return await request(method, path, **options)

    monkeypatch.setattr(world.oms._service, "request", recorded)
    return bodies


async def test_the_bodies_are_those_of_the_official_client(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = bytes(range(32))
    user, theirs = User(seed), TheirClient("http://exchange", default_user=TheirUser(seed))
    async with open_world() as world:
        bodies = record_bodies(world, monkeypatch)
        assert await world.oms.request_close_position(1, "200", nonce=5, user=user) == {}
        assert await world.oms.request_transfer_to_subaccount(0, 1, "200", 10, nonce=6, user=user) == {}
    expected: list[Any] = [
        theirs._build_close_position_request(1, "200", nonce=5),
        theirs._build_transfer_to_subaccount(0, 1, "200", 10, nonce=6),
    ]
    assert [body.decode() for body in bodies] == [json.dumps(body, separators=(",", ":")) for body in expected]


async def test_a_nonce_is_used_once(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_world() as world:
        bodies = record_bodies(world, monkeypatch)
        now_ms = world.exchange.now_ns() // 1_000_000
        for nonce in (None, None, now_ms + 5, None):
            await world.oms.request_close_position(1, ASSET, nonce=nonce)
            await world.oms.request_transfer_to_subaccount(0, 1, ASSET, 1)
        nonces = [json.loads(body)["inner"]["nonce"] for body in bodies]
        assert len(set(nonces)) == len(nonces)
        assert nonces[0] >= now_ms


def test_nonces_rise_with_the_clock_and_never_fall_with_it() -> None:
    clock = iter([5_000_000, 5_000_000, 1_000_000, 99_000_000])
    nonces = ActionNonces(lambda: next(clock))
    assert [nonces.take(None) for _ in range(4)] == [5, 6, 7, 99]


async def test_no_answer_leaves_open_whether_it_was_carried_out(autojump_clock: MockClock) -> None:
    async with open_world(timeout=3) as world:
        await world.oms.get_user_orders()
        world.exchange.faults.delay_requests(CLOSE, 100)
        with pytest.raises(ConnectionFailed) as caught:
            await world.oms.request_close_position(1, ASSET)
        assert not caught.value.nothing_sent
