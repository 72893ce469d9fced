"""The program on the page about httpcore shows the defect that the page describes."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from tests.helpers.pages import define


async def test_a_cancelled_request_costs_a_connection(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(20):  # the order in which trio runs tasks is random, and decides
        await define("httpcore.md")["main"]()
        connections, *answers = capsys.readouterr().out.splitlines()
        if not answers:
            assert "CONNECTING" in connections  # no request uses it, and none ever will
            return
    raise AssertionError("the last request got an answer each time: does httpcore have the defect still?")
