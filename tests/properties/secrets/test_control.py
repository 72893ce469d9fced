"""A control channel whose service repeats the token and the signatures that it was sent, in every kind of frame."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any, Final

import pytest
import trio
from trio.testing import MockClock

from tests.helpers.control_server import ControlPeer, ControlServer, Seen, World, open_control, result, told
from tests.helpers.secrets_audit import TOKENS
from tests.helpers.secrets_search import assert_no_secret, said_by, told_by_records
from tests.helpers.world import ASSET
from tplus_trio import codec
from tplus_trio.models import CancelOrder, CancelOrderRequest
from tplus_trio.orders.sending import Delivery, OrderRequest, OrderTarget
from tplus_trio.secret import SecretBytes

KIND: Final = "CancelOrderResponse"


def echo(peer: ControlPeer, seen: Seen) -> str:
    """All that the client sent, in one line and in several ways."""
    signature: list[int] = seen.body["signature"]
    ways = (signature, bytes(signature), bytes(signature).hex(), json.dumps(signature, indent=1))
    return " ".join([peer.token, *map(str, ways), json.dumps(seen.body)])


def error(peer: ControlPeer, seen: Seen) -> dict[str, Any]:
    details = {peer.token: [peer.token, {"deep": echo(peer, seen)}], "signature": seen.body["signature"]}
    return {"code": f"INVALID_{peer.token}", "message": echo(peer, seen), "details": details}


def escaped(text: str) -> str:
    """A text in JSON of which each character is escaped."""
    return "".join(f"\\u{ord(character):04x}" for character in text)


FRAMES: Final[dict[str, Callable[[ControlPeer, Seen], object]]] = {
    "answer": lambda peer, seen: told(seen.request_id, result("a", KIND, reason=echo(peer, seen))),
    "another order": lambda peer, seen: told(seen.request_id, result(peer.token, KIND, status=echo(peer, seen))),
    "error": lambda peer, seen: {"request_id": seen.request_id, "error": error(peer, seen)},
    "error, flat": lambda peer, seen: {"request_id": seen.request_id, "error": echo(peer, seen)},
    "error, escaped": lambda peer, seen: (
        f'{{"request_id":"{seen.request_id}","error":{{"code":"X","message":"{escaped(peer.token)}"}}}}'
    ),
    "bad answer": lambda peer, seen: told(seen.request_id, {KIND: {"response": seen.body, "x": peer.token}}),
    "bad kind": lambda peer, seen: told(seen.request_id, {peer.token: 1, "y": echo(peer, seen)}),
    "bad asset": lambda peer, seen: told(seen.request_id, result("a", KIND, asset=peer.token)),
    "error of nobody": lambda peer, seen: {"request_id": peer.token, "error": error(peer, seen)},
    "answer of nobody": lambda peer, seen: told(peer.token, result(peer.token, echo(peer, seen))),
    "no JSON": lambda peer, seen: '{"data":' + echo(peer, seen),
    "no object": lambda peer, seen: json.dumps([echo(peer, seen)]),
    "token": lambda peer, _: peer.token,
}


async def send(world: World, shown: set[str]) -> None:
    """Send a signed request, and keep all that is shown of it."""
    cancel = CancelOrder("a", ASSET, world.user.public_key)
    signature = await world.oms._service.sign(world.user, codec.signable(cancel))
    body = SecretBytes(codec.encode(CancelOrderRequest(cancel, signature, 1)))
    request = OrderRequest("cancel", (OrderTarget(ASSET, "a"),), body, world.user)
    try:
        answers = await world.sender.send(Delivery(request))
    except Exception as exc:  # noqa: BLE001 - each is looked at
        shown |= set(said_by(exc))
    else:
        shown.add(repr(answers))
    channels = list(world.sender._channels.values())
    things: list[object] = [request, world.sender, *channels, *(each._requests for each in channels)]
    shown |= {repr(thing) for thing in things} | {repr(getattr(thing, "__dict__", "")) for thing in things}
    shown.add(repr(world.sender.statistics()))


@pytest.mark.parametrize("token", TOKENS[:1])
@pytest.mark.parametrize("name", [*FRAMES, "close", "silence"])
async def test_nothing_secret_is_told(
    name: str, token: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "tplus_trio")
    shown: set[str] = set()
    async with open_control(ControlServer(token=token), timeout=3.0) as world:
        world.nursery.start_soon(send, world, shown)
        peer = await world.server.peer()
        seen = await peer.next()
        if name in FRAMES:
            await peer.send(FRAMES[name](peer, seen))
        elif name == "close":
            await peer.close(4401, f"told {peer.token}"[:120])
        await trio.sleep(0.5)
        shown |= {repr(each.__dict__) for each in world.sender._channels.values()}
        await trio.sleep(5)
    assert len(shown) > 4
    shown |= set(told_by_records(caplog.records))
    assert_no_secret(shown, peer.token, bytes(seen.body["signature"]))
