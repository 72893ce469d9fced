"""``tplus-trio klines``: lines, JSON, a chart that fits, and a PNG."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from trio.testing import MockClock

from tests.helpers.printed_lines import PrintedLines
from tests.helpers.world import ASSET, URL
from tplus_trio import NotFoundError, Timebar
from tplus_trio.cli import klines
from tplus_trio.cli.candles import draw_candles
from tplus_trio.cli.failure import USAGE, Failure
from tplus_trio.cli.klines import Output, show_klines
from tplus_trio.cli.services import Services
from tplus_trio.testing import Exchange, MemoryNetwork

NOON = 43_200 * 10**9
MINUTE = 60 * 10**9
CODES = re.compile("\x1b" + r"\[\d*m")


def bar(number: int, open_: str, high: str, low: str, close: str, volume: int = 1) -> Timebar:
    opened = NOON + number * MINUTE
    prices = (Decimal(open_), Decimal(close), Decimal(low), Decimal(high))
    return Timebar(*prices, Decimal(volume), opened, opened + MINUTE)


RISING, FALLING = bar(0, "10.0", "14.0", "9.0", "13.0", 8), bar(1, "13.0", "13.5", "10.0", "11.0", 4)


@asynccontextmanager
async def open_market(candles: int = 5) -> AsyncIterator[Services]:
    """A market with a candle for each of the last minutes."""
    exchange = Exchange()
    exchange.add_market(ASSET)
    start = exchange.now_ns() - candles * MINUTE
    for number in range(candles):
        for price in (100 + number, 102 + number, 99 + number, 101 + number):
            exchange.publish_trade(ASSET, price, 1, timestamp_ns=start + number * MINUTE)
    async with MemoryNetwork(exchange) as network:
        yield Services(URL, URL, {"connector": network, "now_ns": exchange.now_ns})


async def shown(services: Services, output: Output = Output(), limit: int | None = None) -> list[str]:  # noqa: B008 - frozen
    lines = PrintedLines()
    program = show_klines(lines, services=services, asset=ASSET, interval="1", limit=limit, output=output)
    assert await program == 0
    return lines.lines


async def test_lines(autojump_clock: MockClock) -> None:
    async with open_market() as services:
        heading, *rows = await shown(services)
        assert len(await shown(services, limit=2)) == 3
    assert heading.split() == ["opened", "(UTC)", "open", "high", "low", "close", "volume"]
    assert [row.split()[2:] for row in rows] == [
        [str(100 + n), str(102 + n), str(99 + n), str(101 + n), "4"] for n in range(5)
    ]


async def test_json(autojump_clock: MockClock) -> None:
    async with open_market() as services:
        rows = [json.loads(line) for line in await shown(services, Output(is_json=True), 3)]
    assert [row["open"] for row in rows] == ["102", "103", "104"]  # the newest three, oldest first
    assert {row["kind"] for row in rows} == {"KlineUpdate"}
    assert {row["asset_id"] for row in rows} == {"200"}


async def test_no_candles(autojump_clock: MockClock) -> None:
    async with open_market(0) as services:
        assert await shown(services) == ["no candles"]
        assert await shown(services, Output(is_json=True)) == []
        assert await shown(services, Output(is_chart=True)) == ["200, interval 1: no candles"]


async def test_a_market_that_does_not_exist(autojump_clock: MockClock) -> None:
    async with MemoryNetwork(Exchange()) as network:
        with pytest.raises(NotFoundError):
            await shown(Services(URL, URL, {"connector": network}))


# The chart


def test_a_chart() -> None:
    assert draw_candles([RISING, FALLING], "200", 40, 9, has_color=False) == [
        "200  last 11.0  low 9.0  high 14.0",
        "13.7 │ ╷",
        "     ┃ ┃",
        "     ┃ ┃",
        "     ┃ │",
        " 9.3 │",
        "     █ ▄",
        "     + -",
        "     1970-01-01 12:00 - 1970-01-01 12:01",
    ]


def test_colors_are_codes_around_the_same_chart() -> None:
    plain = draw_candles([RISING, FALLING], "200", 40, 9, has_color=False)
    colored = draw_candles([RISING, FALLING], "200", 40, 8, has_color=True)
    assert [CODES.sub("", line) for line in colored] == [*plain[:7], plain[8]]
    assert "\x1b[32m" in colored[2]
    assert "\x1b[31m" in colored[2]


@pytest.mark.parametrize(("width", "height"), [(1, 1), (5, 4), (10, 40), (20, 10), (40, 12), (80, 24), (200, 60)])
@pytest.mark.parametrize("has_color", [False, True])
def test_it_fits(width: int, height: int, has_color: bool) -> None:
    candles = [bar(n, f"{n % 7 + 1}.25", f"{n % 7 + 3}.5", f"{n % 7}.125", f"{n % 5 + 1}.5", n % 9) for n in range(100)]
    lines = draw_candles(candles, "200, interval 60", width, height, has_color=has_color)
    assert max(len(CODES.sub("", line)) for line in lines) <= width
    assert len(lines) <= max(height, 6)
    assert all(("\x1b" in line) <= has_color for line in lines)


def test_the_newest_are_drawn() -> None:
    candles = [bar(n, "1", "2", "1", "1.5") for n in range(99)] + [bar(99, "90", "99", "90", "95")]
    assert "high 99.0" in draw_candles(candles, "200", 60, 10, has_color=False)[0]
    last = draw_candles(
        [*candles, *(bar(n, "1", "2", "1", "1.5") for n in range(100, 200))], "2", 60, 9, has_color=False
    )
    assert "high 2.0" in last[0]


def test_prices_that_are_all_equal() -> None:
    lines = draw_candles([bar(n, "5", "5", "5", "5", 0) for n in range(3)], "200", 40, 8, has_color=False)
    assert sum("╹" in line or "╻" in line for line in lines) == 1
    assert lines[-2].strip() == "+ + +"


@pytest.mark.parametrize(
    ("terminal", "variables", "expected"),
    [
        (True, {"TERM": "xterm"}, True),
        (True, {"TERM": "xterm", "NO_COLOR": ""}, True),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (False, {"TERM": "xterm"}, False),
    ],
)
async def test_when_there_are_colors(
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
    terminal: bool,
    variables: dict[str, str],
    expected: bool,
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("LINES", "12")
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    async with open_market() as services:
        lines = await shown(services, Output(is_chart=True))
    assert any("\x1b" in line for line in lines) is expected
    assert max(len(CODES.sub("", line)) for line in lines) <= 30
    assert len(lines) == 10


# PNG


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="the optional extra plot is not installed")
async def test_a_png(capfd: pytest.CaptureFixture[str], autojump_clock: MockClock, tmp_path: Path) -> None:
    file = tmp_path / "candles.png"
    async with open_market() as services:
        assert await shown(services, Output(png=file)) == []
        with pytest.raises(Failure, match="No such file or directory"):
            await shown(services, Output(png=tmp_path / "no" / "candles.png"))
    content = file.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert (int.from_bytes(content[16:20]), int.from_bytes(content[20:24])) == (1200, 675)
    assert "5 candles in " in capfd.readouterr().err


async def test_a_png_without_matplotlib(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(klines, "find_spec", lambda _: None)
    with pytest.raises(Failure, match=re.escape('a PNG needs matplotlib: pip install "tplus_trio[plot]"')) as raised:
        await shown(Services(), Output(png=tmp_path / "candles.png"))  # before anything is read
    assert raised.value.status == USAGE
