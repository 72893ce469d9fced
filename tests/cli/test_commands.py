"""The command line, in processes of its own: what it prints, how it ends."""

from __future__ import annotations

import functools
import inspect
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import trio

from tests.helpers.commands import PATIENCE, Ended, end, finished, line, read_lines, started
from tplus_trio import MarketDataClient, OrderBookClient, User, UserManager
from tplus_trio.cli import exchange, main
from tplus_trio.cli.exchange import DEFAULT_PORTS
from tplus_trio.cli.lines import Lines
from tplus_trio.cli.services import DEFAULT_OMS_URL, DEFAULT_URL
from tplus_trio.testing import Exchange, Tape, TapeAnswer, TapeFrame, serve

CLI = ("-m", "tplus_trio")
FEEDS = ("depth", "trades", "klines", "orders", "user-trades")
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def frames(market: int, numbers: list[int]) -> list[TapeAnswer | TapeFrame]:
    """A market's snapshot, and diffs of which each adds a level and takes one away."""
    snapshot = {"asks": [[101, "1.5"]], "bids": [["99.50", 2]], "sequence_number": 10}
    entries: list[TapeAnswer | TapeFrame] = [TapeAnswer(0, f"/marketdepth/{market}", json.dumps(snapshot))]
    for number in numbers:
        diff = {"asks": [[100 + number, number]], "bids": [[99.5, number % 2]], "sequence_number": number}
        entries.append(TapeFrame(number * 10**6, f"/marketdepth/diff/{market}", json.dumps(diff)))
    return entries


def trade(trade_id: int) -> TapeFrame:
    fields = {
        "asset_id": "7",
        "trade_id": trade_id,
        "price": "100.1",
        "quantity": 1,
        "timestamp_ns": trade_id,
        "buyer_is_maker": False,
    }
    return TapeFrame(trade_id * 10**6, "/trades", json.dumps(fields))


def save(tape: Path, *entries: TapeAnswer | TapeFrame) -> Path:
    Tape(sorted(entries, key=lambda entry: entry.t_ns)).save(tape)
    return tape


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    """Two markets with 40 diffs each, and 20 trades."""
    numbers = list(range(11, 51))
    return save(tmp_path / "tape.jsonl", *frames(7, numbers), *frames(8, numbers), *map(trade, range(20, 40)))


@pytest.fixture(scope="module")
def exchange_url() -> Iterator[str]:
    with started(*CLI, "exchange", "--port", "0") as process:
        yield line(process)


def counts(out: str) -> dict[str, int]:
    """The events by feed, off the table at the end."""
    table = out.partition("\nfeed ")[2].splitlines()[1:6]
    return {name: int(events) for name, _, events, *_ in (row.split() for row in table)}


# demo


def test_demo() -> None:
    """The whole story, with a bot that is killed; without a terminal it prints lines."""
    command = [sys.executable, *CLI, "demo", "--seconds", "1"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=4 * PATIENCE, check=False)
    out = ended.stdout
    assert (ended.returncode, ended.stderr) == (0, "")
    found = counts(out)
    assert set(found) == set(FEEDS)
    assert all(found.values())
    assert re.findall(r"^ *[\d.]+ s  (\d) of 4  ", out, re.MULTILINE) == ["1", "2", "3", "4"]
    assert out.count("LOST after") == 3
    assert re.search(r"^right  orders left of the killed bot +0$", out, re.MULTILINE)
    assert out.splitlines()[-1] == "Nothing was wrong, and nothing was lost without a mark."


def test_demo_prints_as_it_goes() -> None:
    with started(*CLI, "demo", "--seconds", "60") as process:
        assert "exchange" in line(process)
        read_lines(process, 2)


def test_demo_with_a_tape(tape: Path) -> None:
    ended = finished(*CLI, "demo", "--seconds", "0.5", "--tape", tape)
    assert (ended.status, ended.err) == (0, "")
    found = counts(ended.out)
    assert (found["depth"], found["trades"]) == (2 * 41, 20)
    assert found["orders"]
    assert found["user-trades"]
    for market in ("7", "8"):
        depth = [row.split()[2] for row in ended.out.splitlines() if row.split()[:2] == ["depth", market]]
        assert depth == [f"#{number}" for number in range(10, 51)]
    trades = [row.split()[2] for row in ended.out.splitlines() if row.split()[:2] == ["trades", "7"]]
    assert trades == [f"#{number}" for number in range(20, 40)]
    assert ended.out.splitlines()[-2:] == [
        "recorded events that arrived once and in order: 100 of 100",
        "books, built from snapshot and diffs, that equal those built from the file: 2 of 2",
    ]


def test_demo_passes_over_what_repeats(tmp_path: Path) -> None:
    tape = save(tmp_path / "tape", *frames(7, [8, 9, 10, 11, 11, 12, 13]), trade(1), trade(1))
    ended = finished(*CLI, "demo", "--seconds", "0.3", "--tape", tape)
    assert ended.status == 0
    assert "once and in order: 4 of 4" in ended.out
    assert "older than the snapshot: 5" in ended.out


def test_demo_says_that_a_frame_did_not_arrive(tmp_path: Path) -> None:
    tape = save(tmp_path / "tape", *frames(7, [11, 12, 13, 20, 21]))
    ended = finished(*CLI, "demo", "--seconds", "0.3", "--tape", tape)
    assert ended.status == 1
    assert "once and in order: 3 of 5" in ended.out
    assert ended.out.splitlines()[-1].startswith("WRONG: depth 7: only 3 of 5 events arrived")
    assert "sequence number 20 came after 13" in ended.err


# exchange and stream


def test_exchange_and_stream(exchange_url: str) -> None:
    with started(*CLI, "stream", "depth", "200", "--url", exchange_url) as process:
        first, *more = read_lines(process, 5)
    assert first.split()[:2] == ["depth", "200"]
    assert "snapshot" in first
    number = int(first.split()[2].removeprefix("#"))
    assert [row.split()[2] for row in more] == [f"#{number + n}" for n in range(1, 5)]


def test_stream_as_json(exchange_url: str) -> None:
    with started(*CLI, "stream", "depth", "200", "--json", "--url", exchange_url) as process:
        book, *diffs = (json.loads(row) for row in read_lines(process, 4))
    assert book["kind"] == "OrderBook"
    assert [diff["kind"] for diff in diffs] == ["OrderBookDiff"] * 3
    assert [diff["sequence_number"] for diff in diffs] == [book["sequence_number"] + n for n in range(1, 4)]


def test_stream_of_each_public_feed(exchange_url: str) -> None:
    with ExitStack() as stack:
        commands = (("trades",), ("tickers",), ("klines", "201"), ("ticker", "201"))
        streams = [
            (feed, stack.enter_context(started(*CLI, "stream", feed, *asset, "--url", exchange_url)))
            for feed, *asset in commands
        ]
        for feed, process in streams:
            assert line(process).startswith(f"{feed}  ")


async def trade_until_shown(exchange: Exchange, user: User, process: subprocess.Popen[str]) -> str:
    """Let a user buy again and again until a process prints a line: nothing else tells when it listens."""

    async def trade() -> None:
        while True:
            exchange.place(user.public_key, 200, "Buy", 1000, 5)
            await trio.sleep(0.1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trade)
        shown = await trio.to_thread.run_sync(line, process)
        nursery.cancel_scope.cancel()
    return shown


async def test_stream_of_a_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TPLUS_PASSWORD", "a password")
    manager = UserManager(tmp_path / ".tplus" / "users")
    alice = await trio.to_thread.run_sync(manager.generate, "alice")
    exchange = Exchange()
    exchange.add_market(200)
    exchange.place(User().public_key, 200, "Sell", 1000, 5000)
    async with serve(exchange) as url:
        arguments = (*CLI, "stream", "user-trades", "--user", "alice", "--url", url)
        with trio.fail_after(PATIENCE), started(*arguments, home=tmp_path) as process:
            shown = await trade_until_shown(exchange, alice, process)
    assert "bought 0.005 at 10.00 as taker" in shown
    assert exchange.sign_ins == 1


def test_a_tape_begins_after_the_first_stream(tape: Path) -> None:
    with started(*CLI, "exchange", "--port", "0", "--tape", tape, "--speed", "inf") as process:
        url = line(process)
        with started(*CLI, "stream", "depth", "7", "--json", "--url", url) as stream:
            book, began = json.loads(line(stream)), time.monotonic()
            diffs = [json.loads(row) for row in read_lines(stream, 40)]
        assert time.monotonic() - began > 0.5  # time for other streams to stand
        assert [item["sequence_number"] for item in (book, *diffs)] == list(range(10, 51))
        assert "waiting" in line(process)
        assert line(process) == "playing"
        assert line(process).startswith("the tape has ended")


def test_stream_goes_on_when_the_exchange_comes_back() -> None:
    with started(*CLI, "exchange", "--port", "0") as exchange:
        url = line(exchange)
        with started(*CLI, "stream", "depth", "200", "--url", url) as stream:
            assert "snapshot" in line(stream)
            end(exchange, signal.SIGINT)
            with started(*CLI, "exchange", "--port", url.rpartition(":")[2]) as again:
                assert line(again) == url
                while "snapshot" not in line(stream):
                    pass
                assert "trying again in" in end(stream, signal.SIGINT).err


# The end


def ends_well(ended: Ended, seconds: float = 1) -> None:
    assert ended.err == ""
    assert ended.status == 130
    assert ended.seconds < seconds


@pytest.mark.parametrize("signum", SIGNALS)
def test_a_signal_ends_a_demo(signum: signal.Signals) -> None:
    with started(*CLI, "demo", "--seconds", "60") as process:
        read_lines(process, 3)
        ends_well(end(process, signum), 3)  # the market maker takes its orders back


def test_a_signal_ends_a_demo_with_a_tape(tape: Path) -> None:
    with started(*CLI, "demo", "--seconds", "60", "--tape", tape) as process:
        read_lines(process, 10)
        ends_well(end(process, signal.SIGINT))


@pytest.mark.parametrize("signum", SIGNALS)
def test_a_signal_ends_exchange_and_stream(signum: signal.Signals) -> None:
    with started(*CLI, "exchange", "--port", "0") as exchange:
        url = line(exchange)
        with started(*CLI, "stream", "trades", "--url", url) as stream:
            line(stream)
            ends_well(end(stream, signum))
        ends_well(end(exchange, signum))


def fill(pipe: int) -> None:
    os.set_blocking(pipe, False)
    with suppress(BlockingIOError):
        while True:
            os.write(pipe, b"." * 4096)


@pytest.mark.parametrize(("signum", "blocking"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_a_signal_ends_what_nobody_reads(exchange_url: str, signum: signal.Signals, blocking: bool) -> None:
    """Standard output is a pipe that is full, and stays so."""
    read_end, write_end = os.pipe()
    command = [sys.executable, *CLI, "stream", "depth", "200", "--url", exchange_url]
    try:
        with subprocess.Popen(command, stdout=write_end, stderr=subprocess.PIPE, text=True) as process:
            os.read(read_end, 1)
            fill(write_end)
            os.set_blocking(write_end, blocking)
            time.sleep(0.1)  # it prints more often than that
            assert process.poll() is None
            ends_well(end(process, signum))
    finally:
        os.close(read_end)
        os.close(write_end)


def test_a_closed_output_ends_quietly(exchange_url: str) -> None:
    for command in (("demo", "--seconds", "60"), ("stream", "depth", "200", "--url", exchange_url)):
        with started(*CLI, *command) as process:
            read_lines(process, 3)
            assert process.stdout is not None
            process.stdout.close()
            assert process.wait(PATIENCE) == 0
            assert process.stderr is not None
            assert process.stderr.read() == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_an_output_that_takes_nothing() -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, *CLI, "demo", "--seconds", "60"]
        with subprocess.Popen(command, stdout=full, stderr=subprocess.PIPE, text=True) as process:
            _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert err == "tplus-trio: standard output: No space left on device\n"


# ports


def test_the_ports_are_where_the_clients_look() -> None:
    """The clients, the exchange and the examples use the same ports; the metrics example has one more of its own."""
    defaults = [inspect.signature(kind).parameters["base_url"].default for kind in (MarketDataClient, OrderBookClient)]
    assert defaults == ["http://localhost:8011", "http://localhost:3032"]
    assert [f"http://localhost:{port}" for port in DEFAULT_PORTS] == defaults == [DEFAULT_URL, DEFAULT_OMS_URL]
    examples = Path(__file__).parent.parent.parent / "examples"
    named = {url for file in examples.glob("*.py") for url in re.findall(r"http://[\w.]+:\d+", file.read_text())}
    metrics = "http://127.0.0.1:9000"  # where metrics.py is scraped
    assert named - {metrics} == {f"http://127.0.0.1:{port}" for port in DEFAULT_PORTS}


@pytest.mark.parametrize(
    ("options", "ports"), [([], DEFAULT_PORTS), (["--port", "8000"], (8000,)), (["--port", "0"], (0,))]
)
def test_which_ports_are_served(monkeypatch: pytest.MonkeyPatch, options: list[str], ports: tuple[int, ...]) -> None:
    asked: list[object] = []

    async def serve_exchange(_: Lines, **settings: object) -> int:
        await trio.lowlevel.checkpoint()
        asked.append(settings["ports"])
        return 0

    monkeypatch.setattr(exchange, "serve_exchange", serve_exchange)
    assert main(["exchange", *options]) == 0
    assert asked == [ports]


class Printed(Lines):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.settled = trio.Event()

    async def put(self, line: str) -> None:
        await trio.lowlevel.checkpoint()
        self.lines.append(line)
        if "traders" in line:
            self.settled.set()


async def test_both_ports_serve_both_services() -> None:
    printed = Printed()
    serving = functools.partial(
        exchange.serve_exchange, host="127.0.0.1", ports=(0, 0), tape_file=None, speed=1.0, seed=0
    )
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serving, printed)
            await printed.settled.wait()
            first, second, told = printed.lines
            assert first != second
            assert "traders" in told
            for url in (first, second):
                async with MarketDataClient(url) as md, OrderBookClient(url, default_user=User()) as oms:
                    assert len(await md.get_trades()) >= 0
                    market = await oms.get_market(200)
                    assert market.asset_id == "200"
            nursery.cancel_scope.cancel()
