"""``python -m tests.benchmarks.journal``: what the journal adds to an order, without and with waiting for the disk.

It measures an order that is written before it is sent, and written as gone after that, and the opening of a journal.
The folder decides which disk is waited for.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import trio

from tplus_trio import Order, OrderJournal
from tplus_trio.models import GTC, AssetIdentifier, LimitOrderDetails, Side


def _order(number: int) -> Order:
    return Order(
        signer="ab" * 32,
        order_id=f"order-{number}",
        base_asset=AssetIdentifier(200),
        book_price_decimals=2,
        book_quantity_decimals=3,
        details=LimitOrderDetails(900, 5, GTC(post_only=True)),
        side=Side.BUY,
        creation_timestamp_ns=1_700_000_000_000_000_000 + number,
    )


async def write(path: Path, orders: int, *, sync: bool) -> list[float]:
    """Write orders and their ends, and return the microseconds of each."""
    journal = await OrderJournal(path, sync=sync)._open()
    taken: list[float] = []
    try:
        for number in range(orders):
            order = _order(number)
            begin = time.perf_counter_ns()
            journal.write_gone(await journal.write_order(order, "bid"))
            taken.append((time.perf_counter_ns() - begin) / 1e3)
    finally:
        journal.close()
    return taken


async def _open(path: Path) -> float:
    """Return the milliseconds of an opening."""
    begin = time.perf_counter_ns()
    journal = await OrderJournal(path)._open()
    taken = (time.perf_counter_ns() - begin) / 1e6
    journal.close()
    return taken


async def _measure(folder: Path, orders: int, synced: int, runs: int) -> None:
    print(f"{'':<34}{'median':>10}{'p99':>10}")
    for run in range(runs):
        for sync, count in ((False, orders), (True, synced)):
            path = folder / f"{run}-{sync}"
            taken = await write(path, count, sync=sync)
            p99 = statistics.quantiles(taken, n=100)[98]
            what = "written, disk waited for" if sync else "written"
            print(f"{what:<34}{statistics.median(taken):>10.1f}{p99:>10.1f}  us an order")
        opening = f"opening, {2 * orders} lines"
        print(f"{opening:<34}{await _open(folder / f'{run}-{False}'):>10.1f}{'':>10}  ms")


def main() -> None:
    """Measure what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.journal", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="runs of each kind (default: %(default)s)")
    parser.add_argument("--orders", type=int, default=20_000, help="orders that are written (default: %(default)s)")
    parser.add_argument("--synced", type=int, default=1_000, help="orders with a wait each (default: %(default)s)")
    parser.add_argument("--folder", help="where the journals are written (default: the system's temporary folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        trio.run(_measure, Path(folder), options.orders, options.synced, options.runs)


if __name__ == "__main__":
    main()
