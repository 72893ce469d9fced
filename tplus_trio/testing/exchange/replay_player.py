"""The replay player: publishes the entries of tapes on the exchange's feeds, and keeps their state."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from decimal import Decimal
from typing import Any, Final

from tplus_trio.models import AssetIdentifier, Trade
from tplus_trio.testing.exchange.depth_book import Level
from tplus_trio.testing.exchange.http_messages import as_list, as_object
from tplus_trio.testing.exchange.market_state import Listing, MarketState
from tplus_trio.testing.replay.tape import Tape, TapeAnswer, TapeEntry, TapeFrame

__all__ = ["ReplayPlayer"]

_DEPTH: Final = "/marketdepth/"
_DEPTH_FEED: Final = "/marketdepth/diff/"
_TRADES: Final = "/trades"
#: The exceptions that reading a bad frame can raise. A tape may hold bad frames, and they are sent too.
_BAD_FRAME: Final = (ArithmeticError, LookupError, TypeError, ValueError)


class ReplayPlayer:
    """Plays tape entries on the exchange's markets.

    Only the tape publishes on its feeds: messages of the exchange itself are dropped there. The depth of a taped market
    is the recorded snapshot with every change played so far. Taped trades are recorded like other trades.
    """

    def __init__(self, market_state: MarketState) -> None:
        self._market_state = market_state
        self._loaded: list[Tape] = []
        self._seen: set[tuple[str, int]] = set()

    def has(self, tape: Tape) -> bool:
        """Return whether a tape was loaded."""
        return any(tape is loaded for loaded in self._loaded)

    def load(self, tape: Tape) -> None:
        """Load a tape: list its markets, and serve the first answer of each path from now on."""
        self._loaded.append(tape)
        self._market_state.taped_feeds |= tape.feeds
        first: dict[str, TapeAnswer] = {}
        for entry in tape:
            if isinstance(entry, TapeAnswer):
                first.setdefault(entry.path, entry)
        for answer in first.values():
            self._play_answer(answer)
        for path in tape.feeds:
            if path.startswith(_DEPTH_FEED):
                self._market_state.add_market(AssetIdentifier(path.removeprefix(_DEPTH_FEED)))

    def play(self, entry: TapeEntry) -> None:
        """Play one entry now: send a frame as it was recorded, or serve an answer from now on."""
        if isinstance(entry, TapeAnswer):
            self._play_answer(entry)
            return
        self._market_state.taped_feeds.add(entry.path)
        message = entry.frame.encode()
        if entry.path.startswith(_DEPTH_FEED):
            asset = AssetIdentifier(entry.path.removeprefix(_DEPTH_FEED))
            with suppress(*_BAD_FRAME):
                self._apply(self._market_state.add_market(asset), entry)
            for sent in self._market_state.faults.on_diff(asset, message):
                self._market_state.broadcast(entry.path, sent)
            return
        if entry.path == _TRADES:
            with suppress(*_BAD_FRAME):
                self._record(_decode(entry.frame))
        self._market_state.broadcast(entry.path, message)

    def _play_answer(self, answer: TapeAnswer) -> None:
        body = _decode(answer.body)
        depth = as_object(body)
        if answer.path.startswith(_DEPTH) and depth:
            bids, asks = _levels(depth.get("bids")), _levels(depth.get("asks"))
            asset = AssetIdentifier(answer.path.removeprefix(_DEPTH))
            listing = self._market_state.add_market(asset, *_decimals([*bids, *asks]))
            number = int(depth.get("sequence_number", 0))
            if number > listing.depth.sequence_number or listing.depth.is_new:
                listing.depth.load(bids, asks, number)
        elif answer.path.startswith(_TRADES) and (trades := as_list(body)):
            for trade in reversed(trades):
                self._record(trade)
        else:
            self._market_state.taped_answers[answer.path] = answer.body.encode()

    def _apply(self, listing: Listing, entry: TapeFrame) -> None:
        diff = as_object(_decode(entry.frame))
        if "sequence_number" in diff:
            listing.depth.apply(_levels(diff.get("bids")), _levels(diff.get("asks")), int(diff["sequence_number"]))

    def _record(self, value: object) -> None:
        fields = as_object(value)
        if "trade_id" not in fields:
            return  # a control message
        trade = Trade(
            asset_id=fields["asset_id"],
            trade_id=int(fields["trade_id"]),
            price=_decimal(fields["price"]),
            quantity=_decimal(fields["quantity"]),
            timestamp_ns=int(fields["timestamp_ns"]),
            buyer_is_maker=bool(fields["buyer_is_maker"]),
            status=fields.get("status", "Confirmed"),
        )
        if (trade.asset_id, trade.trade_id) not in self._seen:
            self._seen.add((trade.asset_id, trade.trade_id))
            self._market_state.record_trade(self._market_state.add_market(trade.asset_id), trade)


def _decode(text: str) -> Any:
    """Return the JSON value of a text, with exact numbers; None if it is not JSON, as in a bad frame."""
    try:
        return json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError):
        return None


def _decimal(value: object) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(str(value))


def _levels(value: object) -> list[Level]:
    return [(_decimal(price), _decimal(quantity)) for price, quantity in as_list(value)]


def _decimals(levels: Iterable[Level]) -> tuple[int, int]:
    """Return the decimals of a market's prices and quantities, derived from some of its levels."""
    prices, quantities = 2, 3
    for price, quantity in levels:
        prices = max(prices, _places(price))
        quantities = max(quantities, _places(quantity))
    return prices, quantities


def _places(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return -exponent if isinstance(exponent, int) and exponent < 0 else 0
