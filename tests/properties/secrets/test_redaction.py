"""What a redactor finds, and that its cost does not depend on the number of secrets."""

from __future__ import annotations

import base64
import json
import random
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tplus_trio import secret as module
from tplus_trio.secret import Redactor

HOUR_NS = 3_600_000_000_000
MASK = "[…]"

words = st.text(alphabet="ghijklmnop ", max_size=20)


def token(number: int) -> str:
    """Make a token. All tokens of one service begin with the same header."""
    body = random.Random(number).randbytes(60)
    return "eyJhbGciOiJIUzI1NiJ9." + base64.urlsafe_b64encode(body).decode()


def work(call: Callable[[], object]) -> int:
    """Count the function calls of a call: its cost, whatever else the machine does."""
    count = 0

    def note(frame: FrameType, event: str, arg: Any) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
    return count


@given(
    told=st.lists(st.text(alphabet="ABCDEF012345", min_size=15, max_size=60), min_size=1, max_size=4),
    parts=st.lists(st.tuples(words, st.integers(0, 3), st.integers(0, 60), st.integers(15, 60)), max_size=4),
    end=words,
)
def test_every_piece_goes_out_and_all_else_stays(
    told: list[str], parts: list[tuple[str, int, int, int]], end: str
) -> None:
    redactor = Redactor({"X-Api-Key": told[0]})
    for known in told[1:]:
        redactor.tell_token(known)
    text, kept = "", list[str]()
    for before, which, start, size in parts:
        known = told[which % len(told)]
        first = min(start, len(known) - 15)
        text += f"{before}|{known[first : first + size]}|"
        kept += [f"{before}|", "|"]
    text += end
    kept.append(end)
    assert redactor.text(text) == "".join(
        piece + (MASK if number % 2 == 0 and number + 1 < len(kept) else "") for number, piece in enumerate(kept)
    )


@pytest.mark.parametrize(
    "spell",
    [
        str,
        lambda told: json.dumps(f'"{told}"'),
        lambda told: repr(told.encode()),
        lambda told: told.encode().hex(),
        lambda told: told.encode().hex().upper(),
        lambda told: base64.b64encode(told.encode()).decode(),
        lambda told: base64.urlsafe_b64encode(told.encode()).decode(),
        lambda told: f"{told[20:50]} and {told[30:70]}",
    ],
)
def test_spellings(spell: Callable[[str], str]) -> None:
    redactor = Redactor()
    for number in range(5):
        redactor.tell_token(token(number))
    said = redactor.text(f"before {spell(token(3))} after")
    assert said.startswith("before ")
    assert said.endswith(" after")
    assert MASK in said
    assert len(said) < 45


@pytest.mark.parametrize("number", range(3))
def test_tokens_that_are_alike_leave_nothing_of_one_another(number: int) -> None:
    redactor = Redactor()
    for told in range(3):
        redactor.tell_token(token(told))
    assert redactor.text(f"<{token(number)}{token(2 - number)}>") == f"<{MASK}>"
    assert redactor.text(f"<{token(number)} {token(2 - number)}>") == f"<{MASK} {MASK}>"


def test_a_short_token_goes_out_whole() -> None:
    redactor = Redactor()
    redactor.tell_token("a.b(c")
    assert redactor.text("x a.b(c y a-b(c") == f"x {MASK} y a-b(c"


def test_a_signature_is_removed_also_after_an_earlier_search() -> None:
    redactor, signature = Redactor(), bytes(range(100, 164))
    assert redactor.text(signature.hex()) == signature.hex()
    redactor.tell_signature(signature)
    assert redactor.text(signature.hex()) == MASK
    answer = b'{"x":"' + signature.hex().encode() + b'"}'
    assert redactor.answer(answer, signed=True) == f'{{"x":"{MASK}"}}'.encode()


def test_expired_tokens_are_forgotten() -> None:
    redactor = Redactor()
    for hour in range(65):
        redactor.tell_token(token(hour), (hour + 1) * HOUR_NS, hour * HOUR_NS)
    assert redactor.text(token(0)) != MASK
    assert [redactor.text(token(hour)) for hour in (63, 64)] == [MASK, MASK]  # the last token may still be in a request
    assert len(redactor._tokens) == 2


def test_a_token_that_has_already_expired_is_remembered() -> None:
    """The clocks disagree then, and the token is used until it is refused."""
    redactor = Redactor()
    redactor.tell_token(token(0), 5, 10 * HOUR_NS)
    redactor.tell_token(token(1), 12 * HOUR_NS, 11 * HOUR_NS)
    assert redactor.text(token(0)) == MASK


def test_the_cost_of_a_text_does_not_depend_on_the_number_of_secrets() -> None:
    few, many = Redactor(), Redactor()
    few.tell_token(token(0))
    for number in range(64):
        many.tell_token(token(number))
    text = "the service is not available " * 20
    costs: set[int] = set()
    for redactor in (few, many):
        redactor.text(text)
        costs.add(work(lambda: redactor.text(text)))  # noqa: B023 - called at once
    assert len(costs) == 1
    assert costs.pop() < 3 * len(text)


def test_the_search_tables_are_made_once_for_many_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []

    class Counted(module._Pieces):
        def __init__(self, *args: Any) -> None:
            made.append(self)
            super().__init__(*args)

    monkeypatch.setattr(module, "_Pieces", Counted)
    redactor = Redactor()
    redactor.tell_token(token(0))
    redactor.tell_signature(bytes(64))
    tree = {"error": {f"k{number}": "abc" for number in range(2000)}}
    assert redactor.tree(tree) == tree
    assert len(made) == 2


def test_a_text_made_to_be_expensive_costs_its_length() -> None:
    redactor = Redactor()
    for number in range(64):
        redactor.tell_token(token(number))
    text = token(1)[16:24] * 500  # where the tokens begin to differ
    redactor.text(text)
    assert work(lambda: redactor.text(text)) < 400 * len(text)
    assert work(lambda: redactor.text(text * 2)) < 2.1 * work(lambda: redactor.text(text))


def test_a_tree_without_end_is_cut() -> None:
    redactor = Redactor()
    huge = {"error": {"message": "no", "details": ["x" * 1000] * 1000}}
    pruned = redactor.tree(huge)
    assert pruned["error"]["message"] == "no"
    assert 50_000 < sum(len(part) for part in pruned["error"]["details"]) < 80_000
    deep: list[Any] = []
    for _ in range(900):
        deep = [deep]
    assert MASK in repr(redactor.tree(deep))
