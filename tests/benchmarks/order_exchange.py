"""The embedded exchange in a process of its own, with one market. The port is printed first."""

from __future__ import annotations

import trio

from tplus_trio.testing import Exchange, serve


async def main() -> None:
    """Serve until the process is ended."""
    exchange = Exchange()
    exchange.add_market(200)
    async with serve(exchange) as url:
        print(url.rpartition(":")[2], flush=True)
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main)
