"""The frames of the flood server, like the exchange's: one set of templates for each feed."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Iterator
from typing import Any, Final

__all__ = ["FEEDS", "FIRST", "FRESH", "frame", "frames", "snapshot", "stamped"]

#: The first number of every feed: sequence numbers, trade ids and the like. They have seven digits to the end.
FIRST: Final = 1_000_001
#: The number of different frames of a feed; later frames differ in their numbers only.
_VARIETY: Final = 512
#: The book levels on each side of the snapshot, which diffs change.
_LEVELS: Final = 100
#: A placeholder for the number in a template of JSON.
_NUMBER: Final = 7_777_777

#: The best price of each side, and the direction of its levels.
_BEST: Final = ((10000.25, 1), (9999.75, -1))
#: The levels on each side around which the fresh book stays.
_FRESH_LEVELS: Final = 300

_USER: Final = "ab" * 32


def frame(payload: bytes) -> bytes:
    """Make a whole, unmasked text frame."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    return b"\x81\x7e" + struct.pack("!H", size) + payload


def frames(feed: str, first: int, count: int) -> bytes:
    """Make ``count`` consecutive frames of a feed, numbered from ``first``."""
    if feed in FRESH:
        return b"".join(_fresh_frames(FRESH[feed], first, count))
    templates = _templates(FEEDS[feed])
    return b"".join([templates[number % _VARIETY] % number for number in range(first, first + count)])


def stamped(number: int, stamp: int) -> bytes:
    """Make a depth frame of 1+1 levels. The quantity of its ask is the time of sending."""
    return frame(b'{"asks":[[10034.25,%d]],"bids":[[9965.75,3.125]],"sequence_number":%d}' % (stamp, number))


def snapshot() -> bytes:
    """Return the book that the first depth frame changes."""
    draw = random.Random(1)
    asks = [[10000.25 + step, _quantity(draw)] for step in range(_LEVELS)]
    bids = [[9999.75 - step, _quantity(draw)] for step in range(_LEVELS)]
    return json.dumps({"asks": asks, "bids": bids, "sequence_number": FIRST - 1}, separators=(",", ":")).encode()


def _templates(payload: Callable[[random.Random], Any]) -> list[bytes]:
    """Make frames with ``%d`` in place of the number. It has seven digits, so that every frame's length is known."""
    draw = random.Random(7)
    made = []
    for _ in range(_VARIETY):
        text = json.dumps(payload(draw), separators=(",", ":")).encode()
        head = frame(text)[: -len(text)].replace(b"%", b"%%")
        made.append(head + text.replace(b"%d" % _NUMBER, b"%d"))
    return made


def _quantity(draw: random.Random) -> float:
    return draw.randrange(1, 8000) / 8


def _depth(levels: int) -> Callable[[random.Random], Any]:
    def payload(draw: random.Random) -> Any:
        def side(best: float, step: int) -> list[list[float]]:
            chosen = sorted(draw.sample(range(_LEVELS), levels))
            # One change in four removes a level; another one restores it later.
            return [[best + step * at, _quantity(draw) if draw.random() < 0.75 else 0] for at in chosen]

        return {"asks": side(10000.25, 1), "bids": side(9999.75, -1), "sequence_number": _NUMBER}

    return payload


def _fresh_frames(levels: int, first: int, count: int) -> Iterator[bytes]:
    """Make changes of a few hundred levels a side, whose prices and quantities hardly ever repeat."""
    draw = random.Random(first)
    sides = [([base + step * at for at in range(_LEVELS)], base, step) for base, step in _BEST]

    def change(resting: list[float], base: float, step: int) -> str:
        if draw.random() * 2 * _FRESH_LEVELS < len(resting):
            at = draw.randrange(len(resting))
            resting[at], resting[-1] = resting[-1], resting[at]
            return f"[{_text(resting.pop())},0]"
        resting.append(base + step * draw.randrange(1, 40_000) / 100)
        return f"[{_text(resting[-1])},{_text(draw.randrange(1, 10**7) / 1000)}]"

    for number in range(first, first + count):
        asks, bids = (",".join([change(*side) for _ in range(levels)]) for side in sides)
        yield frame(f'{{"asks":[{asks}],"bids":[{bids}],"sequence_number":{number}}}'.encode())


def _text(number: float) -> str:
    return repr(round(number, 3)).removesuffix(".0")


def _time(draw: random.Random) -> int:
    return 1_761_283_013_000_000_000 + draw.randrange(1_000_000_000)


def _asset(draw: random.Random) -> str:
    """Return one of twenty markets, each named by its address."""
    return f"{draw.randrange(20):02x}af49447d8a07e3bd95bd0d56f35241523fbab1{'0' * 24}@00000000000000a4b1"


def _trade(draw: random.Random) -> Any:
    return {
        "asset_id": _asset(draw),
        "trade_id": _NUMBER,
        "price": f"{draw.uniform(3800, 3900):.8f}",
        "quantity": f"{draw.uniform(0.01, 5):.8f}",
        "timestamp_ns": _time(draw),
        "buyer_is_maker": draw.random() < 0.5,
        "status": "Confirmed",
    }


def _user_trade(draw: random.Random) -> Any:
    return {
        "asset_id": _asset(draw),
        "trade_id": _NUMBER,
        "order_id": f"{draw.getrandbits(128):032x}"[:24],
        "price": f"{draw.uniform(3800, 3900):.8f}",
        "quantity": f"{draw.uniform(0.01, 5):.8f}",
        "timestamp_ns": _time(draw),
        "is_maker": draw.random() < 0.5,
        "is_buyer": draw.random() < 0.5,
        "status": draw.choice(("Pending", "Confirmed")),
        "rollback_reason": None,
        "is_liquidation": False,
        "is_auto_deleverage": False,
        "sub_account": 1,
        "trading_fee": f"{draw.uniform(0, 2):.6f}",
    }


def _kline(draw: random.Random) -> Any:
    """Make the current candle with a change."""
    low, high = draw.uniform(3800, 3850), draw.uniform(3850, 3900)
    return [
        {
            "open": f"{draw.uniform(low, high):.4f}",
            "high": f"{high:.4f}",
            "low": f"{low:.4f}",
            "close": f"{draw.uniform(low, high):.4f}",
            "volume": f"12345.{_NUMBER}",
            "open_timestamp_ns": 1_761_283_020_000_000_000,
            "close_timestamp_ns": 1_761_283_080_000_000_000,
        }
    ]


def _order_event(draw: random.Random) -> Any:
    """Make an event. Every order is created and ends: half of the events create it, a quarter each ends it one way."""
    about = {
        "order_id": f"order-{_NUMBER}",
        "asset_id": _asset(draw),
        "user_id": _USER,
        "timestamp_ns": _time(draw),
        "initial_receive_timestamp_ns": _time(draw),
    }
    match draw.randrange(4):
        case 0:
            return {"Canceled": {**about, "reason": "UserRequested"}}
        case 1:
            filled = draw.randrange(1, 5000)
            counts = {"filled_quantity": filled, "confirmed_quantity": filled, "book_quantity_decimals": 3}
            amounts = {"filled_amount": filled * 1000, "confirmed_amount": filled * 1000}
            return {"Removed": {**about, "reason": "Completed", **counts, **amounts}}
        case _:
            limit = {"limit_price": draw.randrange(1, 10**6), "quantity": draw.randrange(1, 10**4)}
            order = {
                "signer": _USER,
                "order_id": f"order-{_NUMBER}",
                "base_asset": _asset(draw),
                "book_price_decimals": 2,
                "book_quantity_decimals": 3,
                "details": {"Limit": {**limit, "time_in_force": {"GTC": {"post_only": True}}}},
                "side": draw.choice(("Buy", "Sell")),
                "trigger": None,
                "creation_timestamp_ns": _time(draw),
                "target": {"account": 1, "is_spot": True},
                "reduce_only": False,
                "max_trading_fees_rate": 50000,
                "protocol_version": 1,
            }
            signature = [draw.randrange(256) for _ in range(64)]
            return {"Created": {"user_order": order, "signature": signature, "book_timestamp_ns": _time(draw)}}


#: The levels on each side of the changes of a feed whose frames have fresh prices.
FRESH: Final = {"depth 1+1, fresh": 1, "depth 5+5, fresh": 5}
#: Draws the payloads of each other feed.
FEEDS: Final[dict[str, Callable[[random.Random], Any]]] = {
    "depth 1+1": _depth(1),
    "depth 5+5": _depth(5),
    "trades": _trade,
    "user trades": _user_trade,
    "klines": _kline,
    "orders": _order_event,
}
