"""A market, the units of its orders, and the pages that list all markets."""

from __future__ import annotations

import decimal
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Final, overload

import attrs

from tplus_trio.models.asset import AssetIdentifier
from tplus_trio.models.numbers import EXACT, check_decimal, maybe_decimal, maybe_finite, named_decimal
from tplus_trio.models.rows import BadRow

__all__ = ["Asset", "FeeTierConfig", "Market", "MarketFeeSchedule", "MarketResponse", "MarketsPage"]

_ROUNDINGS: Final = frozenset(name for name in vars(decimal) if name.startswith("ROUND_"))


def to_units(name: str, value: Decimal | int | str, decimals: int, rounding: str | None = None) -> int:
    """Convert a number to units of ``10**-decimals``.

    Args:
        name: The argument's name in the error message.
        value: The number, at least 0.
        decimals: The decimals of the unit.
        rounding: A rounding mode of the module `decimal`; None refuses a number that is no whole number of units.

    Raises:
        TypeError: the number is a float, or of another type.
        ValueError: the number is negative, not finite or too long, is no whole number of units, or the rounding mode
            does not exist.
    """
    number = named_decimal(name, value)
    check_decimal(number, name)
    if rounding is not None and rounding not in _ROUNDINGS:
        msg = f"rounding is one of {', '.join(sorted(_ROUNDINGS))}, or None, not {rounding!r:.40}"
        raise ValueError(msg)
    scaled = number.scaleb(decimals, EXACT)
    whole = scaled.to_integral_value(rounding or decimal.ROUND_HALF_EVEN, EXACT)
    if rounding is None and whole != scaled:
        msg = f"{name} {number} is no multiple of {Decimal(1).scaleb(-decimals, EXACT):f}; pass a multiple, or round it"
        raise ValueError(msg)
    return int(whole)


def from_units(name: str, units: Decimal | int, decimals: int) -> Decimal:
    """Convert a number of units of ``10**-decimals`` to a number.

    Raises:
        TypeError: ``units`` is a float, or of another type.
        ValueError: ``units`` is not finite or too long.
    """
    number = named_decimal(name, units)
    check_decimal(number, name, signed=True)
    return number.scaleb(-decimals, EXACT)


@attrs.frozen
class Market:
    """The units in which a market counts prices and quantities of orders (``GET /market/{asset}``).

    The price 12345 of an order is 123.45 quote units at 2 decimals. The methods convert exactly, whatever the decimal
    context is: a number that is no whole number of units raises ValueError, unless a rounding mode is given.
    """

    asset_id: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    #: One price unit of an order is ``10**-book_price_decimals`` quote units.
    book_price_decimals: int
    #: One quantity unit of an order is ``10**-book_quantity_decimals`` base units.
    book_quantity_decimals: int

    @property
    def amount_decimals(self) -> int:
        """One unit of a quote amount, price times quantity, is ``10**-amount_decimals`` quote units."""
        return self.book_price_decimals + self.book_quantity_decimals

    def price_to_units(self, price: Decimal | int | str, *, rounding: str | None = None) -> int:
        """Convert a price to the book's price units.

        Args:
            price: In quote units, at least 0.
            rounding: A rounding mode of the module `decimal`, such as ``decimal.ROUND_DOWN``; None refuses a price that
                is no multiple of the tick.

        Raises:
            TypeError: ``price`` is a float, or of another type.
            ValueError: ``price`` is negative, not finite, or off the tick; or the rounding mode does not exist.
        """
        return to_units("price", price, self.book_price_decimals, rounding)

    def quantity_to_units(self, quantity: Decimal | int | str, *, rounding: str | None = None) -> int:
        """Convert a quantity to the book's quantity units.

        Args:
            quantity: In base units, at least 0.
            rounding: As for `price_to_units`.

        Raises:
            TypeError: ``quantity`` is a float, or of another type.
            ValueError: ``quantity`` is negative, not finite, or no multiple of the unit; or the rounding mode does not
                exist.
        """
        return to_units("quantity", quantity, self.book_quantity_decimals, rounding)

    def amount_to_units(self, amount: Decimal | int | str, *, rounding: str | None = None) -> int:
        """Convert an amount of the quote asset to the book's units of price times quantity.

        Args:
            amount: In quote units, at least 0.
            rounding: As for `price_to_units`.

        Raises:
            TypeError: ``amount`` is a float, or of another type.
            ValueError: ``amount`` is negative, not finite, or no multiple of the unit; or the rounding mode does not
                exist.
        """
        return to_units("amount", amount, self.amount_decimals, rounding)

    def units_to_price(self, units: Decimal | int) -> Decimal:
        """Convert price units of the book to a price in quote units.

        Raises:
            TypeError: ``units`` is a float, or of another type.
            ValueError: ``units`` is not finite or too long.
        """
        return from_units("units", units, self.book_price_decimals)

    def units_to_quantity(self, units: Decimal | int) -> Decimal:
        """Convert quantity units of the book to a quantity in base units.

        Raises:
            TypeError: ``units`` is a float, or of another type.
            ValueError: ``units`` is not finite or too long.
        """
        return from_units("units", units, self.book_quantity_decimals)

    def units_to_amount(self, units: Decimal | int) -> Decimal:
        """Convert units of price times quantity to an amount in quote units.

        Raises:
            TypeError: ``units`` is a float, or of another type.
            ValueError: ``units`` is not finite or too long.
        """
        return from_units("units", units, self.amount_decimals)


# A converter of each type by itself: mypy does not find the type of a generic converter's argument.
def _symbols(symbols: Iterable[str]) -> tuple[str, ...]:
    return tuple(symbols)


def _tiers(tiers: Iterable[FeeTierConfig]) -> tuple[FeeTierConfig, ...]:
    return tuple(tiers)


@attrs.frozen
class Asset:
    """An asset of the registry, and the symbols of the tokens that count as it."""

    index: int
    symbol: str
    name: str
    asset_class: str
    representations: tuple[str, ...] = attrs.field(converter=_symbols)


@attrs.frozen
class FeeTierConfig:
    """One tier of a fee ladder. The service does not say in which unit its rates are."""

    min_rolling_volume_usd: int
    taker_fee_rate: int
    maker_fee_rate: int
    maker_rebate_rate_of_taker_fee: int | None = None


@attrs.frozen
class MarketFeeSchedule:
    """The fee ladders of a market, and the account that the fees go to."""

    fee_account: str
    #: The ladder of all markets. Its JSON key is ``global``.
    global_: tuple[FeeTierConfig, ...] = attrs.field(converter=_tiers)
    #: The ladder of this market.
    per_asset: tuple[FeeTierConfig, ...] = attrs.field(converter=_tiers)


@attrs.frozen(kw_only=True)
class MarketResponse:
    """A market in the list of all markets (a row of ``GET /markets``); what the service does not send is None."""

    asset_id: AssetIdentifier = attrs.field(converter=AssetIdentifier)
    #: One price unit of an order is ``10**-book_price_decimals`` quote units.
    book_price_decimals: int
    #: One quantity unit of an order is ``10**-book_quantity_decimals`` base units.
    book_quantity_decimals: int
    #: The largest leverage, as a factor.
    max_leverage: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    current_long_max_leverage: Decimal | None = attrs.field(
        default=None, converter=maybe_decimal, validator=maybe_finite
    )
    current_short_max_leverage: Decimal | None = attrs.field(
        default=None, converter=maybe_decimal, validator=maybe_finite
    )
    isolated_only: bool = False
    #: The smallest order, as the service spells it.
    min_order_size: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    #: The smallest step of prices, as the service spells it.
    tick_size: Decimal | None = attrs.field(default=None, converter=maybe_decimal, validator=maybe_finite)
    fee_schedule: MarketFeeSchedule | None = None

    @property
    def market(self) -> Market:
        """The units of its orders."""
        return Market(self.asset_id, self.book_price_decimals, self.book_quantity_decimals)


def _markets(markets: Iterable[MarketResponse]) -> tuple[MarketResponse, ...]:
    return tuple(markets)


# Ten attributes: the page's own numbers, as the service sends them.
@attrs.frozen(kw_only=True)
class MarketsPage:
    """A page of the markets (``GET /markets``). It is a sequence of its markets, and not hashable if it has a map."""

    markets: tuple[MarketResponse, ...] = attrs.field(converter=_markets)
    #: The assets by index; None unless they were asked for.
    symbol_map: Mapping[int, Asset] | None = None
    #: How many markets there are. This and the other numbers are None if the service does not send them.
    total_markets: int | None = None
    #: The number of this page, from 0.
    page: int | None = None
    #: The most markets on a page.
    limit: int | None = None
    total_pages: int | None = None
    #: As the service sends it.
    cursor_size: int | None = None
    #: Whether there is another page; None if the service does not say.
    has_next_page: bool | None = None
    #: The number of the next page; None if there is none, or if the service does not say.
    next_page: int | None = None
    #: The rows that could not be decoded; ``markets`` has the others. Not sent, and it does not count in comparisons.
    bad: tuple[BadRow, ...] = attrs.field(default=(), eq=False)

    def __iter__(self) -> Iterator[MarketResponse]:
        return iter(self.markets)

    def __len__(self) -> int:
        return len(self.markets)

    @overload
    def __getitem__(self, index: int) -> MarketResponse: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[MarketResponse, ...]: ...

    def __getitem__(self, index: int | slice) -> MarketResponse | tuple[MarketResponse, ...]:
        return self.markets[index]

    def __contains__(self, item: object) -> bool:
        return item in self.markets
