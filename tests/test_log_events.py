"""Log records have an event name each, every name is used, and the documents list them."""

from __future__ import annotations

import ast
import logging
import re
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

import tplus_trio
from tests.helpers.world import ASSET, DEPTH, open_world
from tplus_trio import LogEvent

PACKAGE = Path(tplus_trio.__file__).parent
SOURCES = [path for path in PACKAGE.rglob("*.py") if "testing" not in path.parts and path.name != "log_events.py"]
LOGGING = {"debug", "info", "warning", "error", "exception", "critical", "log"}


def test_every_record_of_the_package_has_an_event_name() -> None:
    direct = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr in LOGGING
        and isinstance(node.value, ast.Name)
        and node.value.id in {"_log", "logging", "logger"}
    ]
    assert not direct, "use log_event"


def test_every_event_name_is_used_once_or_more_and_listed_in_the_documents() -> None:
    text = "\n".join(path.read_text("utf-8") for path in SOURCES)
    page = (PACKAGE.parent / "docs/reference/log_events.md").read_text("utf-8")
    for event in LogEvent:
        assert f"LogEvent.{event.name}" in text, "no record has it"
        assert f"| `{event.value}` |" in page


def test_the_fields_of_each_event_are_those_that_the_documents_and_its_comment_list() -> None:
    used: dict[str, set[frozenset[str]]] = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "log_event":
                event = node.args[2]
                assert isinstance(event, ast.Attribute)
                fields = frozenset(keyword.arg for keyword in node.keywords if keyword.arg is not None)
                used.setdefault(LogEvent[event.attr].value, set()).add(fields)
    page = (PACKAGE.parent / "docs/reference/log_events.md").read_text("utf-8")
    section = page[: page.index("## Signs of faults")]
    rows = re.findall(r"^\| `([a-z_]+)` \|.*\| ([^|]+) \|$", section, re.MULTILINE)
    listed = {event: {frozenset(re.findall(r"`(\w+)`", fields))} for event, fields in rows}
    assert listed == used
    source = (PACKAGE / "log_events.py").read_text("utf-8")
    comments = re.findall(r'((?: +#: .*\n)+) +[A-Z_]+ = "([a-z_]+)"', source)
    assert {event: {frozenset(re.findall(r"``(\w+)``", comment))} for comment, event in comments} == used


async def test_a_record_has_the_fields_of_its_event(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with open_world() as world, world.md.open_book(ASSET) as book:
        await book.wait_synced()
        world.network.reset_connections()
        await trio.sleep(5)
    began, ended = (record for record in caplog.records if record.name.startswith("tplus_trio"))
    assert (vars(began)["event"], vars(ended)["event"]) == ("outage_began", "outage_ended")
    assert vars(began)["fields"] == {"path": DEPTH, "error": "the connection was lost: connection reset", "delay": 0.25}
    assert vars(ended)["fields"] == {"path": DEPTH, "seconds": pytest.approx(0.25), "failures": 1}
    assert began.filename == "outage.py"
