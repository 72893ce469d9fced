"""Writes the table of a tape as Parquet, its prices and quantities as exact decimals."""

from __future__ import annotations

import importlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from tplus_trio.cli.export.rows import DecimalType, Row, TapeTable
from tplus_trio.cli.failure import Failure, explaining
from tplus_trio.cli.lines import Lines
from tplus_trio.cli.tape import warn_of_tear
from tplus_trio.testing.replay.tape import TapeEntry, read_file

__all__ = ["export", "export_file"]

#: Rows that are converted at a time; they become a row group.
_BATCH: Final = 64 * 1024
#: Entries between two looks whether the command was cancelled.
_LOOK: Final = 4096


@attrs.frozen
class Exported:
    """What was written.

    Attributes:
        counts: The number of rows by kind.
        skipped: The number of frames and answers that have no rows, by feed.
        price: The Arrow type of the prices, as text.
        quantity: That of the quantities.
        tear: How the tape's file breaks off; None if it is complete.
    """

    counts: Counter[str]
    skipped: Counter[str]
    price: str
    quantity: str
    tear: str | None


async def export(lines: Lines, *, file: str, out: Path, as_text: bool) -> int:
    """Export a tape, and print what was written.

    Args:
        lines: Where to print.
        file: The tape.
        out: The file to write; it is replaced once the new one is complete.
        as_text: Whether prices and quantities are written as strings.

    Raises:
        Failure: The tape cannot be read or the file written, or a number has too many digits.
    """
    # Not abandoned: the thread looks whether it was cancelled, and removes what it has written.
    done = await trio.to_thread.run_sync(_export_in_thread, file, out, as_text)
    if done.tear is not None:
        warn_of_tear(file, done.tear)
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(done.counts.items())) or "none"
    await lines.put(f"{out}: {done.counts.total():,} rows ({kinds}); price {done.price}, quantity {done.quantity}")
    for feed, count in sorted(done.skipped.items()):
        await lines.put(f"not exported: {count:,} frames and answers of {feed}")
    return 0


def _export_in_thread(file: str, out: Path, as_text: bool) -> Exported:
    return export_file(file, out, as_text=as_text, checkpoint=trio.from_thread.check_cancelled)


def export_file(
    file: str | Path, out: Path, *, as_text: bool = False, checkpoint: Callable[[], object] = lambda: None
) -> Exported:
    """Export a tape. This blocks the thread. The tape is read twice, and not held in memory.

    Args:
        file: The tape.
        out: The file to write; it is replaced once the new one is complete.
        as_text: Whether prices and quantities are written as strings.
        checkpoint: Called often; what it raises ends the export.

    Raises:
        Failure: The tape cannot be read or the file written, or a number has too many digits.
    """
    tears: list[str] = []

    def entries() -> Iterator[TapeEntry]:
        tears.clear()
        with explaining(f"the tape {file}", OSError, ValueError, RecursionError):
            for count, entry in enumerate(read_file(file, tears.append)):
                if count % _LOOK == 0:
                    checkpoint()
                yield entry

    table, prices, quantities = TapeTable(entries()), DecimalType(), DecimalType()
    for row in TapeTable(()).rows(entries()) if not as_text else ():
        for kind, value in ((prices, row.price), (quantities, row.quantity)):
            if value is not None:
                kind.add(value)
                if not kind.fits:
                    name = "price" if kind is prices else "quantity"
                    raise Failure(
                        f"the tape {file}: with the {name} {value:f} the {name} column needs "
                        f"{kind.digits + kind.scale} digits, and a decimal128 has 38; "
                        "--text writes prices and quantities as strings"
                    )
    schema = _schema(None if as_text else (prices, quantities))
    _write(table.rows(entries()), schema, out)
    price, quantity = (str(schema.field(name).type) for name in ("price", "quantity"))
    return Exported(table.counts, table.skipped, price, quantity, tears[0] if tears else None)


def _schema(numbers: tuple[DecimalType, DecimalType] | None) -> Any:
    """Return the Arrow schema: the fields of `Row`."""
    arrow: Any = importlib.import_module("pyarrow")
    word = arrow.dictionary(arrow.int32(), arrow.string())
    time = arrow.timestamp("ns", tz="UTC")
    price, quantity = (
        (arrow.string(), arrow.string())
        if numbers is None
        else (arrow.decimal128(number.precision, number.scale) for number in numbers)
    )
    types = {
        "received": time,
        "kind": word,
        "feed": word,
        "asset_id": word,
        "sequence_number": arrow.int64(),
        "side": word,
        "price": price,
        "quantity": quantity,
        "trade_id": arrow.int64(),
        "traded": time,
        "buyer_is_maker": arrow.bool_(),
        "status": word,
        "reason": arrow.string(),
    }
    return arrow.schema([(name, types[name]) for name in Row._fields])


def _write(rows: Iterator[Row], schema: Any, out: Path) -> None:
    """Write a Parquet file beside ``out``, and move it there once it is complete."""
    arrow: Any = importlib.import_module("pyarrow")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    part = out.with_name(f".{out.name}.part")
    try:
        with explaining(f"{out}", OSError, OverflowError, ValueError):
            with parquet.ParquetWriter(part, schema, compression="zstd") as writer:
                while batch := list(islice(rows, _BATCH)):
                    writer.write_table(arrow.table(_columns(batch, schema), schema=schema))
            part.replace(out)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(part)  # noqa: PTH108 - pathlib says the same in more words


def _columns(rows: Sequence[Row], schema: Any) -> list[Any]:
    """Convert rows to Arrow columns. Arrow refuses a decimal that does not fit exactly."""
    arrow: Any = importlib.import_module("pyarrow")
    columns: list[Any] = []
    for field, values in zip(schema, zip(*rows, strict=True), strict=True):
        exact: Iterable[Any] = values
        if arrow.types.is_string(field.type) and field.name in {"price", "quantity"}:
            exact = [None if value is None else f"{value:f}" for value in values]
        if arrow.types.is_dictionary(field.type):
            columns.append(arrow.array(exact, arrow.string()).dictionary_encode().cast(field.type))
        else:
            columns.append(arrow.array(exact, field.type))
    return columns
