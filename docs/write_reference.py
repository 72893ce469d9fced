"""Write ``reference.md`` from the public names: ``python docs/write_reference.py``. A test fails if the page is old."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path

import tplus_trio
from tplus_trio import testing

PAGE = Path(__file__).with_name("reference.md")

HEAD = """\
# Reference

What `from tplus_trio import …` and `from tplus_trio.testing import …` give. With the extra `docs`,
`sphinx-build -W docs build/docs` makes pages of the docstrings. `docs/write_reference.py` writes this file.
"""

TESTS = "\n[Testing a bot](testing.md) shows how these are used.\n"

#: Which section the public names of each subpackage are in.
TITLES = {
    "clients": "Clients and streams",
    "streams": "Clients and streams",
    "transport": "Clients and streams",
    "book": "Books",
    "orders": "Orders",
    "observer": "Watching a client",
    "log_events": "Watching a client",
    "users": "Users",
    "models": "Models",
    "errors": "Errors",
}

#: Bases whose members are Python's or trio's and are described there.
FOREIGN = "Sequence, ReceiveChannel, Exception, str, tuple, object, Enum"


def entry(name: str, value: object) -> str:
    """Return the directive that describes a public name."""
    if inspect.isfunction(value):
        return f".. autofunction:: {name}\n"
    if not inspect.isclass(value):
        return f".. autodata:: {name}\n"
    is_error = issubclass(value, Exception)
    lines = [f".. auto{'exception' if is_error else 'class'}:: {name}", "   :members:"]
    if not is_error and any(base.__module__.startswith("tplus_trio.") for base in value.__mro__[1:]):
        lines.append(f"   :inherited-members: {FOREIGN}")
    return "\n".join(lines) + "\n"


def section(title: str, package: str, names: dict[str, object], intro: str = "") -> str:
    """Return a section of the page."""
    entries = "\n".join(entry(name, value) for name, value in names.items())
    return f"\n## {title}\n{intro}\n```{{eval-rst}}\n.. currentmodule:: {package}\n\n{entries}\n```\n"


def reference() -> str:
    """Return the whole page: the sections in the order of `TITLES`, the names of a module in the module's order."""
    sections: dict[str, dict[str, object]] = {title: {} for title in TITLES.values()}
    order = list(TITLES)
    for path in sorted(tplus_trio._MODULES, key=lambda path: order.index(path.partition(".")[0])):
        names = import_module(f"tplus_trio.{path}").__all__
        sections[TITLES[path.partition(".")[0]]].update((name, getattr(tplus_trio, name)) for name in names)
    tests = {name: getattr(testing, name) for name in testing.__all__}
    parts = [section(title, "tplus_trio", names) for title, names in sections.items() if names]
    return HEAD + "".join(parts) + section("For tests", "tplus_trio.testing", tests, TESTS)


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
