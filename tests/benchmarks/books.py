"""Books without a network: ``python -m tests.benchmarks.books NAME CHANGES``. Apply a change, read the best levels."""

from __future__ import annotations

import importlib
import random
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from tplus_trio import LocalBook, OrderBook, OrderBookDiff, PriceLevel

from .job import tell

_LEVELS: Final = 5000
_MID: Final = Decimal(10000)
_TICK: Final = Decimal("0.01")

Step = Callable[[OrderBookDiff], object]


def local_book(snapshot: OrderBook) -> Step:
    """This project's book. It also checks sequence numbers."""
    book = LocalBook(snapshot)

    def step(diff: OrderBookDiff) -> object:
        book.apply(diff)
        return book.best_bid, book.best_ask

    return step


def sorted_dicts(snapshot: OrderBook) -> Step:
    """The usual book in pure Python: one ``sortedcontainers.SortedDict`` for each side."""
    module: Any = importlib.import_module("sortedcontainers")
    bids, asks = module.SortedDict(snapshot.bids), module.SortedDict(snapshot.asks)

    def step(diff: OrderBookDiff) -> object:
        for side, levels in ((bids, diff.bids), (asks, diff.asks)):
            for price, quantity in levels:
                if quantity:
                    side[price] = quantity
                else:
                    side.pop(price, None)
        return bids.peekitem(-1), asks.peekitem(0)

    return step


def compiled(snapshot: OrderBook) -> Step:
    """``order-book``, which is written in C."""
    module: Any = importlib.import_module("order_book")
    book = module.OrderBook()
    book.bids, book.asks = dict(snapshot.bids), dict(snapshot.asks)
    bids, asks = book.bids, book.asks

    def step(diff: OrderBookDiff) -> object:
        for side, levels in ((bids, diff.bids), (asks, diff.asks)):
            for price, quantity in levels:
                if quantity:
                    side[price] = quantity
                elif price in side:
                    del side[price]
        return bids.index(0), asks.index(0)

    return step


BOOKS: Final[dict[str, Callable[[OrderBook], Step]]] = {
    "tplus_trio": local_book,
    "sortedcontainers": sorted_dicts,
    "order-book (C)": compiled,
}


def _price(side: int, draw: random.Random) -> Decimal:
    """Draw a price: four in five are among the fifty best levels, the fifth is any level."""
    depth = draw.randrange(50) if draw.random() < 0.8 else draw.randrange(_LEVELS)
    return _MID + side * _TICK * (depth + 1)


def _diff(number: int, draw: random.Random) -> OrderBookDiff:
    """Make a change of one level on each side; three in ten remove the level."""

    def level(side: int) -> tuple[PriceLevel, ...]:
        quantity = Decimal(draw.randrange(1, 8000)) / 8 if draw.random() < 0.7 else Decimal(0)
        return (PriceLevel(_price(side, draw), quantity),)

    return OrderBookDiff(level(-1), level(1), number)


def main() -> None:
    """Measure one book in this process."""
    name, count = sys.argv[1], int(sys.argv[2])
    draw = random.Random(3)
    ladder = [(_TICK * step, Decimal(draw.randrange(1, 8000)) / 8) for step in range(1, _LEVELS + 1)]
    asks = tuple(PriceLevel(_MID + away, quantity) for away, quantity in ladder)
    bids = tuple(PriceLevel(_MID - away, quantity) for away, quantity in ladder)
    diffs = [_diff(number, draw) for number in range(1, count + 1)]
    try:
        step = BOOKS[name](OrderBook(asks, bids, 0))
    except ImportError as exc:
        sys.exit(f"not installed: {exc.name}")
    start = time.process_time()
    for diff in diffs:
        step(diff)
    tell(cpu_us=(time.process_time() - start) / count * 1e6)


if __name__ == "__main__":
    main()
