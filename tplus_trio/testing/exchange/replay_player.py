"""The replay player: publishes the entries of tapes on the exchange's feeds, and keeps their state."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any, Final

from tplus_trio.models import AssetIdentifier, Trade
from tplus_trio.testing.exchange.depth_book import Level
from tplus_trio.testing.exchange.feeds import ABNORMAL
from tplus_trio.testing.exchange.http_messages import as_list, as_object
from tplus_trio.testing.exchange.market_state import Listing, MarketState
from tplus_trio.testing.exchange.tape_outlook import DEPTH, DEPTH_FEED, KLINES_FEED, TRADES, TapeOutlook, feed_of
from tplus_trio.testing.replay.tape import Tape, TapeAnswer, TapeEntry, TapeFrame, TapeLoss

__all__ = ["ReplayPlayer"]

#: A sequence number that is lower than the last by more than this is of a service that has started over.
_RESTART: Final = 1000
#: A page of candles that proves nothing.
_NO_CANDLES: Final = b'{"items":[],"has_next_page":false,"next_page":null}'
#: The exceptions that reading a bad frame can raise. A tape may hold bad frames, and they are sent too.
_BAD_FRAME: Final = (ArithmeticError, LookupError, TypeError, ValueError)


class ReplayPlayer:
    """Plays tape entries on the exchange's markets.

    Only the tape publishes on its feeds: messages of the exchange itself are dropped there. The depth of a taped market
    is the recorded snapshot with every change played so far. Taped trades are recorded like other trades.

    What the recorder lost, the subscribers lose too. From there on, REST has what the recorder's own requests brought,
    and nothing else: a client can prove that nothing is missing only if the recorder could.
    """

    def __init__(self, market_state: MarketState) -> None:
        self._market_state = market_state
        self._loaded: list[tuple[Tape, TapeOutlook]] = []
        self._seen: set[tuple[str, int]] = set()
        #: The trades that REST lists since the last loss of trades.
        self._listed: set[tuple[str, int]] = set()
        #: The depth feeds whose connection was lost, and which have brought nothing since.
        self._lost: set[str] = set()

    def has(self, tape: Tape) -> bool:
        """Return whether a tape was loaded."""
        return any(tape is loaded for loaded, _ in self._loaded)

    def load(self, tape: Tape) -> None:
        """Load a tape: list its markets, and serve the first answer of each path from now on."""
        outlook = TapeOutlook(tape)
        self._loaded.append((tape, outlook))
        self._market_state.taped_feeds |= tape.feeds
        for answer in outlook.first_answers(tape):
            self._play_answer(answer)
        for path in tape.feeds:
            if path.startswith(DEPTH_FEED):
                self._market_state.add_market(AssetIdentifier(path.removeprefix(DEPTH_FEED)))

    def play(self, entry: TapeEntry) -> None:
        """Play one entry now: send a frame as it was recorded, serve an answer from now on, or lose connections."""
        for _, outlook in self._loaded:
            outlook.passed(entry)
        if isinstance(entry, TapeAnswer):
            self._play_answer(entry)
            return
        if isinstance(entry, TapeLoss):
            self._play_loss(entry)
            return
        self._market_state.taped_feeds.add(entry.path)
        message = entry.frame.encode()
        if entry.path.startswith(DEPTH_FEED):
            asset = AssetIdentifier(entry.path.removeprefix(DEPTH_FEED))
            with suppress(*_BAD_FRAME):
                self._apply(self._market_state.add_market(asset), entry)
            for sent in self._market_state.faults.on_diff(asset, message):
                self._market_state.broadcast(entry.path, sent)
            return
        if entry.path == TRADES:
            with suppress(*_BAD_FRAME):
                self._record(_decode(entry.frame))
        self._market_state.broadcast(entry.path, message)

    def _play_answer(self, answer: TapeAnswer) -> None:
        body = _decode(answer.body)
        if answer.path.startswith(DEPTH) and as_object(body):
            # After a loss the service may have started over, with lower numbers.
            self._load_depth(answer, replaces=feed_of(answer.path) in self._lost)
        elif feed_of(answer.path) == TRADES and (trades := as_list(body)):
            for trade in reversed(trades):
                self._record(trade)
        else:
            self._market_state.taped_answers[answer.path] = answer.body.encode()

    def _load_depth(self, answer: TapeAnswer, *, replaces: bool = False) -> None:
        """Begin a market's depth with a snapshot, if it is newer or ``replaces`` is true."""
        depth = as_object(_decode(answer.body))
        bids, asks = _levels(depth.get("bids")), _levels(depth.get("asks"))
        asset = AssetIdentifier(answer.path.removeprefix(DEPTH))
        listing = self._market_state.add_market(asset, *_decimals([*bids, *asks]))
        number = int(depth.get("sequence_number", 0))
        if replaces or number > listing.depth.sequence_number or listing.depth.is_new:
            listing.depth.load(bids, asks, number)

    def _apply(self, listing: Listing, entry: TapeFrame) -> None:
        """Change a market's depth; where changes are missing, begin again with the snapshot that the tape has."""
        diff = as_object(_decode(entry.frame))
        if "sequence_number" not in diff:
            return
        depth, number = listing.depth, int(diff["sequence_number"])
        is_first, last = entry.path in self._lost, depth.sequence_number
        self._lost.discard(entry.path)
        is_jump = number > last + 1 or depth.is_new
        if number != last + 1 and (is_jump or is_first or last - number > _RESTART):
            if (answer := self._snapshot(entry.path, number - 1)) is not None:
                self._load_depth(answer, replaces=True)
            elif is_jump and all(outlook.is_contiguous(entry.path) for _, outlook in self._loaded):
                depth.is_known = False
        if depth.is_known and (number > depth.sequence_number or depth.is_new):
            depth.apply(_levels(diff.get("bids")), _levels(diff.get("asks")), number)

    def _snapshot(self, feed: str, least: int) -> TapeAnswer | None:
        """Return the next snapshot on the tapes that has at least this sequence number."""
        found = (outlook.snapshot(feed, least) for _, outlook in self._loaded)
        return next((answer for answer in found if answer is not None), None)

    def _play_loss(self, loss: TapeLoss) -> None:
        """Let the subscribers of a feed lose what the recorder lost, and serve what it recovered from now on."""
        answers = [answer for _, outlook in self._loaded for answer in outlook.answers(loss)]
        if loss.path == TRADES:
            self._list_afresh(answers)
        elif loss.path.startswith(KLINES_FEED):
            taped = self._market_state.taped_answers
            taped.update(dict.fromkeys([path for path in taped if feed_of(path) == loss.path], _NO_CANDLES))
            taped[f"/klines/{loss.path.removeprefix(KLINES_FEED)}"] = _NO_CANDLES
            taped.update((answer.path, answer.body.encode()) for answer in answers)
        elif loss.path.startswith(DEPTH_FEED):
            if not loss.connection:  # the sequence numbers show it
                if (answer := self._snapshot(loss.path, 0)) is not None:
                    self._load_depth(answer)
                return
            self._lost.add(loss.path)
        for subscription in self._market_state.hub.matching(loss.path):
            if subscription.path == loss.path:
                subscription.close(ABNORMAL)

    def _list_afresh(self, answers: Iterable[TapeAnswer]) -> None:
        """Let REST list the trades of these answers only, and those that are played from now on."""
        trades = dict[tuple[str, int], Trade]()
        for answer in answers:
            for fields in as_list(_decode(answer.body)):
                with suppress(*_BAD_FRAME):
                    trade = _trade(as_object(fields))
                    trades[trade.asset_id, trade.trade_id] = trade
        self._listed = set(trades)
        self._market_state.taped_trades = sorted(
            trades.values(), key=lambda trade: (trade.timestamp_ns, trade.trade_id)
        )

    def _record(self, value: object) -> None:
        fields = as_object(value)
        if "trade_id" not in fields:
            return  # a control message
        trade = _trade(fields)
        key = trade.asset_id, trade.trade_id
        if self._market_state.taped_trades is not None and key not in self._listed:
            self._listed.add(key)
            self._market_state.taped_trades.append(trade)
        if key not in self._seen:
            self._seen.add(key)
            self._market_state.record_trade(self._market_state.add_market(trade.asset_id), trade)


def _trade(fields: Mapping[str, Any]) -> Trade:
    return Trade(
        asset_id=fields["asset_id"],
        trade_id=int(fields["trade_id"]),
        price=_decimal(fields["price"]),
        quantity=_decimal(fields["quantity"]),
        timestamp_ns=int(fields["timestamp_ns"]),
        buyer_is_maker=bool(fields["buyer_is_maker"]),
        status=fields.get("status", "Confirmed"),
    )


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
