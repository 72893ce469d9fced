"""The pages on exceptions and troubleshooting: each class is listed, and each message that they quote is a real one."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import tplus_trio
from tests.helpers.pages import text_of
from tplus_trio import LogEvent, errors

PACKAGE = Path(tplus_trio.__file__).parent
#: What stands for a part that differs, in a message of the source.
PART = "\x00"


def message(node: ast.AST) -> str | None:
    """Return the text of a literal, with `PART` where a value is put in; None if the node is no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"%(?:r|s|d|04o|\.\d[fg]|g)", PART, node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else PART for part in node.values)
    return None


@cache
def messages() -> list[str]:
    """Return every text in the code of the package, docstrings left out."""
    found: list[str] = []
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        found += [text for node in ast.walk(tree) if id(node) not in docstrings and (text := message(node))]
    return found


def is_real(quoted: str) -> bool:
    """Whether a text of the package has the words of a quoted one, in their order, with parts between them."""
    pattern = re.compile(re.escape(quoted.strip("…")).replace("…", ".*?"), re.DOTALL)
    return any(pattern.search(text) for text in messages())


def quoted() -> list[str]:
    """Return the first cell of each row of the page on troubleshooting that is a message."""
    return re.findall(r"^\| `([^`]+)` \|", text_of("reference/troubleshooting.md"), re.MULTILINE)


def test_a_message_that_is_not_real_is_found() -> None:
    assert is_real("could not connect to …:…: …")
    assert not is_real("could not connect to …, because …")
    assert not is_real("Kept by the exchange of a client")


def test_each_quoted_message_is_real() -> None:
    assert len(quoted()) > 40
    assert [text for text in quoted() if not is_real(text)] == []


def test_each_event_that_is_named_is_one() -> None:
    names = re.findall(r"`([a-z]+_[a-z_]+)`:", text_of("reference/troubleshooting.md"))
    assert set(names) <= {event.value for event in LogEvent}
    assert names


@pytest.mark.parametrize("name", errors.__all__)
def test_each_exception_has_a_row(name: str) -> None:
    page = text_of("reference/exceptions.md")
    rows = re.findall(rf"^\| `{name}` \|.*\|.*\|.*\|$", page, re.MULTILINE)
    assert len(rows) == (0 if name == "TplusError" else 1)
