"""The pages on testing: what they show runs, each block as a file of its own, and they name all that there is."""

from __future__ import annotations

import re

import pytest

from tests.helpers.pages import blocks, text_of
from tplus_trio import testing
from tplus_trio.testing import Exchange, Faults, MemoryNetwork, Tape, TapeAnswer, TapeFrame, plugin

pytest_plugins = ["pytester"]

PAGE = "".join(map(text_of, ("howto/test_with_virtual_time.md", "howto/test_recipes.md", "testing.md")))
BLOCKS = [*blocks("howto/test_with_virtual_time.md"), *blocks("howto/test_recipes.md")]
#: What the exchange calls, and what only the machinery needs.
INTERNAL = {"on_handshake", "on_request", "on_diff", "take_delay", "take_staleness", "next_number", "apply_faults"}
INTERNAL |= {"connect_settlement", "rolls_back", "take_rollback"}
INTERNAL |= {"on_answer", "on_message", "on_trade", "take_lag", "take_replay", "take_shift"}
INTERNAL |= {
    "take_hold",
    "take_repetition",
    "take_instead",
    "take_later_refusal",
    "take_replacement",
    "take_ack_style",
    "take_answer_form",
    "on_batch",
}
INTERNAL |= {
    "on_user_event",
    "take_behind",
    "take_cut",
    "forgets",
    "expiry_skew_ns",
    "on_expiry_skew",
    "on_change_decimals",
}
SERVING = {
    "handle",
    "subscribe",
    "subscribers",
    "serve",
    "connect",
    "has_tape",
    "play_entry",
    "now_ns",
    "markets",
    "faults",
}
PARTS = {
    "EffectKind",
    "Faults",
    "Operation",
    "Rejection",
    "Request",
    "Subscription",
    "TapeAnswer",
    "TapeEntry",
    "TapeFrame",
    "TapeLoss",
    "Way",
    "serve_stream",
}


def test_what_it_shows_runs(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(**{f"test_block_{number}": block for number, block in enumerate(BLOCKS)})
    tests = "".join(BLOCKS).count("async def test_")
    assert tests >= len(BLOCKS) > 5
    both_ways = "".join(BLOCKS).count("params=[False, True]")  # the test of that block runs twice
    pytester.runpytest_inprocess().assert_outcomes(passed=tests + both_ways)


@pytest.mark.parametrize("kind", [Exchange, Faults, MemoryNetwork])
def test_it_names_every_method(kind: type) -> None:
    methods = {name for name in dir(kind) if not name.startswith("_")} - INTERNAL - SERVING
    assert [name for name in sorted(methods) if not re.search(rf"\b{name}\b", PAGE)] == []


def test_it_names_every_fixture_and_every_tool() -> None:
    for name in plugin._OURS:
        assert f"\n| `{name}` |" in PAGE
    for name in set(testing.__all__) - PARTS:
        assert re.search(rf"`[^`]*\b{name}\b", PAGE), name


@pytest.mark.parametrize(("least", "outcome"), [(0, {"passed": 1}), (2, {"failed": 1})])
def test_a_bot_is_tested_on_a_tape(least: int, outcome: dict[str, int], pytester: pytest.Pytester) -> None:
    body = '{"asks":[[11,1]],"bids":[[9,1]],"sequence_number":%d}'
    changes = [TapeFrame(n * 10**9, "/marketdepth/diff/200", body % (7 + n)) for n in range(1, 100)]
    Tape([TapeAnswer(0, "/marketdepth/200", body % 7), *changes]).save(pytester.path / "tape.jsonl.gz")
    (block,) = blocks("howto/record_and_replay.md")
    assert "spread > 0" in block
    pytester.makepyfile(**{f"test_on_a_tape_{least}": block.replace("spread > 0", f"spread > {least}")})
    pytester.runpytest_inprocess().assert_outcomes(**outcome)
