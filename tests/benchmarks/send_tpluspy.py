"""Orders sent by the official client, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from tplus.client import OrderBookClient
from tplus.model.asset_identifier import AssetIdentifier
from tplus.utils.user import User

from .job import Job, cpu_of, latency_figures, tell

_ASSET = AssetIdentifier("200")


class Discarding(OrderBookClient):  # type: ignore[misc]  # the official client has no types
    """The official client, which encodes a request as httpx does, sends nothing, and takes it for accepted."""

    async def _post(self, endpoint: str, *args: Any, json_data: Any = None, **kwargs: Any) -> dict[str, Any]:
        json.dumps(json_data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        return {"order_id": json_data["order"]["order_id"], "status": "Received"}


async def _build(job: Job) -> None:
    oms = Discarding(job.url, default_user=User())

    async def build(count: int) -> None:
        for _ in range(count):
            await _create(oms)

    await build(job.messages // 10)
    tell(cpu_us=await cpu_of(build, job.messages))


async def _latency(job: Job) -> None:
    oms = OrderBookClient(job.url, default_user=User(), use_ws_control=job.extra["way"] == "control")
    delays: list[int] = []

    async def create() -> None:
        begin = time.perf_counter_ns()
        await _create(oms)
        delays.append(time.perf_counter_ns() - begin)

    await _create(oms)
    if job.due_in(0) < 0:
        raise SystemExit("the client was not ready in time")
    cpu = time.process_time()
    async with asyncio.TaskGroup() as tasks:
        for number in range(job.messages):
            await asyncio.sleep(max(job.due_in(number), 0.0))
            tasks.create_task(create())
    tell(cpu_us=(time.process_time() - cpu) / job.messages * 1e6, **latency_figures(delays))
    await oms.close()


async def _create(oms: OrderBookClient) -> None:
    await oms.create_limit_order(5, 900, "Buy", asset_id=_ASSET)


if __name__ == "__main__":
    _JOBS = {"build": _build, "latency": _latency}
    _job = Job.from_command_line()
    asyncio.run(_JOBS[_job.what](_job))
