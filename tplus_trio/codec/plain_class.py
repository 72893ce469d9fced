"""Models made of values that are checked already, without the constructors that would check them again."""

from __future__ import annotations

from typing import Any

import attrs

__all__ = ["plain_class"]


def plain_class(cls: type[attrs.AttrsInstance]) -> type[Any]:
    """Return a class with the same slots as a model and a plain constructor, which checks nothing.

    An instance of it becomes a model when its class is set to the model. That takes a quarter of the time of setting
    the fields of a frozen instance one by one.

    Raises:
        TypeError: The model has a slot for weak references, so that the class of an instance cannot be set to it.
    """
    if cls.__weakrefoffset__:
        raise TypeError(f"{cls.__name__} needs weakref_slot=False: it cannot be made without its constructor otherwise")
    names = [field.name for field in attrs.fields(cls)]
    return attrs.make_class(f"_Plain{cls.__name__}", names, eq=False, repr=False, slots=True, weakref_slot=False)
