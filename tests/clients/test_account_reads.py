"""Reads of an account: requests, results, and answers for users that the service has not seen."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
from tplus.model import close_all_positions_preview, user_margin, user_simulated_margin, user_solvency
from tplus.model.asset_identifier import AssetIdentifier as TheirAsset
from tplus.model.user_inventory import parse_user_inventory
from trio.testing import MockClock

from tests.helpers.world import ASSET, World, open_world
from tplus_trio import DecodeError, MultisigConfig, NotFoundError, OrderBookClient, UserInventory, UserSolvency
from tplus_trio.testing import Response

INVENTORY = {
    "accounts": {
        "0": {"kind": "spot", "spot": {"200": "1.50", "201": 2}, "margins": {}},
        "1": {
            "kind": "cross_margin",
            "spot": {},
            "margins": {
                "200": {
                    "base": {"credits": "1", "liabilities": "0.25"},
                    "quote": {"credits": "0.1000000000000000055", "liabilities": "2"},
                }
            },
        },
    },
    "is_mm": True,
}
SOLVENCY = {"accounts": {"1": {"is_solvent": True, "distance_from_liquidation": "400000.000000"}}}
POSITION = {"asset_id": "200", "side": "long", "size": "1.5", "notional_value": "150.00", "margin": "7.5"}
MARGIN = {
    "accounts": {
        "1": {
            "account_equity": "1000.10",
            "available_margin": "-3",
            "utilized_margin": "7.5",
            "maintenance_margin_surplus": "992.5",
            "mm_requirement": None,
            "account_leverage": "0.15",
            "is_solvent": True,
            "is_liquidatable": False,
            "total_upnl": "-0.5",
            "im_surplus": "1",
            "net_apy": None,
            "margin_calls": [{"venue": 3, "started_at_ns": 1, "deadline_ns": 2}],
            "netting": [
                {
                    "asset_id": "200",
                    **dict.fromkeys(("gross_long", "gross_short", "offset_long", "offset_short"), "1.25"),
                    **dict.fromkeys(("residual_long", "residual_short", "closeout"), "0"),
                    "residual_ppm": 5,
                }
            ],
            "positions": [POSITION],
        }
    },
    "warnings": [{"sub_account": 1, "code": "NO_PRICE", "message": "no price", "asset": "201"}],
}
SIMULATED = {
    **dict.fromkeys(("account_equity", "available_margin", "mm_surplus", "utilized_margin"), "10.50"),
    **dict.fromkeys(("margin_required", "margin_impact"), "0.5"),
    "account_leverage": None,
    "is_solvent": True,
    "trade_accepted": False,
    "liquidation_price": "12.5",
    "positions": [POSITION],
}
PREVIEW = {
    "orders": [
        {
            "asset_id": "200",
            "side": "Sell",
            "quantity": 1500,
            "suggested_max_sellable_amount": None,
            "oracle_price": "100.5",
            "book_price_decimals": 2,
            "book_quantity_decimals": 3,
            "sub_account_index": 1,
            "reduce_only": True,
        }
    ],
    "errors": {"201": "no market"},
}
MULTISIG = {"master_weight": 2, "signers": [{"weight": 1}], "thresholds": {"low": 1, "medium": 2, "high": 3}}
UNSEEN = Response(404, json.dumps({"error": {"code": "USER_NOT_FOUND", "message": "no such user"}}).encode())

Read = Callable[[OrderBookClient], Awaitable[Any]]
#: Each read: its path after which the key follows, the call, a body, and the official client's reading of that body.
READS: dict[str, tuple[str, Read, Any, Callable[[Any], Any]]] = {
    "inventory": ("/inventory/user/{}", lambda oms: oms.get_user_inventory(), INVENTORY, parse_user_inventory),
    "solvency": ("/solvency/user/{}", lambda oms: oms.get_user_solvency(), SOLVENCY, user_solvency.parse_user_solvency),
    "margin": (
        "/margin/user/{}",
        lambda oms: oms.get_user_margin_info(1, include_positions=True, now_ns=5),
        MARGIN,
        user_margin.parse_user_margin_info,
    ),
    "simulation": (
        "/account/simulate/{}",
        lambda oms: oms.init_margin_simulate(1, 200, True, "1.50", 100),
        SIMULATED,
        user_simulated_margin.parse_user_simulated_margin,
    ),
    "preview": (
        "/positions/close-all/{}/1",
        lambda oms: oms.get_close_all_positions_preview(1),
        PREVIEW,
        close_all_positions_preview.parse_close_all_preview,
    ),
}


def answer(world: World, path: str, body: object, times: int = 1) -> str:
    """Let the exchange answer a path; ``{}`` is the user's key."""
    path = path.format(world.user.public_key)
    response = body if isinstance(body, Response) else Response(200, json.dumps(body).encode())
    world.exchange.faults.answer_requests(path, response, times)
    return path


def assert_same(ours: Any, theirs: Any) -> None:
    """A model of ours has the values of the official client's, at every depth."""
    if isinstance(theirs, TheirAsset):
        assert ours == str(theirs)
    elif hasattr(type(theirs), "model_fields"):
        for name in type(theirs).model_fields:
            assert_same(getattr(ours, name), getattr(theirs, name))
    elif isinstance(theirs, dict):
        assert {str(key) for key in ours} == {str(key) for key in theirs}
        for key, value in theirs.items():
            assert_same(ours[key], value)
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs)
        for mine, other in zip(ours, theirs, strict=True):
            assert_same(mine, other)
    elif isinstance(theirs, Decimal):
        assert ours.as_tuple() == theirs.as_tuple()
    else:
        assert str(ours) == str(theirs) or ours == theirs


@pytest.mark.parametrize("name", READS)
async def test_a_body_is_read_as_the_official_client_reads_it(name: str, autojump_clock: MockClock) -> None:
    path, read, body, parse = READS[name]
    async with open_world() as world:
        answer(world, path, body)
        assert_same(await read(world.oms), parse(json.loads(json.dumps(body))))


@pytest.mark.parametrize("name", [*READS, "multisig"])
@pytest.mark.parametrize("body", [[], {"accounts": [], "orders": 5, "signers": 5}, "x", None])
async def test_a_bad_body_is_refused_and_its_path_named(name: str, body: object, autojump_clock: MockClock) -> None:
    multisig: Read = lambda oms: oms.get_multisig_config()  # noqa: E731 - as in READS
    path, read = READS[name][:2] if name in READS else ("/multisig/config/{}", multisig)
    async with open_world() as world:
        path = answer(world, path, body)
        with pytest.raises(DecodeError) as caught:
            await read(world.oms)
        assert path in str(caught.value)


@pytest.mark.parametrize(
    ("path", "read", "nothing"),
    [
        ("/inventory/user/{}", lambda oms: oms.get_user_inventory(), UserInventory({}, is_mm=False)),
        ("/solvency/user/{}", lambda oms: oms.get_user_solvency(), UserSolvency({})),
        ("/positions/{}", lambda oms: oms.get_user_positions(), []),
        ("/positions/{}/200", lambda oms: oms.get_user_position_for_asset(200), []),
        ("/orders/user/{}/200", lambda oms: oms.get_user_orders_for_book(200), []),
        ("/orders/user/{}/200", lambda oms: oms.get_open_orders_for_book(200), []),
    ],
)
async def test_a_user_that_the_service_has_not_seen_has_nothing(
    path: str, read: Read, nothing: object, autojump_clock: MockClock
) -> None:
    async with open_world() as world:
        answer(world, path, UNSEEN)
        assert await read(world.oms) == nothing
        # A proxy cannot say so.
        answer(world, path, Response(404, b"<html>"))
        with pytest.raises(NotFoundError):
            await read(world.oms)
        # A 404 for a missing market, or for a known user, is an error too.
        answer(world, path, {"accounts": {}, "is_mm": False, "positions": [], "orders": [], "has_next_page": False})
        await read(world.oms)
        answer(world, path, UNSEEN)
        with pytest.raises(NotFoundError):
            await read(world.oms)
        await world.oms.create_limit_order(1, 900, "Buy", asset_id=ASSET)
        answer(world, path, UNSEEN)
        with pytest.raises(NotFoundError):
            await read(world.oms)


async def test_a_market_that_does_not_exist_is_not_empty(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        await world.oms.create_limit_order(1, 900, "Buy", asset_id=ASSET)
        other = OrderBookClient("http://exchange", connector=world.network, default_user=world.user)
        async with other:
            with pytest.raises(NotFoundError, match="MARKET_NOT_FOUND"):
                await other.get_user_orders_for_book(999)


async def test_positions_of_one_user_say_nothing_of_the_orders(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        assert await world.oms.get_user_positions() == []
        assert await world.oms.get_user_orders() == ((), {})


async def test_an_account_without_signers_has_the_default(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        answer(world, "/multisig/config/{}", UNSEEN)
        assert await world.oms.get_multisig_config() == MultisigConfig()
        answer(world, "/multisig/config/{}", MULTISIG)
        config = await world.oms.get_multisig_config()
        assert (config.master_weight, config.signers, config.thresholds.high) == (2, ({"weight": 1},), 3)
        answer(world, "/multisig/config/{}", Response(404, b""))
        with pytest.raises(NotFoundError):
            await world.oms.get_multisig_config()


async def test_bad_rows_of_positions_are_reported(autojump_clock: MockClock) -> None:
    good = {
        "asset_id": "200",
        "sub_account_index": 1,
        "name": "one",
        "side": "long",
        "size": "1.50",
        **dict.fromkeys(("base_credits", "base_liabilities", "quote_credits", "quote_liabilities"), 0),
    }
    async with open_world() as world:
        answer(world, "/positions/{}", {"positions": [good, {**good, "size": None}], "total_positions": 2})
        page = await world.oms.get_user_positions_page()
        assert [position.size.as_tuple() for position in page] == [Decimal("1.50").as_tuple()]
        assert (page.total_positions, len(page.bad), page.bad[0].position) == (2, 1, 1)
        path = answer(world, "/positions/{}", [{**good, "size": "NaN"}])
        with pytest.raises(DecodeError, match=path):
            await world.oms.get_user_positions()


BAD: list[tuple[Read, type[Exception], str]] = [
    (lambda oms: oms.get_user_orders(open_only="yes"), TypeError, "open_only"),  # type: ignore[arg-type]  # illegal on purpose
    (lambda oms: oms.get_user_orders_for_book(200, limit=0), ValueError, "limit"),
    (lambda oms: oms.get_open_orders_for_book(200, max_pages=0), ValueError, "max_pages"),
    (lambda oms: oms.get_open_orders_for_book("ETH"), ValueError, "asset"),
    (lambda oms: oms.get_user_positions(sub_account=-1), ValueError, "sub_account is at least 0"),
    (lambda oms: oms.get_user_position_for_asset(200, sub_account=1.0), TypeError, "sub_account"),  # type: ignore[arg-type]  # illegal on purpose
    (lambda oms: oms.get_close_all_positions_preview(-1), ValueError, "sub_account_index"),
    (lambda oms: oms.get_user_margin_info(1, sub_accounts=[1]), ValueError, "sub_accounts"),
    (lambda oms: oms.get_user_margin_info(sub_accounts=[1, 2]), ValueError, "sub_accounts"),
    (lambda oms: oms.get_user_margin_info(now_ns=-1), ValueError, "now_ns"),
    (lambda oms: oms.init_margin_simulate(1, 200, True, 1.5, 1), TypeError, "^size is a.*, not float$"),  # type: ignore[arg-type]  # illegal on purpose
    (lambda oms: oms.init_margin_simulate(1, 200, True, 0, 1), ValueError, "size is more than 0"),
    (lambda oms: oms.init_margin_simulate(1, 200, True, 1, "NaN"), ValueError, "limit_price"),
    (lambda oms: oms.init_margin_simulate(1, 200, True, 1, -1), ValueError, "limit_price"),
    (lambda oms: oms.init_margin_simulate(1, 200, 1, 1, 1), TypeError, "is_buy"),  # type: ignore[arg-type]  # illegal on purpose
    (lambda oms: oms.init_margin_simulate(1, 200, True, 1, 1, trade_type="x"), ValueError, "trade_type"),  # type: ignore[arg-type]  # illegal on purpose
    (lambda oms: oms.init_margin_simulate(1, 200, True, 1, 1, [5]), TypeError, "pending_transfers"),  # type: ignore[list-item]  # illegal on purpose
    (lambda oms: oms.request_close_position(-1, 200), ValueError, "account"),
    (lambda oms: oms.request_close_position(1, 200, nonce=-1), ValueError, "nonce"),
    (lambda oms: oms.request_transfer_to_subaccount(0, 1, 200, 0), ValueError, "transfer_amount"),
    (lambda oms: oms.request_transfer_to_subaccount(0, 1, 200, 1.5), TypeError, "transfer_amount"),  # type: ignore[arg-type]  # illegal on purpose
    (lambda oms: oms.request_transfer_to_subaccount(0, 1, 200, 1, "x"), ValueError, "target_account_type"),  # type: ignore[arg-type]  # illegal on purpose
    (lambda oms: oms.request_transfer_to_subaccount(0, 1, 200, 1, user="me"), TypeError, "load_user"),  # type: ignore[arg-type]  # illegal on purpose
]


@pytest.mark.parametrize(("call", "kind", "said"), BAD)
async def test_a_bad_argument_is_refused_and_nothing_is_sent(
    call: Read, kind: type[Exception], said: str, autojump_clock: MockClock
) -> None:
    async with open_world() as world:
        with pytest.raises(kind, match=said):
            await call(world.oms)
        assert world.network.open_connections == 0
