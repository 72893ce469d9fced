"""Positions follow from trades that are not rolled back; fees are part of them."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.exchange_users import ALICE, BOB, trade
from tests.helpers.raw_client import Clock, call, messages, sign_in
from tests.helpers.signed_bodies import limit_order
from tplus_trio.models import Side
from tplus_trio.testing import Exchange
from tplus_trio.testing.exchange.effects import replay_effects

MAKER_RATE, TAKER_RATE = Decimal("-0.0001"), Decimal("0.0005")


def values(*numbers: Any) -> tuple[Any, ...]:
    """Numbers to compare with numbers of another type."""
    return numbers


def position_of(exchange: Exchange) -> tuple[Any, ...]:
    (position,) = exchange.positions(ALICE)
    return position.side, position.size, position.entry_price, position.unrealized_pnl


def test_the_entry_price_moves_as_the_position_grows_and_not_as_it_shrinks(exchange: Exchange) -> None:
    trade(exchange, "Buy", 900, 1000)
    trade(exchange, "Buy", 1100, 1000)
    assert position_of(exchange) == ("long", 2, 10, 2)
    trade(exchange, "Sell", 1200, 500)
    assert position_of(exchange) == ("long", Decimal("1.5"), 10, 3)
    trade(exchange, "Sell", 700, 2500)
    assert position_of(exchange) == ("short", 1, 7, 0)
    trade(exchange, "Buy", 700, 1000)
    assert exchange.positions(ALICE) == ()


def test_the_mark_price_is_the_market_s_last_price(exchange: Exchange) -> None:
    trade(exchange, "Buy", 900, 1000)
    exchange.publish_trade(200, "12.5", 1)
    assert position_of(exchange) == ("long", 1, 9, Decimal("3.5"))
    exchange.change_trade(exchange.trades()[-1], "Rollbacked")
    assert position_of(exchange) == ("long", 1, 9, 0)


def test_a_rollback_takes_back_what_its_trade_did_to_the_entry_price(exchange: Exchange) -> None:
    trade(exchange, "Buy", 900, 1000)
    trade(exchange, "Buy", 1100, 1000)
    exchange.faults.roll_back()
    trade(exchange, "Buy", 5000, 1000)
    assert position_of(exchange) == ("long", 2, 10, 2)
    first = exchange.trades()[0]
    rolled_back = exchange.change_trade(first, "Rollbacked")
    assert position_of(exchange) == ("long", 1, 11, 0)
    exchange.change_trade(rolled_back, "Confirmed")
    assert position_of(exchange)[:3] == ("long", 2, 10)


def test_a_pending_trade_counts_for_its_position(exchange: Exchange, clock: Clock) -> None:
    exchange.faults.confirm_after(1)
    exchange.faults.roll_back()
    trade(exchange, "Buy", 900, 1000)
    assert position_of(exchange)[:2] == ("long", 1)
    clock.pass_(1)
    exchange.expire_orders()
    assert exchange.positions(ALICE) == ()


def test_sub_accounts_have_positions_of_their_own(exchange: Exchange) -> None:
    headers = sign_in(exchange, ALICE)
    for account in (1, 4):
        exchange.place(BOB, 200, "Sell", 1000, 3)
        order = limit_order(ALICE, f"in {account}", "Buy", 1000, 3, target={"account": account, "is_spot": False})
        assert call(exchange, "POST", "/orders/create", order, headers)[0] == 200
    key = ALICE.public_key
    body = call(exchange, "GET", f"/positions/{key}", headers=headers)[1]
    found = [(one["sub_account_index"], one["name"], one["size"]) for one in body["positions"]]
    assert found == [(1, "margin", "0.003"), (4, "account 4", "0.003")]
    body = call(exchange, "GET", f"/positions/{key}/200?sub_account=4", headers=headers)[1]
    assert [one["sub_account_index"] for one in body["positions"]] == [4]


def test_fees_are_charged_to_both_sides(exchange: Exchange, clock: Clock) -> None:
    exchange.set_fee_rates(maker=MAKER_RATE, taker=TAKER_RATE)
    exchange.faults.confirm_after(1)
    trade(exchange, "Buy", 1000, 2000)
    amount = Decimal(20)
    for user, fee in ((BOB, amount * MAKER_RATE), (ALICE, amount * TAKER_RATE)):
        assert exchange.user_trades(user)[-1].trading_fee == fee
        (order,) = exchange.orders(user)
        assert values(order.pending_trading_fees_amount, order.confirmed_trading_fees_amount) == (fee, 0)
    (position,) = exchange.positions(ALICE)
    assert values(position.quote_liabilities, position.quote_credits) == (amount * (1 + TAKER_RATE), 0)
    (position,) = exchange.positions(BOB)
    assert values(position.quote_liabilities, position.quote_credits) == (0, amount * (1 - MAKER_RATE))
    clock.pass_(1)
    exchange.expire_orders()
    (order,) = exchange.orders(ALICE)
    assert values(order.pending_trading_fees_amount, order.confirmed_trading_fees_amount) == (0, amount * TAKER_RATE)
    exchange.change_trade(exchange.trades()[0], "Rollbacked")
    (order,) = exchange.orders(ALICE)
    assert values(order.pending_trading_fees_amount, order.confirmed_trading_fees_amount) == (0, 0)


def test_an_order_is_refused_whose_highest_fee_rate_is_too_low(exchange: Exchange) -> None:
    headers = sign_in(exchange, ALICE)
    exchange.set_fee_rates(taker="0.0005")
    for limit, status in ((499, 400), (500, 200)):
        order = limit_order(ALICE, f"at {limit}", "Buy", 1000, 3, max_trading_fees_rate=limit)
        answer = call(exchange, "POST", "/orders/create", order, headers)
        assert answer[0] == status
    assert [order.order_id for order in exchange.orders(ALICE)] == ["at 500"]
    order = limit_order(ALICE, "at 1", "Buy", 1000, 3, max_trading_fees_rate=1)
    assert call(exchange, "POST", "/orders/create", order, headers)[1]["error"]["code"] == "INVALID_ORDER_FEE_RATE"


@pytest.mark.parametrize("rate", [2, "-1.5", "NaN"])
def test_a_fee_rate_is_a_fraction(exchange: Exchange, rate: Any) -> None:
    with pytest.raises(ValueError, match="maker must be a fraction"):
        exchange.set_fee_rates(maker=rate)


def unmarked(positions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Positions without what the trades of others change."""
    return [
        {name: value for name, value in one.items() if name not in {"mark_price", "unrealized_pnl"}}
        for one in positions
    ]


USERS = (ALICE, BOB)
ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["trade", "pass", "roll back", "slow", "fast", "change", "liquidate"]),
        st.sampled_from([0, 1]),
        st.sampled_from([Side.BUY, Side.SELL]),
        st.integers(995, 1005),
        st.integers(1, 20),
    ),
    max_size=30,
)


@settings(deadline=None)
@given(actions=ACTIONS)
def test_trades_listings_and_feeds_agree_on_positions(actions: list[tuple[str, int, Side, int, int]]) -> None:
    clock = Clock()
    exchange = Exchange(now_ns=clock)
    exchange.add_market(200)
    exchange.set_fee_rates(maker=MAKER_RATE, taker=TAKER_RATE)
    headers = {user: sign_in(exchange, user) for user in USERS}
    feeds = {user: exchange.subscribe(f"/positions/ws/{user.public_key}", headers[user]) for user in USERS}
    told: dict[Any, Any] = {}
    for action, who, side, price, quantity in actions:
        clock.pass_(0.25)
        match action:
            case "trade":
                exchange.place(USERS[who], 200, side, price, quantity)
            case "pass":
                clock.pass_(quantity / 4)
                exchange.expire_orders()
            case "roll back":
                exchange.faults.roll_back()
            case "slow":
                exchange.faults.confirm_after(quantity / 4)
            case "fast":
                exchange.faults.confirm_after(0)
            case "change" if exchange.trades():
                chosen = exchange.trades()[quantity % len(exchange.trades())]
                exchange.change_trade(chosen, "Rollbacked" if chosen.status != "Rollbacked" else "Confirmed")
            case "liquidate" if exchange.positions(USERS[who]):
                exchange.faults.liquidate(USERS[who], 200)
            case _:
                pass
        all_users = (*USERS, exchange.liquidator)
        recorded = replay_effects(exchange.effects)
        for owner in USERS:
            for order in exchange.orders(owner):
                counted = order.pending_filled_quantity + order.confirmed_filled_quantity
                trades = [one for one in exchange.user_trades(owner) if one.order_id == order.order_id]
                assert counted == 1000 * sum(one.quantity for one in trades if one.status != "Rollbacked")
                assert recorded[owner.public_key, order.order_id].matched == 1000 * sum(one.quantity for one in trades)
        sums: defaultdict[Any, list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 4)
        for user in all_users:
            for one in exchange.user_trades(user):
                if one.status != "Rollbacked":
                    amount = one.price * one.quantity
                    flows = [one.quantity, Decimal(0), Decimal(0), amount]
                    if not one.is_buyer:
                        flows = [Decimal(0), one.quantity, amount, Decimal(0)]
                    flows[3 if one.trading_fee > 0 else 2] += abs(one.trading_fee)
                    sums[user] = [a + b for a, b in zip(sums[user], flows, strict=True)]
        assert sum(sums[user][0] for user in all_users) == sum(sums[user][1] for user in all_users)
        for owner in USERS:
            for update in messages(feeds[owner].take()):
                told[owner] = update["positions"]
            target = f"/positions/{owner.public_key}"
            listed = call(exchange, "GET", target, headers=headers[owner])[1]["positions"]
            assert unmarked(listed) == unmarked(told[owner])
        for user in all_users:
            positions = exchange.positions(user)
            bought, sold, received, paid = sums[user]
            if bought == sold:
                assert positions == ()
            else:
                (position,) = positions
                assert [position.base_credits, position.base_liabilities] == [bought, sold]
                assert [position.quote_credits, position.quote_liabilities] == [received, paid]
                assert values(position.side, position.size) == (
                    "long" if bought > sold else "short",
                    abs(bought - sold),
                )
