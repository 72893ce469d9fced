"""Orders sent by this project's client, in a process of its own."""

from __future__ import annotations

import time
from typing import Any

import trio

from tplus_trio import OrderBookClient, User
from tplus_trio.models import Market, OperationStatus, OrderOperationResponse
from tplus_trio.orders.sending import OrderRequest
from tplus_trio.orders.unsettled import OnCancel

from .job import Job, cpu_of, latency_figures, tell

_TAKEN = OrderOperationResponse("", OperationStatus.RECEIVED)


class Discarding(OrderBookClient):
    """This project's client, which sends nothing: an order ends when its body is complete."""

    is_discarding = False

    async def _operate(
        self,
        request: OrderRequest,
        market: Market | None = None,
        on_cancel: OnCancel = "resolve",
        *,
        hands_over: bool = False,
    ) -> OrderOperationResponse:
        if not self.is_discarding:
            return await super()._operate(request, market, on_cancel, hands_over=hands_over)
        return _TAKEN


async def _build(job: Job) -> None:
    """Call `create_limit_order`, and send nothing."""
    async with Discarding(job.url, default_user=User()) as oms:
        await _create(oms)
        oms.is_discarding = True

        async def build(count: int) -> None:
            for _ in range(count):
                await _create(oms)

        await build(job.messages // 10)
        tell(cpu_us=await cpu_of(build, job.messages))


async def _latency(job: Job) -> None:
    """Create orders at an even rate, each in a task of its own."""
    options: dict[str, Any] = {"use_ws_control": True} if job.extra["way"] == "control" else {}
    delays: list[int] = []

    async def create(oms: OrderBookClient) -> None:
        begin = time.perf_counter_ns()
        await _create(oms)
        delays.append(time.perf_counter_ns() - begin)

    async with OrderBookClient(job.url, default_user=User(), **options) as oms:
        await _create(oms)
        if job.due_in(0) < 0:
            raise SystemExit("the client was not ready in time")
        cpu = time.process_time()
        async with trio.open_nursery() as nursery:
            for number in range(job.messages):
                await trio.sleep(max(job.due_in(number), 0.0))
                nursery.start_soon(create, oms)
        tell(cpu_us=(time.process_time() - cpu) / job.messages * 1e6, **latency_figures(delays))


async def _create(oms: OrderBookClient) -> None:
    await oms.create_limit_order(5, 900, "Buy", asset_id=200)


if __name__ == "__main__":
    _JOBS = {"build": _build, "latency": _latency}
    _job = Job.from_command_line()
    trio.run(_JOBS[_job.what], _job)
