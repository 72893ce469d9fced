"""What goes wrong, and when."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from random import Random
from typing import Final, TypeAlias

import trio

from tplus_trio.models import AssetIdentifier
from tplus_trio.testing import MemoryNetwork, Rejection
from tplus_trio.testing.wire_frames import BINARY, TEXT, frame

from .consumers import Reader, World
from .faults_data import DATA_KINDS, INNOCENT
from .faults_network import NETWORK_FAULTS
from .reference import Reference
from .settings import MOST_DELAY, MOST_REST_DELAY, Settings, sources
from .traders import Traders

__all__ = ["KINDS", "Fault", "Injector"]

#: False if it could not happen now.
Fault: TypeAlias = "Callable[[Injector], bool | Awaitable[bool | None] | None]"

#: Seconds.
_MOST_RETRY_AFTER: Final = 4
#: Within so many steps of the scheduler a message is through.
_STEPS: Final = 40
#: How many requests or handshakes one fault is good for.
_MOST_ARMED: Final = 3
#: Feeds that need a user, and how their readers' names begin.
_PRIVATE: Final = {"/orders": "orders", "/trades/user/events/": "user-events", "/trades/user/": "user-trades"}
#: What is requested over REST.
_REQUESTS: Final = ("/marketdepth/x", "/trades", "/klines/x", "/orders/user/x", "/nonce/x", "/auth")
_GARBAGE: Final = (
    '{"sequence_number": \x07 nonsense',
    "",
    "[]]",
    "{}",
    '{"bids":[[1,"NaN"]],"asks":[],"sequence_number":7}',
    '{"bids":[[1,-1]],"asks":[],"sequence_number":7}',
    '{"Created":{}}',
    "null",
    "[" * 5000,
)
_ILLEGAL: Final = (
    b"\xf1\x03abc",  # reserved bits
    b"\x83\x01x",  # an opcode that does not exist
    bytes(frame(TEXT, b"\xff\xfe")),  # not UTF-8
    b"\x09\x01x",  # a ping in fragments
)


class Injector:
    """Lets things go wrong at random moments.

    Args:
        world: Counts the faults.
        settings: How often, and with what seed.
        network: Where connections fail.
        reference: Hears of numbers that start over.
        readers: Order reconnections and resynchronisations.
        traders: See to it that something is on its way when things go wrong.
        sign_in: Lets callers sign in together.
        kinds: What goes wrong; None draws it from the seed.
        private: Feeds that a user is refused; None are those that there are readers of.
    """

    def __init__(
        self,
        world: World,
        settings: Settings,
        network: MemoryNetwork,
        reference: Reference,
        readers: list[Reader],
        traders: Traders,
        sign_in: Callable[[], Awaitable[None]],
        *,
        kinds: Mapping[str, Fault] | None = None,
        private: Sequence[str] | None = None,
    ) -> None:
        self._world = world
        self._settings = settings
        self._network = network
        self._faults = network.exchange.faults
        self._reference = reference
        self._readers = readers
        self._traders = traders
        self._sign_in = sign_in
        self._rng = rng = sources(settings.seed, "faults")
        self._restarts: set[AssetIdentifier] = set()
        if private is None:
            private = [path for path in _PRIVATE if any(reader.name.startswith(_PRIVATE[path]) for reader in readers)]
        self._private = private
        self._partition_ends = 0.0
        if kinds is None:
            # Some worlds suffer from everything, some from a few things over and over.
            names = list(KINDS)
            kinds = {
                name: KINDS[name] for name in (names if rng.random() < 0.5 else rng.sample(names, rng.randrange(2, 6)))
            }
        self._faults_by_name = kinds
        self._kinds = list(kinds)

    @property
    def restarted(self) -> bool:
        """Whether numbers have started over."""
        return bool(self._restarts)

    @property
    def most_snapshots(self) -> int:
        """How many snapshots may be asked for, in all."""
        books = sum(reader.name.startswith(("book", "depth")) for reader in self._readers)
        return 12 + 8 * books * (1 + self._world.troubles)

    @property
    def patience(self) -> float:
        """How long, after the last fault, until everything must be live again.

        A dead connection has to be noticed, then every fault still armed costs an attempt, and a delay.
        """
        settings = self._settings
        attempt = 2 * settings.timeout + settings.restart.max_delay + _MOST_RETRY_AFTER + 6 * settings.most_latency
        return settings.ping_interval + settings.ping_timeout + MOST_REST_DELAY + 4 * _MOST_ARMED * attempt

    async def run(self) -> None:
        """Until cancelled."""
        rng = self._rng
        async with trio.open_nursery() as nursery:
            while True:
                await trio.sleep(rng.expovariate(1 / self._settings.between_faults))
                if rng.random() < 0.25:
                    nursery.start_soon(self._traders.flurry, rng.choice((0.0, 0.01, 0.05)))
                    await trio.sleep(rng.choice((0.0, rng.uniform(0.0, 0.5))))
                await self.inject(rng.choice(self._kinds))

    def forget(self) -> None:
        """Let numbers start over once more: everybody has followed."""
        self._restarts.clear()

    async def inject(self, kind: str) -> None:
        """Let one thing go wrong. It is counted if it could."""
        fault = self._faults_by_name[kind]
        if kind not in INNOCENT:
            self._reference.trades.doubt()
        happened = fault(self)
        if isinstance(happened, Awaitable):
            happened = await happened
        if happened is not False:
            self._world.log("fault", kind)
            self._world.count(kind)

    async def stop(self) -> None:
        """End what goes on by itself, and what still waits to happen."""
        self._network.delay(0.0)
        self._network.resume()
        self._network.refuse(0)
        self._network.throttle(None)
        self._faults.limit_rate(None)
        for path in _REQUESTS:
            _use_up(self._faults.on_request, path)
            while self._faults.take_delay(path):
                pass
        for path in ("/marketdepth/diff/x", "/trades", "/klines/diff/x", *_PRIVATE):
            _use_up(self._faults.on_handshake, path)
        self._faults.clear()
        await trio.sleep_until(max(trio.current_time(), self._partition_ends + 0.001))

    # Choices.

    def _asset(self) -> AssetIdentifier:
        return self._rng.choice(self._settings.assets)

    def _depth_path(self) -> str:
        return f"/marketdepth/diff/{self._asset()}"

    def _feed(self) -> str:
        """A feed: as likely as not a depth feed."""
        if self._rng.random() < 0.5:
            return self._depth_path()
        return self._rng.choice(("/trades", "/orders", f"/klines/diff/{self._asset()}"))

    def _prefix(self) -> str:
        return self._rng.choice(("", "/marketdepth/", "/trades", "/klines/", "/orders"))

    def _contiguous(self) -> AssetIdentifier | None:
        """A market where a lost number is noticed."""
        asset = self._asset()
        return None if asset in self._settings.by_tens else asset

    @property
    def rng(self) -> Random:
        """Where choices are drawn from."""
        return self._rng

    @property
    def settings(self) -> Settings:
        """The world's."""
        return self._settings

    @property
    def network(self) -> MemoryNetwork:
        """Where connections fail."""
        return self._network

    @property
    def reference(self) -> Reference:
        """What really happened."""
        return self._reference

    def may_refuse(self) -> bool:
        """Whether no other refusal can meet the same attempt: the second would be for good."""
        return self._may_refuse()

    def _armed(self) -> int:
        return self._rng.randrange(1, _MOST_ARMED + 1)

    # The network.

    def drop(self) -> None:
        self._network.drop_connections()

    def reset(self) -> None:
        self._network.reset_connections()

    async def reset_mid_frame(self) -> None:
        # The rest of the frame never comes: what is sent meanwhile is taken for it, and the connection ends first.
        self._reference.disturbed(2 * self._settings.most_latency + 0.01)
        self._faults.send_wire(self._feed(), frame(TEXT, b"x" * 60_000)[: self._rng.randrange(1, 2000)])
        try:
            await trio.sleep(2 * self._settings.most_latency + 0.01)
        finally:
            # Also if the world calms down meanwhile: half a frame alone is a silence, which is noticed later.
            self._network.reset_connections()

    def stall(self) -> None:
        self._reference.disturbed(self._settings.notice)
        self._network.stall()

    def partition(self) -> bool:
        return self._partition(refuse=False)

    def partition_refusing(self) -> bool:
        return self._partition(refuse=True)

    def _partition(self, *, refuse: bool) -> bool:
        if trio.current_time() <= self._partition_ends:
            return False
        seconds = self._rng.uniform(0.1, self._settings.most_partition)
        self._partition_ends = trio.current_time() + seconds
        self._reference.disturbed(seconds)
        self._network.partition(seconds, refuse=refuse)
        return True

    def refuse(self) -> None:
        self._network.refuse(self._armed())

    async def delay(self) -> None:
        seconds = self._rng.uniform(0.1, 5.0)
        self._network.delay(self._rng.uniform(0.0, MOST_DELAY))
        self._reference.disturbed(seconds + MOST_DELAY)
        await trio.sleep(seconds)
        self._network.delay(0.0)

    # Handshakes and requests.

    def _reject(self, status: int) -> None:
        after = float(self._rng.randrange(1, _MOST_RETRY_AFTER + 1)) if status == 429 else None
        self._faults.reject_handshakes(self._armed(), status, path=self._prefix(), retry_after=after)
        self._network.reset_connections()

    def _may_refuse(self) -> bool:
        """Whether no other refusal can meet the same attempt: the second would be for good."""
        now, trouble = trio.current_time(), self._world.auth_trouble
        if trouble and now < trouble[-1] + 4 * self._settings.timeout + self._settings.most_partition + 10.0:
            return False
        trouble.append(now)
        return True

    def _refuse_user(self, status: int) -> bool:
        if not self._private or not self._may_refuse():
            return False
        self._faults.reject_handshakes(1, status, path=self._rng.choice(self._private))
        self._network.reset_connections()
        return True

    def handshake_401(self) -> bool:
        return self._refuse_user(401)

    def handshake_403(self) -> bool:
        return self._refuse_user(403)

    def handshake_429(self) -> None:
        self._reject(429)

    def handshake_500(self) -> None:
        self._reject(500)

    def handshake_503(self) -> None:
        self._reject(503)

    def rest_503(self) -> None:
        self._faults.fail_requests(self._prefix(), 503, self._armed())

    def rest_429(self) -> None:
        self._faults.fail_requests(self._prefix(), 429, self._armed(), retry_after=1.0)

    def sign_in_503(self) -> None:
        self._faults.fail_requests(self._rng.choice(("/nonce/", "/auth")), 503, self._armed())

    def rest_delayed(self) -> None:
        self._faults.delay_requests(self._prefix(), self._rng.uniform(0.0, MOST_REST_DELAY), self._armed())
        if self._rng.random() < 0.5:
            self._network.reset_connections()

    async def tokens_expired(self) -> bool:
        if not self._may_refuse():
            return False
        self._faults.expire_tokens()
        await self._sign_in()
        return True

    def tokens_expired_and_reset(self) -> bool:
        if not self._may_refuse():
            return False
        self._faults.expire_tokens()
        self._network.reset_connections()
        return True

    def close_frame(self) -> None:
        self._faults.close_streams(self._rng.choice(("", self._feed())), self._rng.choice((1000, 1001, 1011, 1012)))

    # Snapshots and sequence numbers. Where numbers go up by ten, nobody can know of what this would lose.

    def snapshot_delayed(self) -> None:
        seconds = self._rng.uniform(0.0, MOST_REST_DELAY)
        self._faults.delay_requests("/marketdepth/", seconds, self._armed())
        self._resync_some()

    def snapshot_stale(self) -> bool:
        if (asset := self._contiguous()) is None:
            return False
        self._faults.stale_snapshots(self._armed(), self._rng.randrange(1, 20), asset=asset)
        if self._rng.random() < 0.5:
            # Answered late, it meets changes that it is too old for.
            self._faults.delay_requests("/marketdepth/", self._rng.uniform(0.0, MOST_REST_DELAY), self._armed())
        self._resync_some()
        return True

    def sequence_skipped(self) -> None:
        self._faults.skip_sequence(self._asset(), self._rng.choice((1, 1, 5, 2000)))

    def sequence_repeated(self) -> None:
        self._faults.repeat_diffs(self._asset(), self._rng.choice((1, 3, 10)))

    def sequence_swapped(self) -> bool:
        if (asset := self._contiguous()) is None:
            return False
        self._faults.swap_diffs(asset)
        return True

    def sequence_lost(self) -> bool:
        if (asset := self._contiguous()) is None:
            return False
        self._faults.lose_diffs(asset, self._rng.choice((1, 1, 4)))
        return True

    def sequence_restarted(self) -> bool:
        asset = self._asset()
        if asset in self._restarts:
            return False  # from low numbers, starting over cannot be told from repeats
        self._restarts.add(asset)
        self._faults.restart_sequence(asset)
        self._reference.restarted(asset)
        return True

    def sequence_restarted_and_dropped(self) -> bool:
        if happened := self.sequence_restarted():
            self._network.reset_connections()
        return happened

    # Frames.

    def garbage(self) -> None:
        self._faults.send_text(self._feed(), self._rng.choice(_GARBAGE))

    def garbled(self) -> None:
        self._faults.garble(self._feed(), 1, self._rng.choice(_GARBAGE))

    def binary(self) -> None:
        self._faults.send_wire(self._feed(), frame(BINARY, b"\x00\x01"))

    def illegal_frame(self) -> None:
        self._faults.send_wire(self._feed(), self._rng.choice(_ILLEGAL))

    def fragmented(self) -> None:
        self._faults.fragment(self._feed(), self._armed(), self._rng.randrange(2, 6))

    def control_message(self) -> None:
        kind = self._rng.choice(("ping", "pong", "subscriptions"))
        self._faults.send_text(self._feed(), f'{{"type":"{kind}"}}')

    # What users of the client order.

    def reconnect_ordered(self) -> None:
        self._rng.choice(self._readers).reconnect()

    def resync_ordered(self) -> None:
        self._resync_some()

    async def consumer_interrupted(self) -> bool:
        return await self._interrupt(Reader.interrupt)

    async def consumer_cut_off(self) -> bool:
        return await self._interrupt(Reader.cut_off)

    async def _interrupt(self, how: Callable[[Reader], None]) -> bool:
        """Cancel a consumer a step or two after something came for it."""
        latency = self._settings.latency
        if isinstance(latency, tuple):
            return False
        for _ in range(self._rng.randrange(1, 6)):
            reader = self._rng.choice(self._readers)
            before = reader.stats.messages
            self._traders.act(self._asset())
            await trio.sleep(latency)
            for _ in range(_STEPS):
                await trio.lowlevel.checkpoint()
                if reader.stats.messages != before:
                    break
            for _ in range(self._rng.randrange(4)):
                await trio.lowlevel.checkpoint()
            how(reader)
            await trio.sleep(0.1)
        return True

    def _resync_some(self) -> None:
        for reader in self._readers:
            if self._rng.random() < 0.5:
                reader.resync()


def _use_up(fault: Callable[[str], None], path: str) -> None:
    """Let what is armed for a path happen to nobody."""
    while True:
        try:
            fault(path)
        except Rejection:
            continue
        return


#: Every fault there is. One returns False if it could not happen now.
_FAULTS: Final[tuple[Fault, ...]] = (
    Injector.drop,
    Injector.reset,
    Injector.reset_mid_frame,
    Injector.stall,
    Injector.partition,
    Injector.partition_refusing,
    Injector.refuse,
    Injector.delay,
    Injector.handshake_401,
    Injector.handshake_403,
    Injector.handshake_429,
    Injector.handshake_500,
    Injector.handshake_503,
    Injector.rest_503,
    Injector.rest_429,
    Injector.sign_in_503,
    Injector.rest_delayed,
    Injector.tokens_expired,
    Injector.tokens_expired_and_reset,
    Injector.close_frame,
    Injector.snapshot_delayed,
    Injector.snapshot_stale,
    Injector.sequence_skipped,
    Injector.sequence_repeated,
    Injector.sequence_swapped,
    Injector.sequence_lost,
    Injector.sequence_restarted,
    Injector.sequence_restarted_and_dropped,
    Injector.garbage,
    Injector.garbled,
    Injector.binary,
    Injector.illegal_frame,
    Injector.fragmented,
    Injector.control_message,
    Injector.reconnect_ordered,
    Injector.resync_ordered,
    Injector.consumer_interrupted,
    Injector.consumer_cut_off,
)
KINDS: Final[dict[str, Fault]] = {
    **{fault.__name__.replace("_", " "): fault for fault in _FAULTS},
    **DATA_KINDS,
    **NETWORK_FAULTS,
}
