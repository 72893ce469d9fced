"""A scrape endpoint for Prometheus: ``curl http://127.0.0.1:9000/metrics`` while it runs.

Run: ``python examples/metrics.py [URL]`` (or ``TPLUS_MDS_URL``). A simulated exchange to try it on:
``python -m tplus_trio exchange``. It needs ``pip install "tplus-trio[prometheus]"``.
"""

import os
import sys

import trio
from prometheus_client import CollectorRegistry, start_http_server

from tplus_trio import MarketDataClient
from tplus_trio.observers.prometheus import PrometheusObserver

URL = os.environ.get("TPLUS_MDS_URL", "http://127.0.0.1:8011")
PORT = int(os.environ.get("METRICS_PORT", "9000"))


async def main(url: str = URL, port: int = PORT) -> None:
    """Follow the trades, and serve metrics, until cancelled."""
    registry = CollectorRegistry()
    observer = PrometheusObserver(registry)
    server, _ = start_http_server(port, "127.0.0.1", registry)
    try:
        async with MarketDataClient(url, observer=observer) as client:
            observer.watch(client)
            print(f"metrics at http://127.0.0.1:{server.server_port}/metrics")
            async for trade in client.stream_finalized_trades():
                print(trade)
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    trio.run(main, sys.argv[1] if sys.argv[1:] else URL)
