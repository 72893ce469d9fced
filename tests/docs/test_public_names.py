"""What ``import tplus_trio`` offers, and what it costs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import tplus_trio
from tplus_trio import testing


def test_every_name_is_there_and_is_the_rooms_own() -> None:
    for name in tplus_trio.__all__:
        assert getattr(tplus_trio, name) is not None
    assert sorted(tplus_trio.__all__) == dir(tplus_trio) == sorted(tplus_trio._ROOM_OF)


def test_the_reference_has_every_name() -> None:
    page = Path(__file__).parent.parent.parent.joinpath("docs/reference.md").read_text(encoding="utf-8")
    named = re.findall(r"^\.\. auto(?:class|data|exception|function):: (\w+)$", page, re.MULTILINE)
    assert sorted(named) == sorted([*tplus_trio.__all__, *testing.__all__])


def test_an_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        tplus_trio.Nonsense  # noqa: B018


def test_importing_the_package_loads_nothing_in_vain() -> None:
    program = (
        "import sys, tplus_trio; before = set(sys.modules); "
        "print(sorted(n for n in before if n.split('.')[0] in {'trio', 'httpx', 'msgspec', 'cryptography'})); "
        "from tplus_trio import MarketDataClient; "
        "print(sorted({'tplus_trio.testing', 'tplus_trio.cli'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    loaded, in_vain = out.splitlines()
    assert loaded == in_vain == "[]"
