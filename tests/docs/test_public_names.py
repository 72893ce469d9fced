"""What ``import tplus_trio`` offers, and what it costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import tplus_trio
from tplus_trio import testing


@pytest.mark.parametrize("package", [tplus_trio, testing], ids=["tplus_trio", "testing"])
def test_each_public_name_stands_in_the_all_of_one_module(package: ModuleType) -> None:
    owners: dict[str, str] = {}
    for path in package._MODULES:
        module = import_module(f"{package.__name__}.{path}")
        for name in module.__all__:
            assert owners.setdefault(name, path) == path, f"{name} stands in {owners[name]} and {path}"
            assert getattr(package, name) is getattr(module, name)
    assert sorted(owners) == package.__all__ == dir(package)


@pytest.mark.parametrize("package", [tplus_trio, testing], ids=["tplus_trio", "testing"])
def test_type_checkers_read_the_modules_that_are_read_at_run_time(package: ModuleType) -> None:
    tree = ast.parse(Path(str(package.__file__)).read_text(encoding="utf-8"))
    stars = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.names[0].name == "*"]
    assert stars == sorted(f"{package.__name__}.{path}" for path in package._MODULES)


def test_a_star_import_gives_every_name() -> None:
    names: dict[str, object] = {}
    exec("from tplus_trio import *", names)
    assert set(tplus_trio.__all__) <= names.keys()


def test_an_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        tplus_trio.Nonsense  # noqa: B018 - reading the attribute is the test


def loaded(program: str) -> set[str]:
    """Return the modules that a new interpreter has loaded after a program."""
    program += "\nimport sys; print(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )


@pytest.mark.parametrize(
    "program",
    [
        "import tplus_trio",
        "import tplus_trio; hasattr(tplus_trio, '__wrapped__')",
        "from tplus_trio import testing, lazy",
    ],
)
def test_importing_the_package_loads_no_dependency(program: str) -> None:
    assert not loaded(program) & {"trio", "httpx", "msgspec", "cryptography", "tplus_trio.errors"}


def test_a_name_loads_no_layer_above_its_own() -> None:
    assert not loaded("from tplus_trio import OrderBook") & {"trio", "httpx", "cryptography", "tplus_trio.streams"}
    assert not loaded("from tplus_trio import load_user") & {"httpx", "tplus_trio.streams", "tplus_trio.clients"}
    assert not loaded("from tplus_trio import MarketDataClient") & {"tplus_trio.testing", "tplus_trio.cli"}
