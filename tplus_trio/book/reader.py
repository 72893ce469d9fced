"""What can be read from a book, local or live."""

from __future__ import annotations

from decimal import Context, Decimal, Inexact
from itertools import islice
from typing import Final, Generic, TypeVar

from tplus_trio.arguments import check_choice, check_count
from tplus_trio.book.side import BookSide
from tplus_trio.models import OrderBook, PriceLevel, Side
from tplus_trio.models.numbers import check_decimal

__all__ = ["BookReader"]

S = TypeVar("S", bound=BookSide)

_ZERO: Final = Decimal(0)
#: Arithmetic that rounds no sum, difference, half or product of legal numbers, whatever the caller's context is.
_WIDE: Final = Context(prec=1000)
#: A quotient with at most this many digits is exact.
_EXACT: Final = Context(prec=100, traps=[Inexact])


class BookReader(Generic[S]):
    """Reads a book. Prices are in quote units and quantities in base units, exact `Decimal`s; levels come best first.

    No read waits. Reads without a checkpoint in between are of the same state.
    """

    # A local book has these as attributes; a live book has properties that raise while it is not in sync.
    _bids: S
    _asks: S
    _sequence_number: int

    @property
    def sequence_number(self) -> int:
        """The sequence number of the last change in the book."""
        return self._sequence_number

    @property
    def best_bid(self) -> PriceLevel | None:
        """The level with the highest bid price, None if there are no bids."""
        return self._bids.last

    @property
    def best_ask(self) -> PriceLevel | None:
        """The level with the lowest ask price, None if there are no asks."""
        return self._asks.first

    @property
    def spread(self) -> Decimal | None:
        """The best ask price less the best bid price, in quote units; None if a side is empty."""
        bid, ask = self.best_bid, self.best_ask
        return None if bid is None or ask is None else _WIDE.subtract(ask.price, bid.price)

    @property
    def mid(self) -> Decimal | None:
        """The mean of the best bid and the best ask price, in quote units; None if a side is empty."""
        bid, ask = self.best_bid, self.best_ask
        return None if bid is None or ask is None else _WIDE.divide(_WIDE.add(bid.price, ask.price), 2)

    def bids(self, n: int | None = None) -> tuple[PriceLevel, ...]:
        """Return the bids, highest price first.

        Args:
            n: The most levels to return, at least 0; None for all.

        Raises:
            TypeError, ValueError: ``n`` is not legal.
        """
        return tuple(islice(reversed(self._bids), None if n is None else check_count("n", n, least=0)))

    def asks(self, n: int | None = None) -> tuple[PriceLevel, ...]:
        """Return the asks, lowest price first.

        Args:
            n: The most levels to return, at least 0; None for all.

        Raises:
            TypeError, ValueError: ``n`` is not legal.
        """
        return tuple(islice(self._asks, None if n is None else check_count("n", n, least=0)))

    def quantity_at(self, side: Side | str, price: Decimal | int | str) -> Decimal:
        """Return the quantity that rests at a price, in base units; 0 if none does.

        Args:
            side: The side of the book: ``Side.BUY`` (or ``"bid"``) for the bids, ``Side.SELL`` (or ``"ask"``) for the
                asks.
            price: The price, in quote units. A float is refused, since it is not exact.

        Raises:
            TypeError, ValueError: ``side`` or ``price`` is not legal.
        """
        levels = self._bids if check_choice("side", side, Side) is Side.BUY else self._asks
        return levels.quantity_at(_exact("price", price))

    def vwap(self, side: Side | str, quantity: Decimal | int | str) -> Decimal | None:
        """Return the average price, weighted by quantity, at which an order would trade now.

        Args:
            side: The order's side: a buy order takes asks, a sell order takes bids.
            quantity: The order's quantity, in base units, more than 0.

        Returns:
            The price in quote units; None if the book does not hold that quantity. It is exact where it has at most 100
            digits. Otherwise it is rounded to 28 digits, or to as many as the sum of prices times quantities has, if
            those are more. The caller's decimal context has no effect.

        Raises:
            TypeError, ValueError: ``side`` or ``quantity`` is not legal.
        """
        wanted = left = _exact("quantity", quantity)
        check_decimal(wanted, "quantity", signed=True)
        if wanted <= 0:
            msg = f"quantity is more than 0, not {wanted}"
            raise ValueError(msg)
        takes_asks = check_choice("side", side, Side) is Side.BUY
        cost = _ZERO
        for price, there in self._asks if takes_asks else reversed(self._bids):
            taken = min(left, there)
            cost = _WIDE.fma(taken, price, cost)
            left = _WIDE.subtract(left, taken)
            if not left:
                return _quotient(cost, wanted)
        return None

    def snapshot(self) -> OrderBook:
        """Return the whole book as it is now."""
        return OrderBook(asks=self.asks(), bids=self.bids(), sequence_number=self.sequence_number)


def _quotient(total: Decimal, count: Decimal) -> Decimal:
    """Divide, exactly if the quotient has few enough digits."""
    try:
        return _EXACT.divide(total, count)
    except Inexact:
        return Context(prec=max(28, len(total.as_tuple().digits))).divide(total, count)


def _exact(name: str, value: Decimal | int | str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, Decimal | int | str):
        msg = f"{name} is a Decimal, an int or text, not {type(value).__name__}"
        raise TypeError(msg)
    try:
        number = Decimal(value)
    except ArithmeticError:
        number = Decimal("nan")
    if not number.is_finite():
        msg = f"{name} is a finite number, not {value!r}"
        raise ValueError(msg)
    return number
