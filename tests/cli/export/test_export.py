"""``export``: the table of a tape has each number exactly, and what was lost."""

from __future__ import annotations

import importlib.util
import json
import zlib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tplus_trio.cli import main
from tplus_trio.cli.export.parquet import export_file
from tplus_trio.cli.export.rows import DecimalType
from tplus_trio.cli.failure import Failure
from tplus_trio.testing import Tape, TapeAnswer, TapeEntry, TapeFrame, TapeLoss

arrow: Any = pytest.importorskip("pyarrow", reason="the extra `arrow` is not installed")
parquet: Any = importlib.import_module("pyarrow.parquet")

DEPTH, TRADES = "/marketdepth/diff/7", "/trades"


def trade(trade_id: int, price: str = '"0.10"') -> str:
    return (
        f'{{"asset_id":"7","trade_id":{trade_id},"price":{price},"quantity":2,'
        f'"timestamp_ns":{10**18 + trade_id},"buyer_is_maker":false,"status":"Confirmed"}}'
    )


ENTRIES: list[TapeEntry] = [
    TapeFrame(1, DEPTH, '{"type":"subscriptions"}'),
    TapeAnswer(2, "/marketdepth/7", '{"asks":[[10.50,"1"]],"bids":[["9.5",1e-5],[9,3]],"sequence_number":5}'),
    TapeFrame(3, DEPTH, '{"bids":[[9.5,0],["9.25","1.2500"]],"asks":[],"sequence_number":6}'),
    TapeFrame(4, DEPTH, '{"bids":[],"asks":[],"sequence_number":7}'),
    TapeFrame(5, TRADES, trade(1)),
    TapeLoss(6, TRADES, "the connection was lost"),
    TapeFrame(7, TRADES, trade(4, "0.123456789")),
    TapeAnswer(8, "/trades?page=0&limit=100", f"[{trade(4, '0.123456789')},{trade(3)},{trade(2)},{trade(1)}]"),
    TapeAnswer(9, "/trades?page=0&limit=100", f"[{trade(3)}]"),
    TapeFrame(10, DEPTH, "nonsense"),
    TapeLoss(11, DEPTH, "a frame could not be decoded", connection=False),
    TapeFrame(12, "/klines/diff/7", "[]"),
    TapeAnswer(13, "/klines/7?page=0", "[]"),
    TapeFrame(14, "/tickers/ws", "[]"),
]


def saved(tmp_path: Path, *entries: TapeEntry) -> Path:
    file = tmp_path / "tape.jsonl.gz"
    Tape(entries).save(file)
    return file


def rows_of(file: Path) -> list[dict[str, Any]]:
    return without_times(parquet.read_table(file))


def without_times(table: Any) -> list[dict[str, Any]]:
    """The rows without their nanoseconds, for which Python has no type."""
    rows: list[dict[str, Any]] = table.drop_columns(["received", "traded"]).to_pylist()
    return rows


def test_each_level_trade_and_loss_is_a_row(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = saved(tmp_path, *ENTRIES)
    assert main(["export", str(file), "--parquet"]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    kinds = "3 change, 1 gap, 1 lost, 3 snapshot, 4 trade, 1 undecodable"
    assert out.splitlines() == [
        f"{tmp_path}/tape.parquet: 13 rows ({kinds}); price decimal128(38, 9), quantity decimal128(38, 5)",
        "not exported: 2 frames and answers of /klines/diff/7",
        "not exported: 1 frames and answers of /tickers/ws",
    ]
    table = parquet.read_table(tmp_path / "tape.parquet")
    rows = without_times(table)
    levels = [row for row in rows if row["kind"] in {"snapshot", "change"}]
    assert [(row["kind"], row["sequence_number"], row["side"], row["price"], row["quantity"]) for row in levels] == [
        ("snapshot", 5, "bid", Decimal("9.5"), Decimal("0.00001")),
        ("snapshot", 5, "bid", Decimal(9), Decimal(3)),
        ("snapshot", 5, "ask", Decimal("10.5"), Decimal(1)),
        ("change", 6, "bid", Decimal("9.5"), Decimal(0)),
        ("change", 6, "bid", Decimal("9.25"), Decimal("1.25")),
        ("change", 7, None, None, None),
    ]
    trades = [row for row in rows if row["kind"] == "trade"]
    # Those that REST brought back have the time of the answer, and come once.
    assert [(row["trade_id"], row["price"], row["quantity"]) for row in trades] == [
        (1, Decimal("0.1"), Decimal(2)),
        (4, Decimal("0.123456789"), Decimal(2)),
        (2, Decimal("0.1"), Decimal(2)),
        (3, Decimal("0.1"), Decimal(2)),
    ]
    received = table.column("received").cast(arrow.int64()).to_pylist()
    assert [time for time, row in zip(received, rows, strict=True) if row["kind"] == "trade"] == [5, 7, 8, 8]
    traded = table.column("traded").cast(arrow.int64()).to_pylist()
    assert [time for time in traded if time is not None] == [10**18 + n for n in (1, 4, 2, 3)]
    lost = {row["kind"]: (row["feed"], row["asset_id"], row["reason"]) for row in rows if row["reason"] is not None}
    assert lost["lost"] == (TRADES, None, "the connection was lost")
    assert lost["gap"] == (DEPTH, "7", "a frame could not be decoded")
    assert lost["undecodable"][:2] == (DEPTH, "7")


def checksum(bids: dict[Decimal, Decimal], asks: dict[Decimal, Decimal]) -> int:
    """A checksum of a whole book."""
    sides = (sorted(bids.items(), reverse=True), sorted(asks.items()))
    text = "|".join(
        ";".join(f"{price.normalize():f}:{quantity.normalize():f}" for price, quantity in side) for side in sides
    )
    return zlib.crc32(text.encode())


def test_the_book_has_the_same_checksum_at_each_sequence_number(tmp_path: Path) -> None:
    bids, asks, entries = dict[Decimal, Decimal](), dict[Decimal, Decimal](), list[TapeEntry]()
    expected: dict[int, int] = {}
    for number in range(1, 500):
        # No float holds these numbers.
        price = Decimal(1 + number * 7919 % 503) + number % 3 * Decimal("0.00000000000000000001")
        quantity = number % 5 * Decimal("1.000000000000001")
        side = bids if number % 2 else asks
        side[price] = quantity
        if not quantity:
            del side[price]
        text = {"bids": [], "asks": [], "sequence_number": number} | {
            "bids" if number % 2 else "asks": [[f"{price:f}", f"{quantity:f}"]]
        }
        if number == 1:
            entries.append(TapeAnswer(0, "/marketdepth/7", json.dumps(text)))
        else:
            entries.append(TapeFrame(number, DEPTH, json.dumps(text)))
        expected[number] = checksum(bids, asks)
    export_file(saved(tmp_path, *entries), tmp_path / "table")
    found: dict[int, int] = {}
    sides: dict[str, dict[Decimal, Decimal]] = {"bid": {}, "ask": {}}
    for row in rows_of(tmp_path / "table"):
        side, price = sides[row["side"]], row["price"]
        side[price] = row["quantity"]
        if not row["quantity"]:
            del side[price]
        found[row["sequence_number"]] = checksum(sides["bid"], sides["ask"])
    assert found == expected


def test_numbers_that_no_decimal128_holds(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    long, big = "0.1000000000000000055511151231257827021181", "9" * 20
    entries = [
        TapeFrame(n, DEPTH, f'{{"bids":[["{price}",1]],"asks":[],"sequence_number":{n}}}')
        for n, price in enumerate((big, long), 1)
    ]
    file = saved(tmp_path, *entries)
    out = tmp_path / "table"
    out.write_text("an older table")
    assert main(["export", str(file), "--parquet", str(out)]) == 1
    err = capfd.readouterr().err
    assert f"with the price {long} the price column needs 60 digits, and a decimal128 has 38; --text writes" in err
    assert err.count("\n") == 1
    assert out.read_text() == "an older table"
    assert main(["export", str(file), "--parquet", str(out), "--text"]) == 0
    assert [row["price"] for row in rows_of(out)] == [big, long]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["table", "tape.jsonl.gz"]


@pytest.mark.parametrize(
    ("texts", "digits"),
    [
        (["1", "22.5", "0.125"], (2, 3)),
        (["1.000000", "100", "1E+3", "5E+1"], (4, 0)),
        (["0", "0.000", "0E-20"], (0, 0)),
        (["1e-38"], (0, 38)),
        ([f"{'1' * 30}.{'1' * 8}"], (30, 8)),
    ],
)
def test_the_least_precise_type_that_is_exact(texts: list[str], digits: tuple[int, int]) -> None:
    kind = DecimalType()
    for text in texts:
        kind.add(Decimal(text))
    assert (kind.digits, kind.scale) == digits
    assert kind.fits
    values = [Decimal(text) for text in texts]
    assert arrow.array(values, arrow.decimal128(kind.precision, kind.scale)).to_pylist() == values


def test_a_table_of_a_tape_that_breaks_off(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "tape"
    file.write_text("\n".join(entry.line() for entry in ENTRIES)[:-5])
    assert main(["export", str(file), "--parquet"]) == 0
    out, err = capfd.readouterr()
    assert "13 rows" in out
    warning = f"the tape {file} is not complete: its last line breaks off; what comes before that is used"
    assert err == f"tplus-trio: {warning}\n"


def test_what_export_refuses(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = saved(tmp_path, *ENTRIES)
    assert main(["export", str(file)]) == 2
    assert "name a format: --parquet" in capfd.readouterr().err
    assert main(["export", str(tmp_path / "missing"), "--parquet"]) == 1
    assert "missing: No such file or directory" in capfd.readouterr().err
    assert main(["export", str(file), "--parquet", str(tmp_path / "no" / "table")]) == 1
    assert "No such file or directory" in capfd.readouterr().err
    big = TapeFrame(1, DEPTH, f'{{"bids":[],"asks":[],"sequence_number":{1 << 63}}}')
    assert main(["export", str(saved(tmp_path, big)), "--parquet"]) == 1
    assert capfd.readouterr().err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["tape.jsonl.gz"]
    monkeypatch.setattr("tplus_trio.cli.export.command.find_spec", lambda _: None)
    assert main(["export", str(file), "--parquet"]) == 2
    assert capfd.readouterr().err == 'tplus-trio: export needs pyarrow: pip install "tplus_trio[arrow]"\n'


def test_a_cancelled_export_leaves_nothing(tmp_path: Path) -> None:
    looks = 0

    def checkpoint() -> None:
        nonlocal looks
        looks += 1
        if looks == 3:  # while it writes
            raise Failure("cancelled")

    with pytest.raises(Failure, match="cancelled"):
        export_file(saved(tmp_path, *ENTRIES), tmp_path / "table", checkpoint=checkpoint)
    assert [path.name for path in tmp_path.iterdir()] == ["tape.jsonl.gz"]


def test_the_help_has_an_example(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--help"]) == 0
    assert "tplus-trio export " in capfd.readouterr().out.partition("Example")[2]
