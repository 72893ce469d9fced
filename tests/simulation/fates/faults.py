"""The faults of a world: each is caused for a time, and only if the rules that are declared stay true."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import attrs
import trio

from tests.simulation.settings import sources
from tplus_trio.testing import Response

from .settings import FateSettings

if TYPE_CHECKING:
    from .world import FateWorld

__all__ = ["KINDS", "Injector", "Kind"]

#: Causes the fault for so many seconds.
Cause: TypeAlias = "Callable[[FateWorld, random.Random, float], object]"

#: The answers of a request that was carried out.
_STATUSES: Final = (400, 408, 409, 500, 502, 503, 504)
#: Seconds: longer than a world lasts.
_FOR_EVER: Final = 10_000.0
_ORDERS: Final = ("/orders/create", "/orders/cancel", "/orders/replace", "/orders/amend", "/orders")
_READS: Final = ("/orders/user", "/market", "/nonce", "/auth")


@attrs.frozen
class Kind:
    """A kind of fault.

    Attributes:
        cause: Causes it.
        method: The method of the exchange's faults that is withdrawn at its end; empty if it ends by itself.
        breaks: The rules that do not hold with it.
        is_harmless: Whether the service can be reached and answers in spite of it.
    """

    cause: Cause
    method: str = ""
    breaks: frozenset[str] = frozenset()
    is_harmless: bool = False


def _way(world: FateWorld) -> str:
    """Return the prefix of the paths of the bots' orders."""
    return "/control" if world.settings.by_control else "/orders"


def _act_then_answer(world: FateWorld, rng: random.Random, _: float) -> None:
    drop = rng.random() < 0.2
    answer: int = rng.choice(_STATUSES)
    world.faults.act_then_answer(answer, rng.randint(1, 3), path=_way(world), drop=drop)


def _act_then_garble(world: FateWorld, rng: random.Random, _: float) -> None:
    drop = rng.random() < 0.2
    world.faults.act_then_answer("garbage", rng.randint(1, 2), path=_way(world), drop=drop)


def _act_in_silence(world: FateWorld, rng: random.Random, _: float) -> None:
    drop = rng.random() < 0.2
    world.faults.act_then_answer("nothing", rng.randint(1, 2), path=_way(world), drop=drop)


def _act_then_refuse(world: FateWorld, rng: random.Random, _: float) -> None:
    world.faults.act_then_answer(rng.choice((401, 403)), rng.randint(1, 2), path=_way(world))


def _drop(world: FateWorld, rng: random.Random, _: float) -> None:
    world.faults.drop_after_request(rng.randint(1, 2), path=_way(world))


def _hold(world: FateWorld, rng: random.Random, _: float) -> None:
    seconds = rng.choice((rng.uniform(0.1, 3), rng.uniform(3, 10), rng.uniform(10, 60)))
    world.faults.hold_requests(seconds, rng.randint(1, 3), path=_way(world))


def _concurrently(world: FateWorld, rng: random.Random, _: float) -> None:
    within = rng.choice((0.02, 1.0, 10.0))
    world.faults.handle_concurrently(within, rng.randint(2, 5), path=_way(world), seed=rng.randint(0, 1000))


def _repeat(world: FateWorld, rng: random.Random, _: float) -> None:
    answer: Literal["first", "second"] = "first" if rng.random() < 0.5 else "second"
    after = rng.choice((0.0, rng.uniform(0, 1), rng.uniform(1, 20)))
    world.faults.repeat_requests(after, rng.randint(1, 2), path=_way(world), answer=answer)


def _refuse_later(world: FateWorld, rng: random.Random, _: float) -> None:
    world.faults.refuse_later(n=rng.randint(1, 3), path=_way(world))


def _fail_orders(world: FateWorld, rng: random.Random, seconds: float) -> None:
    prefix = "/control" if world.settings.by_control else ""
    status = rng.choice((400, 401, 403, 404, 408, 409, 429, 500, 502, 503, 504))
    retry_after = 0.5 if status in {429, 503} else None
    path = prefix + rng.choice(_ORDERS)
    world.faults.fail_requests(path, status, rng.randint(1, 2), retry_after=retry_after)


def _fail_reads(world: FateWorld, rng: random.Random, seconds: float) -> None:
    world.faults.fail_requests(rng.choice(_READS), rng.choice((429, 500, 503)), rng.randint(1, 3), retry_after=0.3)


def _proxy_page(world: FateWorld, rng: random.Random, _: float) -> None:
    page = Response(rng.choice((200, 404, 502)), b"<html>a proxy</html>", (("content-type", "text/html"),))
    method = rng.choice((world.faults.replace_answers, world.faults.answer_requests))
    method("/orders", page, 1)


def _answer_of_another(world: FateWorld, rng: random.Random, _: float) -> None:
    """A request is answered with what belongs to another one. It is carried out, or it is not."""
    status = rng.choice(("Received", "Received", "Rejected"))
    body = f'{{"order_id": "another", "status": "{status}", "reason": null}}'
    answer = Response(200, body.encode(), (("content-type", "application/json"),))
    method = rng.choice((world.faults.replace_answers, world.faults.answer_requests))
    method(rng.choice(_ORDERS[:4]), answer, rng.randint(1, 2))


def _fail_for_a_time(world: FateWorld, rng: random.Random, seconds: float) -> None:
    world.faults.fail_requests(rng.choice(("", _way(world))), 503, seconds=seconds)


def _delay_answers(world: FateWorld, rng: random.Random, _: float) -> None:
    path = rng.choice((_way(world), "/orders/user"))
    world.faults.delay_requests(path, rng.choice((rng.uniform(0.1, 2), rng.uniform(3, 15))), rng.randint(1, 3))


def _limit(world: FateWorld, rng: random.Random, _: float) -> None:
    world.faults.limit_rate(rng.uniform(1, 5), path=rng.choice(("", _way(world))), retry_after=0.5)


def _omit(world: FateWorld, rng: random.Random, _: float) -> None:
    world.faults.omit_from_batch(1, 2, path=_way(world), seed=rng.randint(0, 99))


def _shuffle(world: FateWorld, rng: random.Random, _: float) -> None:
    world.faults.shuffle_batch(3, path=_way(world), seed=rng.randint(0, 99))


def _spoil(world: FateWorld, rng: random.Random, _: float) -> None:
    if rng.random() < 0.5:
        world.faults.spoil_rows("/orders", change={"order_id": rng.choice((None, "another", 7))})
    else:
        world.faults.spoil_rows("/orders/user", rng.randint(1, 3), missing=("status",))


def _lag(world: FateWorld, rng: random.Random, seconds: float) -> None:
    world.faults.lag_listings(rng.choice((0.3, 2.0, 20.0)), seconds=seconds)


def _cut(world: FateWorld, rng: random.Random, seconds: float) -> None:
    world.faults.cut_listing(rng.randint(0, 2), seconds=seconds)


def _events(world: FateWorld, rng: random.Random, _: float) -> None:
    faults = world.faults
    method = rng.choice((faults.lose_events, faults.repeat_events, faults.reorder_events))
    method(world.user, rng.randint(1, 6))


def _garble(world: FateWorld, rng: random.Random, _: float) -> None:
    world.faults.garble(rng.choice(("/control", "/orders")), rng.randint(1, 3))


def _garble_one(world: FateWorld, rng: random.Random, _: float) -> None:
    change = {"order_id": rng.choice((None, "another", 7))}
    world.faults.spoil_messages(rng.choice(("/control", "/orders")), rng.randint(1, 2), change=change)


def _decimals(world: FateWorld, rng: random.Random, _: float) -> None:
    asset = rng.choice(world.settings.assets)
    try:
        world.faults.change_decimals(asset, rng.choice((2, 3)), 3)
    except ValueError:  # an open order cannot be expressed with fewer decimals
        world.faults.change_decimals(asset, 3, 3)


def _liquidate(world: FateWorld, rng: random.Random, _: float) -> None:
    positions = world.exchange.positions(world.user)
    if positions:
        position = rng.choice(positions)
        world.faults.liquidate(world.user, position.asset_id, sub_account=position.sub_account_index)


def _partition(world: FateWorld, rng: random.Random, seconds: float) -> None:
    if not world.is_partitioned:
        world.partition(seconds, refuse=rng.random() < 0.5)


def _resume_later(world: FateWorld, _: random.Random, __: float) -> None:
    world.network.stall()


def _stall_feed(world: FateWorld, rng: random.Random, seconds: float) -> None:
    world.faults.stall_feed(rng.choice(("/control", "/orders")), seconds)


def _turn_pages(world: FateWorld, rng: random.Random, _: float) -> None:
    method = rng.choice((world.faults.shift_pages, world.faults.reverse_pages))
    method("/orders/user")


def _style(world: FateWorld, rng: random.Random, seconds: float) -> None:
    world.faults.ack_style(rng.choice(("submitted", "none", "late")), seconds=seconds)


_BY_ORDER: Final = frozenset({"control_keeps_order"})
#: The kinds, by name. A kind that breaks `control_keeps_order` breaks it on the control channel only.
KINDS: Final[dict[str, Kind]] = {
    "act, then an error": Kind(_act_then_answer, "act_then_answer"),
    "act, then garbage": Kind(_act_then_garble, "act_then_answer"),
    "act, then nothing": Kind(_act_in_silence, "act_then_answer"),
    "act, then 401": Kind(_act_then_refuse, "act_then_answer", frozenset({"unauthorized_does_nothing"})),
    "drop after request": Kind(_drop, "drop_after_request"),
    "hold": Kind(_hold, "hold_requests", _BY_ORDER),
    "concurrently": Kind(_concurrently, "handle_concurrently", _BY_ORDER),
    "repeat": Kind(_repeat, "repeat_requests", _BY_ORDER),
    "refuse later": Kind(_refuse_later, "refuse_later"),
    "fail orders": Kind(_fail_orders, "fail_requests"),
    "fail reads": Kind(_fail_reads, "fail_requests"),
    "maintenance": Kind(_fail_for_a_time),
    "proxy page": Kind(_proxy_page, "replace_answers"),
    "answer of another request": Kind(_answer_of_another, "replace_answers"),
    "late answers": Kind(_delay_answers, "delay_requests"),
    "rate limit": Kind(_limit, "limit_rate"),
    "omit from batch": Kind(_omit, "omit_from_batch"),
    "shuffle batch": Kind(_shuffle, "shuffle_batch", is_harmless=True),
    "another order's answer": Kind(_spoil, "spoil_rows"),
    "old listings": Kind(_lag, "lag_listings", frozenset({"listings_current"})),
    "short listings": Kind(_cut, "cut_listing", frozenset({"listings_current"})),
    "pages": Kind(_turn_pages, is_harmless=True),
    "events": Kind(_events, is_harmless=True),
    "garbled frames": Kind(_garble, "garble"),
    "spoiled frames": Kind(_garble_one, "spoil_messages"),
    "decimals": Kind(_decimals, is_harmless=True),
    "liquidation": Kind(_liquidate, is_harmless=True),
    "late confirmation": Kind(lambda world, rng, _: world.faults.confirm_after(rng.choice((0.5, 5))), is_harmless=True),
    "rollback": Kind(lambda world, rng, _: world.faults.roll_back(rng.randint(1, 3)), "roll_back", is_harmless=True),
    "forgotten ids": Kind(
        lambda world, rng, _: world.faults.forget_ids(rng.choice((0.0, 1.0))),
        "",
        frozenset({"order_ids_remembered"}),
        is_harmless=True,
    ),
    "acks": Kind(_style, is_harmless=True),
    "no request ids": Kind(lambda world, rng, _: world.faults.drop_request_ids(rng.randint(1, 3)), "drop_request_ids"),
    "bare answers": Kind(lambda world, rng, _: world.faults.send_bare_answers(rng.randint(1, 3)), "send_bare_answers"),
    "sessions end": Kind(lambda world, _, __: world.faults.end_sessions()),
    "tokens expire": Kind(lambda world, _, __: world.faults.expire_tokens()),
    "tokens revoked": Kind(lambda world, _, __: world.faults.revoke_tokens()),
    "stalled feeds": Kind(_stall_feed),
    "close streams": Kind(lambda world, rng, _: world.faults.close_streams("", rng.choice((1001, 1012)))),
    "handshakes": Kind(lambda world, rng, _: world.faults.reject_handshakes(rng.randint(1, 3)), "reject_handshakes"),
    "resets": Kind(lambda world, _, __: world.network.reset_connections()),
    "closed connections": Kind(lambda world, _, __: world.network.drop_connections()),
    "stall": Kind(_resume_later),
    "partition": Kind(_partition),
    "refused connections": Kind(lambda world, rng, _: world.network.refuse(rng.randint(1, 4))),
    "delay": Kind(lambda world, rng, _: world.network.delay(rng.choice((0.2, 1.0, 3.0)))),
    "slow network": Kind(lambda world, _, __: world.network.throttle(2000)),
}


#: The kinds that hide what became of a request, and those that hide what orders there are. Some are drawn more often.
_HIDING_ANSWERS: Final = (
    "act, then an error",
    "act, then garbage",
    "act, then nothing",
    "act, then 401",
    "drop after request",
    "hold",
    "concurrently",
    "repeat",
    "repeat",
    "repeat",
    "refuse later",
    "late answers",
    "answer of another request",
)
_HIDING_ORDERS: Final = ("old listings", "old listings", "old listings", "short listings", "garbled frames", "stall")
#: How much longer a fault lasts that hides what orders there are, where few kinds happen.
_LASTING: Final = 4.0
_HIDING: Final = (_HIDING_ANSWERS, _HIDING_ORDERS)


def legal_kinds(settings: FateSettings) -> dict[str, Kind]:
    """Return the kinds with which the declared rules hold, but for one that is declared and broken."""
    kept = settings.rules - {settings.broken}
    if not settings.by_control:
        kept -= _BY_ORDER
    return {name: kind for name, kind in KINDS.items() if not kind.breaks & kept}


class Injector:
    """Causes faults, one after the other, until its world becomes calm.

    Args:
        world: The world.
    """

    def __init__(self, world: FateWorld) -> None:
        self._world = world
        self._rng = sources(world.settings.seed, "fates/faults")
        self._kinds = legal_kinds(world.settings)
        if few := world.settings.few_kinds:
            answers, orders = ([name for name in names if name in self._kinds] for names in _HIDING)
            names = [*self._rng.sample(answers, few - 1), self._rng.choice(orders)]
            self._kinds = {name: self._kinds[name] for name in names}
        self._breaking = [name for name, kind in self._kinds.items() if world.settings.broken in kind.breaks]
        #: When faults kept the service from being reached: beginnings and ends, on trio's clock.
        self.disturbances: list[tuple[float, float]] = []

    async def run(self) -> None:
        """Cause faults until cancelled."""
        self._begin()
        async with trio.open_nursery() as nursery:
            while True:
                await trio.sleep(self._rng.expovariate(1 / self._world.settings.between_faults))
                nursery.start_soon(self._cause)

    def _begin(self) -> None:
        """Cause the faults that last to the end."""
        settings, faults = self._world.settings, self._world.faults
        if settings.skew:
            faults.skew_expiry(settings.skew)
        if settings.is_blind:
            faults.lose_events(self._world.user, seconds=_FOR_EVER)

    async def _cause(self) -> None:
        rng = self._rng
        names = self._breaking if self._breaking and rng.random() < 0.4 else list(self._kinds)
        name = rng.choice(names)
        kind, lasts = self._kinds[name], rng.uniform(0.2, self._world.settings.longest_fault)
        if self._world.settings.few_kinds and name in _HIDING_ORDERS:
            lasts *= _LASTING
        self._world.log("fault", f"{name} for {lasts:.2f} s")
        self._world.outcome.faults[name] += 1
        now = trio.current_time()
        if not kind.is_harmless:
            self.disturbances.append((now, now + lasts))
        kind.cause(self._world, rng, lasts)
        await trio.sleep(lasts)
        self._end(kind)

    def _end(self, kind: Kind) -> None:
        if kind.method:
            self._world.faults.clear(kind.method)
        if kind.method == "replace_answers":
            self._world.faults.clear("answer_requests")
        if kind in (KINDS["stall"], KINDS["delay"], KINDS["slow network"], KINDS["refused connections"]):
            self._world.end_network_faults()

    def calm_down(self) -> None:
        """Withdraw all faults. Requests that are held stay held."""
        self._world.faults.clear()
        self._begin()
        self._world.end_network_faults()
