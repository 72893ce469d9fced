"""Names equal tpluspy's where the thing is the same: methods, arguments, models, fields, members of enums."""

from __future__ import annotations

import enum
import importlib
import inspect
import pkgutil
import warnings
from typing import Any

import attrs
import pytest

import tplus_trio

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its dependencies
    import pydantic
    import tplus.model
    from tplus.client import MarketDataClient, OrderBookClient
    from tplus.utils import user

THEIRS: dict[str, Any] = {
    name: thing
    for module in pkgutil.iter_modules(tplus.model.__path__, "tplus.model.")
    for name, thing in vars(importlib.import_module(module.name)).items()
    if isinstance(thing, type) and thing.__module__ == module.name
}
#: Things that share a name by accident, or have another name here for a reason.
OTHERWISE = {
    # a class there whose members are those of a margin report; here the type of a field of Position
    "PositionSide": None,
    # the frame holds it there, the class says it here; both can be read
    "event_type": None,
    # named as where it is sent
    ("ReplaceOrderRequestPayload", "user_id"): "signer",
    # a str
    ("AssetIdentifier", "root"): None,
}
CALLABLES: dict[str, tuple[Any, Any]] = {
    "load_user": (user.load_user, tplus_trio.load_user),
    **{
        f"{theirs.__name__}.{name}": (getattr(theirs, name), getattr(ours, name))
        for theirs, ours in (
            (MarketDataClient, tplus_trio.MarketDataClient),
            (OrderBookClient, tplus_trio.OrderBookClient),
            (user.User, tplus_trio.User),
            (user.LocalUser, tplus_trio.LocalUser),
            (type(user.user_manager), tplus_trio.UserManager),
        )
        for name in dir(ours)
        if not name.startswith("_") and callable(getattr(ours, name)) and callable(getattr(theirs, name, None))
    },
    "User": (user.User, tplus_trio.User),
    "LocalUser": (user.LocalUser, tplus_trio.LocalUser),
}
SHARED = sorted(name for name in tplus_trio.__all__ if name in THEIRS and name not in OTHERWISE)


def test_there_is_much_in_common() -> None:
    assert len(SHARED) > 40
    assert len(CALLABLES) > 20


@pytest.mark.parametrize("name", CALLABLES)
def test_what_is_called_there_can_be_called_here(name: str) -> None:
    theirs, ours = map(inspect.signature, CALLABLES[name])
    here = list(ours.parameters.values())
    for place, parameter in enumerate(theirs.parameters.values()):
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            same = here[place]
            assert same.kind is same.POSITIONAL_OR_KEYWORD, parameter
        else:
            same = ours.parameters[parameter.name]
        assert (same.name, same.default) == (parameter.name, parameter.default)


@pytest.mark.parametrize("name", SHARED)
def test_models_have_the_same_fields(name: str) -> None:
    theirs, ours = THEIRS[name], getattr(tplus_trio, name)
    if issubclass(theirs, enum.Enum):
        assert {name: one.value for name, one in theirs.__members__.items()} == {
            name: one.value for name, one in ours.__members__.items()
        }
        return
    assert issubclass(theirs, pydantic.BaseModel)
    fields = {field.name: field for field in attrs.fields(ours)} if attrs.has(ours) else {}
    for field, there in theirs.model_fields.items():
        if field in OTHERWISE or (name, field) in OTHERWISE:
            continue
        assert field in fields
        if not there.is_required() and there.default_factory is None:
            default: Any = fields[field].default
            default = default.factory() if hasattr(default, "factory") else default
            if isinstance(there.default, pydantic.BaseModel):
                assert attrs.asdict(default) == there.default.model_dump()
            else:
                assert (list(default) if isinstance(there.default, list) else default) == there.default
