"""Requests that both clients build and sign are the same bytes."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tplus.model import (
    asset_identifier,
    cancel_order,
    limit_order,
    market_order,
    order_trigger,
    replace_order,
)
from tplus.model import order as their_order
from tplus.utils.user import User as TheirUser

from tests.helpers.wire_strategies import flags, order_ids, sizes, thorough, times
from tplus_trio import codec
from tplus_trio.models import (
    GTC,
    GTD,
    IOC,
    AssetIdentifier,
    CancelOrder,
    CancelOrderRequest,
    CreateOrderRequest,
    LimitOrderDetails,
    MarketBaseQuantity,
    MarketOrderDetails,
    MarketQuantity,
    MarketQuoteQuantity,
    Order,
    OrderTrigger,
    ReplaceOrderDetails,
    ReplaceOrderRequestPayload,
    Side,
    TradeTarget,
    TriggerAbove,
    TriggerBelow,
)
from tplus_trio.users import User

their_terms = st.one_of(
    st.builds(lambda flag: (GTC(flag), limit_order.GTC(post_only=flag)), flags),
    st.builds(lambda flag, at: (GTD(flag, at), limit_order.GTD(post_only=flag, timestamp_ns=at)), flags, times),
    st.builds(lambda flag: (IOC(flag), limit_order.IOC(fill_or_kill=flag)), flags),
)


limit_details = st.builds(
    lambda price, quantity, terms: (
        LimitOrderDetails(price, quantity, terms[0]),
        limit_order.LimitOrderDetails(limit_price=price, quantity=quantity, time_in_force=terms[1]),
    ),
    sizes,
    sizes,
    their_terms,
)


market_details = st.builds(
    lambda base, quantity, cap, flag: (
        MarketOrderDetails(
            MarketQuantity(MarketBaseQuantity(quantity, cap))
            if base
            else MarketQuantity(quote_asset=MarketQuoteQuantity(quantity, cap)),
            flag,
        ),
        market_order.MarketOrderDetails(
            quantity=market_order.MarketQuantity(
                base_asset=market_order.MarketBaseQuantity(quantity=quantity, max_sellable_amount=cap)
            )
            if base
            else market_order.MarketQuantity(
                quote_asset=market_order.MarketQuoteQuantity(quantity=quantity, max_sellable_quantity=cap)
            ),
            fill_or_kill=flag,
        ),
    ),
    flags,
    sizes,
    st.none() | sizes,
    flags,
)


conditions = st.none() | st.builds(
    lambda above, price: (
        (TriggerAbove(price), order_trigger.TriggerAbove(price=price))
        if above
        else (TriggerBelow(price), order_trigger.TriggerBelow(price=price))
    ),
    flags,
    sizes,
)


asset_texts = st.integers(0, 10**9).map(str) | st.binary(min_size=20, max_size=20).map(
    lambda address: f"0x{address.hex()}@00000000000000a4b1"
)


seeds = st.binary(min_size=32, max_size=32)


def their_asset(text: str) -> Any:
    return asset_identifier.AssetIdentifier(text)


def order_fields(made: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in made.items() if key not in {"seed", "terms", "target", "condition", "parent"}}


@thorough
@given(
    st.fixed_dictionaries(
        {
            "seed": seeds,
            "order_id": order_ids,
            "base_asset": asset_texts,
            "book_price_decimals": st.integers(-20, 20),
            "book_quantity_decimals": st.integers(-20, 20),
            "terms": limit_details | market_details,
            "side": st.sampled_from(["Buy", "Sell"]),
            "condition": conditions,
            "parent": st.none() | order_ids,
            "creation_timestamp_ns": times,
            "target": st.tuples(st.integers(0, 9), flags),
            "reduce_only": flags,
            "max_trading_fees_rate": st.integers(0, 10**6),
        }
    ),
    times,
)
def test_creating_an_order(made: dict[str, Any], signed_at: int) -> None:
    user, their_user = User(made["seed"]), TheirUser(made["seed"])
    fields = order_fields(made)
    condition = made["condition"]
    account, is_spot = made["target"]
    ours = Order(
        **fields | {"side": Side(made["side"]), "base_asset": AssetIdentifier(made["base_asset"])},
        signer=user.public_key,
        details=made["terms"][0],
        trigger=condition and OrderTrigger(made["parent"], condition[0]),
        target=TradeTarget(account, is_spot),
    )
    theirs = their_order.Order(
        **fields | {"base_asset": their_asset(made["base_asset"])},
        signer=their_user.public_key,
        details=made["terms"][1],
        trigger=condition and order_trigger.OrderTrigger(parent_order_id=made["parent"], trigger=condition[1]),
        target=their_order.TradeTarget(account=account, is_spot=is_spot),
    )
    assert codec.signable(ours) == theirs.signable_part()
    signature = user.sign(codec.signable(ours))
    their_signature, cosigners = their_user.signing_parts(theirs.signable_part())
    assert list(signature) == their_signature
    request = their_order.CreateOrderRequest(
        order=theirs, signature=their_signature, post_sign_timestamp=signed_at, additional_signers=cosigners
    )
    assert codec.encode(CreateOrderRequest(ours, signature, signed_at)).decode() == request.model_dump_json()
    assert codec.decode(request.model_dump_json(), CreateOrderRequest).order == ours


@thorough
@given(seeds, order_ids, asset_texts, times)
def test_cancelling_an_order(seed: bytes, order_id: str, asset: str, signed_at: int) -> None:
    user, their_user = User(seed), TheirUser(seed)
    ours = CancelOrder(order_id, AssetIdentifier(asset), user.public_key)
    theirs = cancel_order.CancelOrder(order_id=order_id, asset_id=their_asset(asset), signer=their_user.public_key)
    assert codec.signable(ours) == theirs.model_dump_json()
    signature = user.sign(codec.signable(ours))
    their_signature, _ = their_user.signing_parts(theirs.model_dump_json())
    assert list(signature) == their_signature
    request = cancel_order.CancelOrderRequest(cancel=theirs, signature=their_signature, post_sign_timestamp=signed_at)
    assert codec.encode(CancelOrderRequest(ours, signature, signed_at)).decode() == request.model_dump_json()


@thorough
@given(
    seeds, order_ids, asset_texts, times, sizes, sizes, conditions, st.integers(-20, 20), st.integers(-20, 20), times
)
def test_replacing_an_order(
    seed: bytes,
    order_id: str,
    asset: str,
    at: int,
    price: int,
    quantity: int,
    condition: tuple[Any, Any] | None,
    quantity_decimals: int,
    price_decimals: int,
    signed_at: int,
) -> None:
    user = User(seed)
    fields: dict[str, Any] = {
        "order_id": order_id,
        "timestamp_ns": at,
        "new_price_limit": price,
        "new_quantity": quantity,
        "book_quantity_decimals": quantity_decimals,
        "book_price_decimals": price_decimals,
    }
    ours = ReplaceOrderDetails(
        **fields, base_asset=AssetIdentifier(asset), new_trigger=condition[0] if condition else None
    )
    theirs = replace_order.ReplaceOrderDetails(
        **fields, base_asset=their_asset(asset), new_trigger=condition[1] if condition else None
    )
    # In a replacement, and there alone, the official client writes every condition as PriceAbove.
    expected = theirs.model_dump_json()
    if isinstance(ours.new_trigger, TriggerBelow):
        expected = expected.replace('{"PriceAbove":', '{"PriceBelow":')
    assert codec.signable(ours) == expected
    signature = user.sign(codec.signable(ours))
    request = replace_order.ReplaceOrderRequestPayload(
        request=theirs, user_id=user.public_key, signature=list(signature), post_sign_timestamp=signed_at
    )
    payload = ReplaceOrderRequestPayload(ours, user.public_key, signature, signed_at)
    body, their_body = json.loads(codec.encode(payload)), json.loads(request.model_dump_json())
    assert body["request"] == json.loads(expected)
    assert list(body) == list(their_body)
    assert body | {"request": None} == their_body | {"request": None}
