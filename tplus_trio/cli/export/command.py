"""``tplus-trio export``: its argument and options."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from pathlib import Path

import click

from tplus_trio.cli.failure import Failure, complain
from tplus_trio.cli.options import examples

__all__ = ["export"]


@click.command(
    "export", epilog=examples("export tape.jsonl.gz --parquet", "export tape.jsonl.gz --parquet table.parquet")
)
@click.argument("file", type=click.Path(dir_okay=False))
@click.option(
    "--parquet",
    "out",
    is_flag=False,
    flag_value="",
    metavar="[OUT]",
    help="Write Parquet, to OUT or to FILE with the ending .parquet. It replaces an older file.",
)
@click.option("--text", is_flag=True, help="Write prices and quantities as strings instead of decimals.")
def export(file: str, out: str | None, text: bool) -> int:
    """Make a table of a tape, a row for each change of a level and each trade.

    \b
    Columns:
      received         when it was received (nanoseconds, UTC)
      kind             snapshot, change, trade, lost (a connection), gap (over a connection), undecodable
      feed, asset_id   the path of the feed, and the market
      sequence_number  of a snapshot or change
      side             bid or ask
      price, quantity  decimal128; the quantity of a change is the new total, and 0 if the level is gone
      trade_id, traded, buyer_is_maker, status   of a trade
      reason           of what was lost or cannot be decoded

    Prices and quantities are exact: the columns have as many digits behind the point as the longest number on the tape.
    If a decimal128, which has 38 digits, cannot hold all numbers, the command fails; --text writes strings. A snapshot
    or change without levels is one row without a side. Trades that the recorder asked for after a loss are rows too.
    Candles and tickers are not exported.

    The file opens in polars, pandas and everything else that reads Parquet. The command needs pyarrow: pip install
    "tplus_trio[arrow]". The exit status is 0, 1 if the tape cannot be read or the table written, 2 for a usage error or
    without pyarrow, 130 after Ctrl-C or SIGTERM.
    """  # noqa: D301 - \b tells click to keep the lines
    if out is None:
        raise click.UsageError("name a format: --parquet.")
    if find_spec("pyarrow") is None:
        complain(Failure('export needs pyarrow: pip install "tplus_trio[arrow]"'))
        return 2
    from tplus_trio.cli.export import parquet  # noqa: PLC0415 - not for the help
    from tplus_trio.cli.run import run  # noqa: PLC0415 - the help does not need it

    target = Path(out) if out else Path(file).with_name(f"{Path(file).name.split('.')[0] or 'tape'}.parquet")
    return run(partial(parquet.export, file=file, out=target, as_text=text))
