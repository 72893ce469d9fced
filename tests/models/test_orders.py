"""Order models: what they refuse, what they compute, and that no repr shows a secret."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, cast

import pytest

from tests.helpers.model_values import KEY
from tplus_trio import models
from tplus_trio.models import (
    GTC,
    GTD,
    IOC,
    AmendOrderRequest,
    AssetIdentifier,
    AuthToken,
    CancelOrder,
    CancelOrderRequest,
    CreateOrderRequest,
    LimitOrderDetails,
    MarketBaseQuantity,
    MarketOrderDetails,
    MarketQuantity,
    MarketQuoteQuantity,
    Order,
    OrderCreatedEvent,
    OrderTrigger,
    ReplaceOrderRequestPayload,
    Side,
    TradeTarget,
    TriggerAbove,
    UnknownOrderEvent,
    new_order_id,
    validate_order_id,
)


class TestOrders:
    @pytest.mark.parametrize(
        ("text", "side"), [("Buy", Side.BUY), ("bid", Side.BUY), ("SELL", Side.SELL), ("Ask", Side.SELL)]
    )
    def test_sides_have_several_spellings(self, text: str, side: Side) -> None:
        assert Side(text) is side
        assert (Side.BID, Side.ASK) == (Side.BUY, Side.SELL)

    @pytest.mark.parametrize("text", ["", "long", "Buy ", 1, None])
    def test_an_unknown_side_is_refused(self, text: Any) -> None:
        with pytest.raises(ValueError, match="not a valid Side"):
            Side(text)

    @pytest.mark.parametrize("order_id", ["a", "a" * 24, "é" * 12])
    def test_legal_order_ids_are_returned(self, order_id: str) -> None:
        assert validate_order_id(order_id) == order_id

    @pytest.mark.parametrize("order_id", ["", "a" * 25, "é" * 12 + "a"])
    def test_illegal_order_ids_are_refused(self, order_id: str) -> None:
        with pytest.raises(ValueError, match="1 to 24 UTF-8 bytes long, got"):
            validate_order_id(order_id)

    @pytest.mark.parametrize("order_id", [None, 5, b"a"])
    def test_order_ids_of_another_type_are_refused(self, order_id: Any) -> None:
        with pytest.raises(TypeError, match="order_id must be a str"):
            validate_order_id(order_id)

    def test_new_order_ids_are_legal_and_differ(self) -> None:
        fresh = {validate_order_id(new_order_id()) for _ in range(100)}
        assert len(fresh) == 100
        assert {len(order_id) for order_id in fresh} == {24}

    @pytest.mark.parametrize(
        ("value", "error"), [(-1, ValueError), (1.5, TypeError), ("5", TypeError), (True, TypeError)]
    )
    @pytest.mark.parametrize(
        "make",
        [
            lambda n: LimitOrderDetails(n, 1),
            lambda n: LimitOrderDetails(1, n),
            lambda n: GTD(post_only=False, timestamp_ns=n),
            MarketBaseQuantity,
            lambda n: MarketBaseQuantity(1, n),
            MarketQuoteQuantity,
            lambda n: MarketQuoteQuantity(1, n),
            TriggerAbove,
            lambda n: TradeTarget(account=n),
        ],
    )
    def test_units_are_integers_from_zero_on(self, make: Any, value: Any, error: type[Exception]) -> None:
        make(0)
        with pytest.raises(error, match="must"):
            make(value)

    def test_a_market_order_has_exactly_one_size(self) -> None:
        base, quote = MarketBaseQuantity(1), MarketQuoteQuantity(1)
        assert MarketQuantity(base_asset=base) != MarketQuantity(quote_asset=quote)
        for sizes in ((), (base, quote)):
            with pytest.raises(ValueError, match="exactly one"):
                MarketQuantity(*sizes)

    def test_targets_name_account_and_balance(self) -> None:
        assert TradeTarget() == TradeTarget.main_account_spot_trade() == TradeTarget(account=0, is_spot=True)
        assert TradeTarget.margin_account_spot_trade() == TradeTarget(account=1, is_spot=True)
        assert TradeTarget.margin_account_margin_trade() == TradeTarget(account=1, is_spot=False)

    def order(self, **changes: Any) -> Order:
        fields: dict[str, Any] = {
            "signer": KEY,
            "order_id": "oid-1",
            "base_asset": 200,
            "book_price_decimals": 2,
            "book_quantity_decimals": 3,
            "details": LimitOrderDetails(1000, 5),
            "side": "sell",
            "creation_timestamp_ns": 1,
        }
        return Order(**fields | changes)

    def test_defaults_and_conversions(self) -> None:
        order = self.order()
        assert order.base_asset == AssetIdentifier(200)
        assert order.side is Side.SELL
        assert order.target == TradeTarget.margin_account_spot_trade()
        assert (order.trigger, order.reduce_only, order.max_trading_fees_rate) == (None, False, 50_000)
        assert order.details == LimitOrderDetails(1000, 5, GTC(post_only=False))
        assert MarketOrderDetails(MarketQuantity(MarketBaseQuantity(1))).fill_or_kill is False
        assert IOC() == IOC(fill_or_kill=False)

    @pytest.mark.parametrize("signer", [KEY, "0x" + KEY.upper(), bytes.fromhex(KEY), list(bytes.fromhex(KEY))])
    def test_public_keys_in_any_form_become_hex(self, signer: Any) -> None:
        assert self.order(signer=signer).signer == KEY
        assert CancelOrder("a", AssetIdentifier(1), signer).signer == KEY

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("signer", KEY[:-2]),
            ("signer", KEY + "00"),
            ("signer", "zz" * 32),
            ("signer", " " + KEY),
            ("signer", [256] * 32),
            ("signer", [1] * 31),
            ("signer", 5),
            ("signer", None),
            ("order_id", ""),
            ("base_asset", "ETH"),
            ("details", None),
            ("details", {"Limit": {}}),
            ("side", "up"),
            ("trigger", TriggerAbove(5)),
            ("creation_timestamp_ns", -1),
        ],
    )
    def test_an_illegal_order_is_refused(self, field: str, value: Any) -> None:
        with pytest.raises((ValueError, TypeError)):
            self.order(**{field: value})

    def test_parts_of_the_wrong_type_are_refused(self) -> None:
        none = cast("Any", None)
        for make in (
            lambda: LimitOrderDetails(1, 1, none),
            lambda: MarketOrderDetails(none),
            lambda: OrderTrigger(None, none),
        ):
            with pytest.raises(TypeError):
                make()

    @pytest.mark.parametrize("signature", [[256], [-1], "ab", 64, None, ["a"]])
    def test_an_illegal_signature_is_refused(self, signature: Any) -> None:
        with pytest.raises((ValueError, TypeError)):
            CreateOrderRequest(self.order(), signature, 1)

    def test_signatures_become_tuples(self) -> None:
        assert CreateOrderRequest(self.order(), b"\x01\x02", 1).signature == (1, 2)
        assert CancelOrderRequest(CancelOrder("a", AssetIdentifier(1), KEY), [1, 2], 1).signature == (1, 2)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: GTC("yes"), "post_only"),  # type: ignore[arg-type]  # illegal on purpose
        (lambda: models.GTD(None, 1), "post_only"),  # type: ignore[arg-type]  # illegal on purpose
        (lambda: models.IOC(1), "fill_or_kill"),  # type: ignore[arg-type]  # illegal on purpose
        (lambda: models.MarketOrderDetails(models.MarketQuantity(models.MarketBaseQuantity(1)), "no"), "fill_or_kill"),  # type: ignore[arg-type]  # illegal on purpose
        (lambda: TradeTarget(1, "no"), "is_spot"),  # type: ignore[arg-type]  # illegal on purpose
        (lambda: models.OrderTrigger(1, models.TriggerAbove(1)), "parent_order_id"),  # type: ignore[arg-type]  # illegal on purpose
    ],
)
def test_terms_of_the_wrong_type_are_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(TypeError, match=f"{said} must be"):
        make()


def test_no_repr_shows_a_secret() -> None:
    order = TestOrders().order()
    secret = (199, 211)
    amend = models.AmendOrder(
        order_id="a", base_asset=AssetIdentifier(1), new_quantity=1, book_quantity_decimals=3, timestamp_ns=1
    )
    replace = models.ReplaceOrderDetails(
        order_id="a",
        base_asset=AssetIdentifier(1),
        timestamp_ns=1,
        new_price_limit=1,
        new_quantity=1,
        book_quantity_decimals=1,
        book_price_decimals=1,
    )
    for model in (
        CreateOrderRequest(order, secret, 1, [models.AdditionalSigner(models.SignerKey.ed25519([1]), secret)]),
        CancelOrderRequest(CancelOrder("a", AssetIdentifier(1), KEY), secret, 1),
        ReplaceOrderRequestPayload(replace, KEY, secret, 1),
        AmendOrderRequest(request=amend, user_id=KEY),
        OrderCreatedEvent(order, secret, 1, limit_overrides_signature=secret),
        UnknownOrderEvent("Odd", {"signature": secret}),
        AuthToken("199, 211", 5),
    ):
        assert "199" not in repr(model)


def test_a_trigger_at_a_decimal_says_how_to_convert_it() -> None:
    price: Any = Decimal("9.5")
    with pytest.raises(TypeError, match=r"^price must be an int, got Decimal; Market\.price_to_units\(\) converts"):
        TriggerAbove(price)
