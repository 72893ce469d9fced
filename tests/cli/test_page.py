"""The page on the command line: its commands can be parsed, and its JSON has the fields that are printed."""

from __future__ import annotations

import json
import re
import shlex

import click
import pytest
from trio.testing import MockClock

from tests.helpers.commands_page import LINES, PAGE, SAMPLES
from tests.helpers.order_commands import buy, open_orders
from tests.helpers.printed_lines import PrintedLines
from tests.helpers.world import ASSET
from tplus_trio.cli.commands import COMMANDS, load_command
from tplus_trio.cli.feeds import FEEDS
from tplus_trio.cli.order.listing import list_orders
from tplus_trio.cli.settings import SETTINGS


@pytest.mark.parametrize("line", LINES)
def test_the_commands_can_be_parsed(line: str) -> None:
    words = shlex.split(re.split(r" [|<>&]", line)[0])[1:]
    while words[0].startswith("--"):
        words = words[2:]
    command = load_command(words.pop(0))
    assert command is not None
    while isinstance(command, click.Group):
        command = command.get_command(click.Context(command), words.pop(0))
    assert command is not None
    with command.make_context("line", words):
        pass


def test_each_command_is_described() -> None:
    for name in COMMANDS:
        assert re.search(rf"^#+ .*`{name}", PAGE, re.MULTILINE), name
    for name in FEEDS:
        assert f"| `{name}` |" in PAGE
    for key in SETTINGS:
        assert f"| `{key}` |" in PAGE


async def test_the_fields_of_orders(autojump_clock: MockClock) -> None:
    lines = PrintedLines()
    async with open_orders() as orders:
        (fate,) = (await orders.carry_out(buy())).fates
        program = list_orders(
            lines, services=orders.services, user=orders.user, asset=ASSET, ended_too=False, limit=1, as_json=True
        )
        assert await program == 0
    assert list(SAMPLES["OrderFate"]) == list(fate)
    assert list(SAMPLES["OrderFate"]["order"]) == list(fate["order"])
    assert list(SAMPLES["Order"]) == list(json.loads(lines.lines[0]))
