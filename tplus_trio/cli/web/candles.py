"""The newest candles of a market."""

from __future__ import annotations

from collections.abc import AsyncIterable
from typing import Final

from tplus_trio.clients.market_data import MarketDataClient
from tplus_trio.errors import TplusError
from tplus_trio.models import AssetIdentifier, Gap, Timebar

__all__ = ["CandleMonitor"]

#: Candles that are kept and shown: two hours, if each is a minute wide.
_CANDLES: Final = 120


class CandleMonitor:
    """Keeps the newest candles of a market, of the width that its feed has.

    Args:
        client: An entered client.
        asset: The market.
    """

    def __init__(self, client: MarketDataClient, asset: AssetIdentifier) -> None:
        self._client = client
        self._asset = asset
        self._candles: dict[int, Timebar] = {}

    @property
    def newest(self) -> tuple[Timebar, ...]:
        """The candles, oldest first; none if the service does not offer them."""
        return tuple(self._candles[opened] for opened in sorted(self._candles))

    async def follow(self) -> None:
        """Read the candles until cancelled, or until the feed fails for good."""
        try:
            async with self._client.stream_klines(self._asset, overflow="conflate") as stream:
                await stream.wait_live()
                await self._load()  # after the subscription: what changes meanwhile is in the buffer of the stream
                async for item in stream:
                    if isinstance(item, Gap):
                        await self._load()
                    else:
                        self._add(item)
        except TplusError:
            return  # the service may not offer this feed; the book is shown without it

    async def _load(self) -> None:
        candles: AsyncIterable[Timebar] = self._client.iter_klines(self._asset, _CANDLES, max_pages=1)
        try:
            async for candle in candles:
                self._add(candle)
        except TplusError:
            return  # the candles of the feed are shown alone

    def _add(self, candle: Timebar) -> None:
        self._candles[candle.open_timestamp_ns] = candle
        if len(self._candles) > _CANDLES:
            del self._candles[min(self._candles)]
