"""Prints the state and the statistics of a stream while its connection is lost and made again.

Run: ``python examples/resilient_stream.py [URL]`` beside ``python -m tplus_trio exchange``; stop the exchange and
start it again. The stream ends with an error at the eleventh failure within a minute.
"""

import os
import sys

import trio

from tplus_trio import Gap, MarketDataClient, RestartLimitExceeded, RestartPolicy, Stream

URL = os.environ.get("TPLUS_MDS_URL", "http://127.0.0.1:8011")
POLICY = RestartPolicy(initial_delay=0.1, max_delay=2.0, max_restarts=10)


async def _report(stream: Stream[object], every: float) -> None:
    while True:
        stats = stream.stats
        print(stream.state.name, f"{stats.connects} connects, {stats.messages} messages, {stats.gaps} gaps")
        await trio.sleep(every)


async def main(url: str = URL, policy: RestartPolicy = POLICY, every: float = 1.0) -> None:
    """Print trades until cancelled, or until the stream gives up."""
    client = MarketDataClient(url, restart=policy)
    async with client, client.stream_finalized_trades() as trades, trio.open_nursery() as nursery:
        nursery.start_soon(_report, trades, every)
        try:
            async for trade in trades:
                print("gap" if isinstance(trade, Gap) else "trade", trade)
        except RestartLimitExceeded as exc:
            print("given up:", exc, "the last failure:", exc.__cause__)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, sys.argv[1] if sys.argv[1:] else URL)
