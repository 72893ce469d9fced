"""Write the pages of the reference from the public names: ``python docs/write_reference.py``.

A test fails if a page is old, or if a public name is on no page or on two.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).with_name("reference")


class Page(NamedTuple):
    """A page: its title, what it begins with, the package of its names, and the modules that have them."""

    title: str
    intro: str
    modules: tuple[str, ...]
    package: str = "tplus_trio"


PAGES = {
    "clients": Page(
        "Clients",
        "A client of each service, its options, and its statistics. [A live book](../start/live_book.md) is the"
        " shortest program.",
        (
            "clients.market_data",
            "clients.order_book",
            "clients.base",
            "clients.statistics",
            "transport.connector",
            "transport.request_statistics",
            "transport.service_clock",
        ),
    ),
    "streams": Page(
        "Streams",
        "What `stream_…` of a client returns, and what one can set and read of it."
        " [Life of a stream](../explained/stream_life.md) explains its states.",
        (
            "streams.stream",
            "streams.policy",
            "streams.overflow.base",
            "streams.recovery.depth_recovery",
            "streams.recovery.sequencing",
            "streams.recovery.order_listing",
            "streams.stats",
            "models.gap",
            "models.loss",
        ),
    ),
    "books": Page(
        "Books",
        "A live book (`open_book` of a client), a book that you keep yourself, and what both are made of.",
        ("book.live", "book.session", "book.changes", "book.local", "models.book"),
    ),
    "orders": Page(
        "Orders",
        "Order scopes, handles, limits and declared rules. The calls are those of"
        " [OrderBookClient](clients.md); [Trade safely](../howto/trade_safely.md) shows them together.",
        (
            "clients.order_scope",
            "orders.scopes.handle",
            "orders.order_state",
            "orders.limits",
            "orders.limiter",
            "orders.exposure",
            "orders.service_rules",
            "orders.unsettled",
            "orders.journal.file",
            "orders.batch_results",
            "orders.control_statistics",
        ),
    ),
    "users": Page("Users", "Keys and keyfiles. A stored user is loaded with `load_user(name)`.", ("users",)),
    "observers": Page(
        "Observers and log events",
        "What `observer=` of a client may have, and the names of log records."
        " [Log and measure](../howto/log_and_measure.md) shows how to use them.",
        ("observer", "log_events"),
    ),
    "errors": Page(
        "Errors",
        "Each class with its attributes. [Exceptions](exceptions.md) says what to do about each.",
        ("errors",),
    ),
    "market_models": Page(
        "Models of markets",
        "What market data is made of. Prices are in quote units and quantities in base units, as `Decimal`; times are"
        " nanoseconds since the Unix epoch.",
        (
            "models.asset",
            "models.market",
            "models.trade",
            "models.kline",
            "models.ticker",
            "models.open_interest",
            "models.intent",
            "models.rows",
            "models.enums",
        ),
    ),
    "order_models": Page(
        "Models of orders",
        "Orders, requests about them, answers and events. Prices and quantities count the book's units; see"
        " [Market](market_models.md).",
        (
            "models.order",
            "models.order_event",
            "models.order_response",
            "models.order_request",
            "models.order_change",
            "models.batch_order",
            "models.additional_signer",
        ),
    ),
    "account_models": Page(
        "Models of accounts",
        "Positions, balances, margin, history and events of a user.",
        (
            "models.position",
            "models.position_basis",
            "models.user_inventory",
            "models.user_margin",
            "models.user_solvency",
            "models.user_event",
            "models.user_history",
            "models.sub_account",
            "models.close_all_positions_preview",
            "models.multisig",
            "models.auth",
        ),
    ),
    "testing": Page(
        "Testing kit",
        "The classes of `tplus_trio.testing`. [The embedded exchange](../testing.md) lists what each method does, and"
        " [Test with virtual time](../howto/test_with_virtual_time.md) the fixtures.",
        (
            "exchange.exchange",
            "exchange.faults.faults",
            "exchange.effects",
            "exchange.answer_log",
            "exchange.feeds",
            "exchange.http_messages",
            "network.memory_network",
            "server.server",
            "server.replica",
            "replay.tape",
            "replay.play_tape",
            "traders",
            "leaks",
        ),
        "tplus_trio.testing",
    ),
}

#: Bases whose members are Python's or trio's and are described there.
FOREIGN = "Sequence, ReceiveChannel, Exception, str, tuple, object, Enum"


def names(page: Page) -> Iterator[tuple[str, object]]:
    """Return the public names of a page, in the order of its modules."""
    for path in page.modules:
        module = import_module(f"{page.package}.{path}")
        for name in module.__all__:
            yield name, getattr(module, name)


def summary(name: str, value: object) -> str:
    """Return a row of the table at the top of a page: the name, and the first sentence of its docstring."""
    described = inspect.isclass(value) or inspect.isfunction(value)
    first = (inspect.getdoc(value) or "").partition("\n\n")[0].replace("\n", " ") if described else ""
    first = re.sub(r":\w+:`~?([^`]+)`", lambda found: f"`{found[1].rpartition('.')[2]}`", first)
    return f"| {{py:obj}}`{name}` | {first.replace('``', '`').replace('|', chr(92) + '|')} |\n"


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


def written(page: Page) -> str:
    """Return the text of a page."""
    found = list(names(page))
    rows = "".join(summary(name, value) for name, value in found)
    entries = "\n".join(entry(name, value) for name, value in found)
    return (
        f"<!-- python docs/write_reference.py writes this page. -->\n\n# {page.title}\n\n{page.intro}\n\n"
        f"```{{eval-rst}}\n.. currentmodule:: {page.package}\n```\n\n| name | what it is |\n|---|---|\n{rows}\n"
        f"```{{eval-rst}}\n{entries}\n```\n"
    )


if __name__ == "__main__":
    for key, contents in PAGES.items():
        FOLDER.joinpath(f"{key}.md").write_text(written(contents), encoding="utf-8")
