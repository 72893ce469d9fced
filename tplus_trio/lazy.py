"""Import the public names of a package on first use, so that importing the package itself takes almost no time."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

__all__ = ["get_name", "list_names"]


def get_name(package: str, modules: Iterable[str], name: str) -> Any:
    """Return an attribute of a package: a public name of one of its modules, or ``__all__``, the list of these names.

    The modules are imported in order until one has the name in its ``__all__``. The value is then stored as an
    attribute of the package, so each name is searched for once.

    Raises:
        AttributeError: no module has the name.
    """
    if name == "__all__":
        return list_names(package, modules)
    # Tools (``inspect``, ``doctest``) look up dunder names, and ``from package import submodule`` looks up the
    # submodule. Neither is in a module's ``__all__``, and importing all modules would take a second.
    if not (name.startswith("__") or find_spec(f"{package}.{name}")):
        for path in modules:
            module = import_module(f"{package}.{path}")
            if name in module.__all__:
                value = getattr(module, name)
                setattr(sys.modules[package], name, value)
                return value
    raise AttributeError(f"module {package!r} has no attribute {name!r}")


def list_names(package: str, modules: Iterable[str]) -> list[str]:
    """Return the public names of a package, sorted. This imports all of the modules."""
    return sorted(name for path in modules for name in import_module(f"{package}.{path}").__all__)
