"""What the README shows runs as it stands, its figures are measured ones, and its commands are those of the checks."""

from __future__ import annotations

import re
import shlex
from typing import Any

import trio

from tests.helpers.pages import ROOT, text_of
from tplus_trio.testing import Exchange, serve

README = (ROOT / "README.md").read_text(encoding="utf-8")
(PROGRAM,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_program_has_ten_lines() -> None:
    assert len([line for line in PROGRAM.splitlines() if line.strip()]) == 10


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 120


async def test_the_program() -> None:
    exchange, printed = Exchange(), list[str]()
    exchange.add_market(200)
    exchange.publish_diff(200, bids=[("9.5", 20)], asks=[("10.5", 20)])
    done = trio.Event()

    def show(*words: object) -> None:
        printed.append(" ".join(map(str, words)))
        if printed[-1].startswith("then"):
            done.set()
        else:
            exchange.publish_diff(200, bids=[("9.4", 1)])

    async with serve(exchange) as url, trio.open_nursery() as nursery:
        text = PROGRAM.replace("http://127.0.0.1:8011", url)
        assert url in text
        assert text.endswith("trio.run(main)\n")
        names: dict[str, Any] = {"print": show}
        exec(compile(text.removesuffix("trio.run(main)\n"), "README.md", "exec"), names)
        nursery.start_soon(names["main"])
        with trio.fail_after(20):
            await done.wait()
        nursery.cancel_scope.cancel()
    assert printed[0] == "begin with the book 1001"
    assert printed[1].startswith("then change 1002 ")


def test_the_figures_are_those_of_the_performance_page() -> None:
    measured = set(re.findall(r"\d+(?:\.\d+)?", text_of("performance.md")))
    rows = re.findall(r"^\| (?:CPU|the same|latency|memory|import)[^|]*\|([^|]*)\|([^|]*)\|$", README, re.MULTILINE)
    figures = re.findall(r"\d+(?:\.\d+)?", " ".join(cell for row in rows for cell in row))
    assert len(figures) > 10
    assert [figure for figure in figures if figure not in measured] == []


def test_the_two_commands() -> None:
    (block,) = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    demo, tests = block.splitlines()
    assert demo == 'pip install ".[cli]" && python -m tplus_trio demo'
    _, install, test = tests.split(" && ")
    # The matrix runs the same command.
    noxfile = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    for command in (install.removeprefix("pip install "), test):
        assert ", ".join(f'"{word}"' for word in shlex.split(command)) in noxfile
