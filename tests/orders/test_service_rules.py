"""The rules that a program declares about its service."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from tplus_trio import OrderBookClient
from tplus_trio.orders.service_rules import ServiceRules

FLAGS = ("order_ids_remembered", "control_keeps_order", "listings_current", "unauthorized_does_nothing")


def test_only_one_rule_is_on_by_default() -> None:
    assert attrs.asdict(ServiceRules()) == {
        "order_ids_remembered": False,
        "control_keeps_order": False,
        "clock_bound": None,
        "listings_current": False,
        "unauthorized_does_nothing": True,
    }


@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize("value", [0, 1, None, "yes"])
def test_a_flag_is_a_bool(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"{name} is True or False, not {type(value).__name__}"):
        ServiceRules(**{name: value})


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_a_clock_bound_is_finite_and_not_negative(value: float) -> None:
    with pytest.raises(ValueError, match="clock_bound"):
        ServiceRules(clock_bound=value)


@pytest.mark.parametrize("value", [True, "1"])
def test_a_clock_bound_is_a_number(value: Any) -> None:
    with pytest.raises(TypeError, match="clock_bound"):
        ServiceRules(clock_bound=value)


@pytest.mark.parametrize("value", [0, 0.0, 2.5])
def test_a_clock_bound_in_seconds(value: float) -> None:
    assert ServiceRules(clock_bound=value).clock_bound == value


def test_rules_are_named_and_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        ServiceRules(True)  # type: ignore[call-arg]  # illegal on purpose
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        ServiceRules().listings_current = True  # type: ignore[misc]  # illegal on purpose


@pytest.mark.parametrize("rules", [{"listings_current": True}, "listings_current", True])
def test_a_client_takes_rules_and_nothing_else(rules: Any) -> None:
    with pytest.raises(TypeError, match="rules"):
        OrderBookClient("http://exchange", rules=rules)


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan")])
def test_a_resolve_timeout_is_finite_and_more_than_0(seconds: float) -> None:
    with pytest.raises(ValueError, match="resolve_timeout"):
        OrderBookClient("http://exchange", resolve_timeout=seconds)
