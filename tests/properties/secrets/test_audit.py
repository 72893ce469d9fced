"""Every way in which a service can fail a client that has a key, a token and signatures to hide."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.peers import answer
from tests.helpers.secrets_audit import ECHOES, HEADER, KEY, TOKENS, Answer, Asked, Service
from tests.helpers.secrets_search import assert_no_secret, said_by, told_by_records
from tplus_trio import MarketDataClient, OrderBookClient, RestartPolicy, TplusError, User
from tplus_trio.testing import MemoryNetwork
from tplus_trio.testing.wire_frames import CLOSE, PING, TEXT, frame

#: What the service sends after the handshake.
FRAMES: Final[dict[str, Callable[[Asked], bytes]]] = {
    "close": lambda asked: frame(CLOSE, b"\x0f\xa1" + b"told " + asked.token),
    "close, cut short": lambda asked: frame(CLOSE, b"\x0f\xa1" + (b"x" * 90 + asked.token)[:120]),
    "close, no text": lambda asked: frame(CLOSE, b"\x0f\xa1" + asked.token + b"\xff"),
    "undecodable": lambda asked: frame(TEXT, b'{"Created": ' + asked.echo),
    "undecodable, cut": lambda asked: frame(TEXT, b"x" * 100 + asked.token + b"x" * 100),
    "wrong key": lambda asked: frame(
        TEXT, json.dumps({"Created": {asked.token.decode(): asked.token.decode()}}).encode()
    ),
    "binary": lambda asked: frame(2, asked.token),
    "no text": lambda asked: frame(TEXT, asked.token + b"\xff"),
    "ping": lambda asked: frame(PING, asked.token) + frame(CLOSE, b"\x0f\xa1"),
    "no frame": lambda asked: b"\xff" + asked.token,
}


#: How the service fails without repeating a secret.
SILENT: Final[dict[str, Answer | None]] = {
    "closes": lambda asked: b"",
    "breaks off": lambda asked: answer(200, b"{}")[:-1],
    "never answers": None,
    "refuses": lambda asked: answer(401, b"no"),
    "answers too much": lambda asked: answer(200, b"x" * 200_000),
}


class Audit:
    """Everything that was raised, logged or shown."""

    def __init__(self) -> None:
        self.told: set[str] = set()
        self.errors: list[BaseException] = []

    async def of(self, call: Callable[[], Awaitable[object]]) -> None:
        try:
            self.told.add(repr(await call()))
        except Exception as exc:  # noqa: BLE001 - each is looked at
            self.errors.append(exc)
            self.told |= set(said_by(exc))


async def drive_orders(audit: Audit, oms: OrderBookClient) -> None:
    """Use every call about orders and accounts that sends a signature, and show what it signed."""
    await audit.of(lambda: oms.create_market_order("Buy", 1, asset_id=200, order_id="m"))
    await audit.of(lambda: oms.replace_order("x", 200, 5, 1000))
    await audit.of(lambda: oms.amend_order("x", 200, 4))
    await audit.of(oms.cancel_all_orders)
    with suppress(TplusError):
        _, order = await oms.prepare_limit_order_request(
            200, 1000, 5, "Buy", None, None, order_id="b", additional_signers=[User()]
        )
        audit.told |= {repr(order), str(order)}
        await audit.of(lambda: oms.send_multiple_orders([order]))
        replacement = await oms.prepare_replace_order_request("b", 200, 5, 1000)
        audit.told |= {repr(replacement), str(replacement)}
        await audit.of(lambda: oms.replace_multiple_orders([replacement]))
    await audit.of(lambda: oms.request_close_position(1, 200))
    await audit.of(lambda: oms.request_transfer_to_subaccount(0, 1, 200, 1))
    await audit.of(oms.get_user_positions)


async def drive(audit: Audit, service: Service) -> None:
    """Use everything that sends a token or a signature."""
    options: Any = {
        "headers": {"X-Api-Key": HEADER},
        "timeout": 3.0,
        "jitter": lambda: 1.0,
        "max_message_size": 100_000,
    }
    user = User(KEY)
    async with (
        MemoryNetwork(handler=service) as network,
        OrderBookClient("http://x", default_user=user, connector=network, **options) as oms,
        MarketDataClient("http://x", default_user=user, connector=network, **options) as md,
    ):
        await audit.of(oms.get_user_orders)
        await audit.of(lambda: oms.create_limit_order(5, 1000, "Buy", asset_id=200, order_id="x"))
        await audit.of(lambda: oms.cancel_order("x", 200))
        await drive_orders(audit, oms)
        await audit.of(md.get_trades)
        await audit.of(lambda: md.get_orderbook_snapshot(200))
        for restart in (None, RestartPolicy(max_restarts=1)):
            for stream in (oms.stream_orders(restart=restart), md.stream_finalized_trades(restart=restart)):
                async with stream:
                    with trio.move_on_after(20):
                        await audit.of(stream.wait_live)
                        for _ in range(3):
                            await audit.of(stream.receive)
                    audit.told |= {repr(stream), repr(vars(stream)), repr(stream.stats)}
        shown = [oms, md, user, oms._service, md._service, oms._service._http]
        shown += [*oms._service._sessions.values(), *md._service._sessions.values()]
        audit.told |= {repr(thing) for thing in shown} | {repr(vars(thing)) for thing in shown}


@pytest.fixture
def records(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    for name in ("", "tplus_trio", "httpx", "httpcore", "trio-websocket", "wsproto", "h11", "trio", "asyncio"):
        caplog.set_level(logging.DEBUG, name)
    return caplog.records


def ours(records: list[logging.LogRecord]) -> list[logging.LogRecord]:
    """Return the log records without other packages' debugging of received bytes."""
    return [record for record in records if record.name.startswith("tplus_trio") or record.levelno > logging.DEBUG]


CASES = [(kind, name) for kind, names in (("answer", ECHOES), ("frame", FRAMES), ("silent", SILENT)) for name in names]


CASES += [("sign-in", name) for kind, name in CASES if kind != "frame"]


@pytest.mark.parametrize(("kind", "name", "token"), [(*case, TOKENS[n % 2]) for n, case in enumerate(CASES)])
async def test_no_secret_is_raised_logged_or_shown(
    kind: str, name: str, token: str, autojump_clock: MockClock, records: list[logging.LogRecord]
) -> None:
    where = "/auth" if kind == "sign-in" else "-"
    if kind == "frame":
        service = Service(token, lambda _: answer(503, b"down"), FRAMES[name], where)
    else:
        service = Service(token, (ECHOES | SILENT)[name], None, where)
    audit = Audit()
    await drive(audit, service)
    assert len(audit.errors) > 4
    assert bool(service.issued) == (where == "-")
    assert service.signatures
    audit.told |= set(told_by_records(records if name in SILENT else ours(records)))
    assert_no_secret(audit.told, KEY, HEADER, *service.issued, *service.signatures)


@pytest.mark.parametrize("leave", ["cancelled", "the body raises"])
@pytest.mark.parametrize("at", ["/nonce", "/auth", "/orders/create"])
async def test_nothing_shows_of_what_is_left_in_the_middle(
    leave: str, at: str, autojump_clock: MockClock, records: list[logging.LogRecord]
) -> None:
    service = Service(TOKENS[0], None, None, at)
    told: list[str] = []
    caught: list[BaseException] = []
    try:
        async with (
            MemoryNetwork(handler=service) as network,
            OrderBookClient("http://x", default_user=User(KEY), connector=network) as oms,
        ):
            async with trio.open_nursery() as nursery:

                async def order() -> None:
                    try:
                        await oms.create_limit_order(5, 1000, "Buy", asset_id=200, order_id="x")
                    except trio.Cancelled as exc:
                        told.extend(said_by(exc))
                        raise

                nursery.start_soon(order)
                await trio.testing.wait_all_tasks_blocked()
                if leave == "the body raises":
                    raise ZeroDivisionError  # noqa: TRY301 - as a body does
                nursery.cancel_scope.cancel()
            raise ZeroDivisionError  # noqa: TRY301 - as a body does
    except* ZeroDivisionError as group:
        caught.append(group)
    assert told
    told += [*said_by(caught[0]), *told_by_records(records)]
    assert_no_secret(told, KEY, *service.issued, *service.signatures)
