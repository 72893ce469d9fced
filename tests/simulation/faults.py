"""Injects faults: the injector draws the kind of fault; `faults_*.py` have one function for each kind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeAlias

import trio

from tplus_trio.models import AssetIdentifier
from tplus_trio.testing import MemoryNetwork, Rejection

from .consumers import Reader, World
from .faults_connection import CONNECTION_FAULTS
from .faults_data import DATA_KINDS, INNOCENT
from .faults_frame import FRAME_FAULTS
from .faults_network import NETWORK_FAULTS
from .faults_sequence import SEQUENCE_FAULTS
from .faults_user import USER_FAULTS
from .reference import Reference
from .settings import MOST_REST_DELAY, MOST_RETRY_AFTER, Settings, sources
from .traders import Traders

__all__ = ["KINDS", "Fault", "Injector"]

#: A function that causes one fault; it returns False if the fault cannot happen now.
Fault: TypeAlias = "Callable[[Injector], bool | Awaitable[bool | None] | None]"

#: The number of requests or handshakes that one fault affects.
_MOST_ARMED: Final = 3
#: Feeds that need a user, and the beginning of their readers' names.
_PRIVATE: Final = {"/orders": "orders", "/trades/user/events/": "user-events", "/trades/user/": "user-trades"}
#: The paths of REST requests.
_REQUESTS: Final = ("/marketdepth/x", "/trades", "/klines/x", "/orders/user/x", "/nonce/x", "/auth")


class Injector:
    """Causes faults at random times.

    Args:
        world: Counts the faults.
        settings: How often faults happen, and the seed.
        network: The network whose connections fail.
        reference: Records that numbers start over, and where deliveries may be late.
        readers: Reconnect and resynchronise.
        traders: Publish something during a fault.
        sign_in: Lets callers sign in together.
        kinds: The faults by name; None draws them from the seed.
        private: Paths of private feeds whose handshakes a fault refuses; None takes the feeds that have readers.
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
        self.world = world
        self.settings = settings
        self.network = network
        self.faults = network.exchange.faults
        self.reference = reference
        self.readers = readers
        self.traders = traders
        self.sign_in = sign_in
        self.rng = rng = sources(settings.seed, "faults")
        self.restarted_assets: set[AssetIdentifier] = set()
        if private is None:
            private = [path for path in _PRIVATE if any(reader.name.startswith(_PRIVATE[path]) for reader in readers)]
        self.private = private
        self.partition_ends = 0.0
        if kinds is None:
            # Some worlds draw from all kinds of fault, some from a few kinds only.
            names = list(KINDS)
            kinds = {
                name: KINDS[name] for name in (names if rng.random() < 0.5 else rng.sample(names, rng.randrange(2, 6)))
            }
        self._faults_by_name = kinds
        self._kinds = list(kinds)

    @property
    def restarted(self) -> bool:
        """Return whether numbers have started over."""
        return bool(self.restarted_assets)

    @property
    def most_snapshots(self) -> int:
        """Return the most snapshot requests that are legal in this world."""
        books = sum(reader.name.startswith(("book", "depth")) for reader in self.readers)
        return 12 + 8 * books * (1 + self.world.troubles)

    @property
    def patience(self) -> float:
        """Return the seconds after the last fault within which everything must be live again.

        A dead connection has to be noticed, then every fault still armed costs an attempt and a delay.
        """
        settings = self.settings
        attempt = 2 * settings.timeout + settings.restart.max_delay + MOST_RETRY_AFTER + 6 * settings.most_latency
        return settings.ping_interval + settings.ping_timeout + MOST_REST_DELAY + 4 * _MOST_ARMED * attempt

    async def run(self) -> None:
        """Inject faults until cancelled."""
        rng = self.rng
        async with trio.open_nursery() as nursery:
            while True:
                await trio.sleep(rng.expovariate(1 / self.settings.between_faults))
                if rng.random() < 0.25:
                    nursery.start_soon(self.traders.flurry, rng.choice((0.0, 0.01, 0.05)))
                    await trio.sleep(rng.choice((0.0, rng.uniform(0.0, 0.5))))
                await self.inject(rng.choice(self._kinds))

    def forget(self) -> None:
        """Allow numbers to start over again, because all readers have caught up."""
        self.restarted_assets.clear()

    async def inject(self, kind: str) -> None:
        """Cause one fault, and count it if it happened."""
        fault = self._faults_by_name[kind]
        if kind not in INNOCENT:
            self.reference.trades.doubt()
        happened = fault(self)
        if isinstance(happened, Awaitable):
            happened = await happened
        if happened is not False:
            self.world.log("fault", kind)
            self.world.count(kind)

    async def stop(self) -> None:
        """End the faults that last, and disarm those that have not happened yet."""
        self.network.delay(0.0)
        self.network.resume()
        self.network.refuse(0)
        self.network.throttle(None)
        self.faults.limit_rate(None)
        for path in _REQUESTS:
            _use_up(self.faults.on_request, path)
            while self.faults.take_delay(path):
                pass
        for path in ("/marketdepth/diff/x", "/trades", "/klines/diff/x", *_PRIVATE):
            _use_up(self.faults.on_handshake, path)
        self.faults.clear()
        await trio.sleep_until(max(trio.current_time(), self.partition_ends + 0.001))

    # Draws.

    def draw_asset(self) -> AssetIdentifier:
        """Draw a market."""
        return self.rng.choice(self.settings.assets)

    def draw_depth_path(self) -> str:
        """Draw the depth feed of a market."""
        return f"/marketdepth/diff/{self.draw_asset()}"

    def draw_feed(self) -> str:
        """Draw a feed; half of the draws are depth feeds."""
        if self.rng.random() < 0.5:
            return self.draw_depth_path()
        return self.rng.choice(("/trades", "/orders", f"/klines/diff/{self.draw_asset()}"))

    def draw_prefix(self) -> str:
        """Draw the beginning of the paths that a fault affects."""
        return self.rng.choice(("", "/marketdepth/", "/trades", "/klines/", "/orders"))

    def draw_contiguous_asset(self) -> AssetIdentifier | None:
        """Draw a market; None if a lost number cannot be noticed there."""
        asset = self.draw_asset()
        return None if asset in self.settings.by_tens else asset

    def draw_count(self) -> int:
        """Draw how many requests, handshakes or messages one fault affects."""
        return self.rng.randrange(1, _MOST_ARMED + 1)

    # Parts of several faults.

    def may_refuse(self) -> bool:
        """Return whether no other refusal can meet the same attempt: a stream ends at its second refusal.

        True reserves the time from now on.
        """
        now, trouble = trio.current_time(), self.world.auth_trouble
        if trouble and now < trouble[-1] + 4 * self.settings.timeout + self.settings.most_partition + 10.0:
            return False
        trouble.append(now)
        return True

    def resync_some(self) -> None:
        """Call `resync` of about half of the readers."""
        for reader in self.readers:
            if self.rng.random() < 0.5:
                reader.resync()


def _use_up(fault: Callable[[str], None], path: str) -> None:
    """Trigger the refusals that are armed for a path until none is left."""
    while True:
        try:
            fault(path)
        except Rejection:
            continue
        return


#: Every fault, in the order from which the seed draws.
KINDS: Final[dict[str, Fault]] = {
    **CONNECTION_FAULTS,
    **SEQUENCE_FAULTS,
    **FRAME_FAULTS,
    **USER_FAULTS,
    **DATA_KINDS,
    **NETWORK_FAULTS,
}
