"""Numbers of every length, exponent and spelling, as a service may write them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hypothesis import strategies as st

__all__ = ["SPELLED_NUMBERS", "depth_text"]

_DIGITS: Final = st.text("0123456789", min_size=1, max_size=18)
_WHOLE: Final = st.one_of(st.just("0"), _DIGITS.map(lambda digits: digits.lstrip("0") or "0"))
_PLAIN: Final = st.one_of(_WHOLE, st.builds("{}.{}".format, _WHOLE, _DIGITS))
_EXPONENT: Final = st.builds("{}{}{}".format, _PLAIN, st.sampled_from(["e", "E", "e+", "e-"]), st.integers(0, 30))
_USUAL: Final = st.one_of(
    st.integers(0, 40).map(str),
    st.builds("{}.{}".format, st.integers(9, 11), st.sampled_from(["5", "50", "25", "250", "0", "00"])),
)
#: Numbers in JSON: short ones that repeat, long ones, ones with an exponent, and each of them as a string.
SPELLED_NUMBERS: Final = st.one_of(
    _USUAL, _USUAL, _USUAL, _PLAIN, _EXPONENT, st.one_of(_USUAL, _PLAIN).map('"{}"'.format)
)


def depth_text(bids: Iterable[tuple[str, str]], asks: Iterable[tuple[str, str]], number: int) -> str:
    """Write a change of a book."""
    sides = [",".join(f"[{price},{quantity}]" for price, quantity in side) for side in (asks, bids)]
    return f'{{"asks":[{sides[0]}],"bids":[{sides[1]}],"sequence_number":{number}}}'
