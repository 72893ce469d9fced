"""What a test does with accounts: deposits, fees, margin, and the positions and balances that it reads."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from tplus_trio.arguments import check_count
from tplus_trio.models import AssetIdentifier, Position
from tplus_trio.models.numbers import to_decimal
from tplus_trio.testing.exchange.accounts import Accounts, public_key_of
from tplus_trio.testing.exchange.balances import QUOTE_ASSET, Balances
from tplus_trio.testing.exchange.exchange_records import ExchangeRecords
from tplus_trio.testing.exchange.http_messages import error
from tplus_trio.testing.exchange.liquidations import LIQUIDATOR, Liquidations
from tplus_trio.testing.exchange.margin import MarginModel
from tplus_trio.testing.exchange.order_records import OrderRecord
from tplus_trio.testing.exchange.settlement import FEE_UNITS, FeeRates
from tplus_trio.users.user import User

__all__ = ["ExchangeAccounts"]

_NOTHING: Final = Decimal(0)


class ExchangeAccounts(ExchangeRecords):
    """The accounts of an exchange; a base of :class:`~tplus_trio.testing.Exchange`.

    Args:
        accounts: The users' tokens, and the clock.
    """

    #: The asset in which prices are quoted, and in which profits and losses are paid.
    quote_asset: Final = QUOTE_ASSET
    #: The public key of the account that takes the other side of liquidations.
    liquidator: Final = LIQUIDATOR

    def __init__(self, accounts: Accounts) -> None:
        super().__init__(accounts)
        self._balances = Balances(self._market_state)
        self._margin = MarginModel(self._market_state, self._order_manager, self._balances)
        self._order_manager.admissions += [self._check_fee_rate, self._margin.admit]
        self._market_state.faults.connect_settlement(
            self._order_manager.settlement.is_pending,
            Liquidations(self._market_state, self._order_manager).liquidate,
        )

    @property
    def require_margin(self) -> bool:
        """Whether an order without the margin for it is refused with ``INSUFFICIENT_MARGIN``; False at first."""
        return self._margin.is_required

    @require_margin.setter
    def require_margin(self, required: bool) -> None:
        self._margin.is_required = bool(required)

    def set_fee_rates(self, *, maker: Decimal | int | str = 0, taker: Decimal | int | str = 0) -> None:
        """Set the fees of later trades, as fractions of the trade's amount; both are 0 at first.

        An order whose ``max_trading_fees_rate``, in millionths, is below the higher rate is refused.

        Args:
            maker: The rate of the order that rested; negative is a rebate.
            taker: The rate of the order that came.

        Raises:
            TypeError: A rate is a float, or not a number.
            ValueError: A rate is not a number, or not between -1 and 1.
        """
        rates = FeeRates(to_decimal(maker), to_decimal(taker))
        for name, rate in (("maker", rates.maker), ("taker", rates.taker)):
            if not rate.is_finite() or not -1 <= rate <= 1:
                raise ValueError(f"{name} must be a fraction from -1 to 1, got {rate}")
        self._order_manager.settlement.fee_rates = rates

    def deposit(
        self,
        user: User | str,
        asset: AssetIdentifier | str | int,
        amount: Decimal | int | str,
        *,
        sub_account: int = 1,
    ) -> None:
        """Add to a balance of a user, and send ``DepositLanded`` on the user's feed of account events.

        Args:
            user: The user, or the user's public key.
            asset: The asset, listed or not.
            amount: In units of the asset, more than 0.
            sub_account: The index of the sub-account.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: ``amount`` is not above 0, or another argument is illegal.
        """
        number = to_decimal(amount)
        if not number.is_finite() or not number > 0:
            raise ValueError(f"amount must be more than 0, got {amount}")
        account = check_count("sub_account", sub_account, least=0)
        self._balances.deposit(public_key_of(user), account, AssetIdentifier(asset), number)

    def balance(self, user: User | str, asset: AssetIdentifier | str | int, *, sub_account: int = 1) -> Decimal:
        """Return a balance of a user in units of the asset: deposits, transfers, and profits of cleared positions."""
        return self._balances.of(public_key_of(user), sub_account).get(AssetIdentifier(asset), _NOTHING)

    def positions(self, user: User | str, asset: AssetIdentifier | str | int | None = None) -> tuple[Position, ...]:
        """Return a user's open positions, or those in one market: the sums of the trades that are not rolled back."""
        market = None if asset is None else AssetIdentifier(asset)
        found = self._order_manager.trades.positions(public_key_of(user), market)
        return tuple(Position(**position) for position in found)

    def _check_fee_rate(self, record: OrderRecord) -> None:
        rates = self._order_manager.settlement.fee_rates
        limit = record.new.text.get("max_trading_fees_rate")
        highest = max(rates.maker, rates.taker) * FEE_UNITS
        if isinstance(limit, int) and highest > limit:
            raise error(
                400,
                "INVALID_ORDER_FEE_RATE",
                f"max_trading_fees_rate is {limit}, and the fee rate is {highest.normalize():f}",
                details={"order_id": record.order_id},
            )
