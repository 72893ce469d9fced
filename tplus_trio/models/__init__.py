"""The things of the exchange as frozen attrs classes: one file per noun, no I/O.

Sequences are tuples. Times are integer nanoseconds since the Unix epoch, UTC.

* Books, trades, candles and tickers: prices are in quote units, quantities in base units, as
  :class:`~decimal.Decimal`.
* Orders, order events and order listings: prices and quantities count the book's units. One price unit is
  ``10**-book_price_decimals`` quote units, one quantity unit ``10**-book_quantity_decimals`` base units; see
  :class:`~tplus_trio.Market`.

A constructor refuses illegal values with ``ValueError`` and wrong types with ``TypeError``. Decoding refuses the same
values with :class:`~tplus_trio.errors.DecodeError`.
"""

# ruff: noqa: F403 - the public names stand in the `__all__` of each module, and nowhere else

from __future__ import annotations

from typing import TYPE_CHECKING

from tplus_trio.models import (
    additional_signer,
    asset,
    auth,
    batch_order,
    book,
    close_all_positions_preview,
    enums,
    gap,
    intent,
    kline,
    loss,
    market,
    multisig,
    open_interest,
    order,
    order_change,
    order_event,
    order_request,
    order_response,
    position,
    position_basis,
    rows,
    sub_account,
    ticker,
    trade,
    user_event,
    user_history,
    user_inventory,
    user_margin,
    user_solvency,
)
from tplus_trio.models.additional_signer import *
from tplus_trio.models.asset import *
from tplus_trio.models.auth import *
from tplus_trio.models.batch_order import *
from tplus_trio.models.book import *
from tplus_trio.models.close_all_positions_preview import *
from tplus_trio.models.enums import *
from tplus_trio.models.gap import *
from tplus_trio.models.intent import *
from tplus_trio.models.kline import *
from tplus_trio.models.loss import *
from tplus_trio.models.market import *
from tplus_trio.models.multisig import *
from tplus_trio.models.open_interest import *
from tplus_trio.models.order import *
from tplus_trio.models.order_change import *
from tplus_trio.models.order_event import *
from tplus_trio.models.order_request import *
from tplus_trio.models.order_response import *
from tplus_trio.models.position import *
from tplus_trio.models.position_basis import *
from tplus_trio.models.rows import *
from tplus_trio.models.sub_account import *
from tplus_trio.models.ticker import *
from tplus_trio.models.trade import *
from tplus_trio.models.user_event import *
from tplus_trio.models.user_history import *
from tplus_trio.models.user_inventory import *
from tplus_trio.models.user_margin import *
from tplus_trio.models.user_solvency import *

if not TYPE_CHECKING:  # type checkers take the names from the star imports
    __all__ = [  # noqa: PLE0604 - each part is a list of strings
        *additional_signer.__all__,
        *asset.__all__,
        *auth.__all__,
        *batch_order.__all__,
        *book.__all__,
        *close_all_positions_preview.__all__,
        *enums.__all__,
        *gap.__all__,
        *intent.__all__,
        *kline.__all__,
        *loss.__all__,
        *market.__all__,
        *multisig.__all__,
        *open_interest.__all__,
        *order.__all__,
        *order_change.__all__,
        *order_event.__all__,
        *order_request.__all__,
        *order_response.__all__,
        *position.__all__,
        *position_basis.__all__,
        *rows.__all__,
        *sub_account.__all__,
        *ticker.__all__,
        *trade.__all__,
        *user_event.__all__,
        *user_history.__all__,
        *user_inventory.__all__,
        *user_margin.__all__,
        *user_solvency.__all__,
    ]
