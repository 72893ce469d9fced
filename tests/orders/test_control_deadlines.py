"""One task ends the waits of a channel's senders in time."""

from __future__ import annotations

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tplus_trio import AssetIdentifier, User
from tplus_trio.orders.control_deadlines import ControlDeadlines
from tplus_trio.orders.control_requests import ControlRequest
from tplus_trio.orders.sending import Delivery, OrderRequest, OrderTarget
from tplus_trio.secret import SecretBytes

USER = User()


def new_request() -> ControlRequest:
    target = OrderTarget(AssetIdentifier(200), "a")
    return ControlRequest(Delivery(OrderRequest("create", (target,), SecretBytes(b"{}"), USER)))


async def test_each_wait_ends_at_its_deadline(autojump_clock: MockClock) -> None:
    deadlines, requests = ControlDeadlines(), [new_request() for _ in range(3)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(deadlines.run)
        began_at = trio.current_time()
        for number, request in enumerate(requests):
            deadlines.add(request, began_at + 10 + number)
        requests[1].done.set()
        deadlines.discard(requests[1])
        await requests[0].done.wait()
        assert trio.current_time() == began_at + 10
        await requests[2].done.wait()
        assert trio.current_time() == began_at + 12
        assert [request.is_late for request in requests] == [True, False, True]
        nursery.cancel_scope.cancel()


async def test_a_request_may_end_before_the_task_runs(autojump_clock: MockClock) -> None:
    deadlines, second = ControlDeadlines(), new_request()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(deadlines.run)
        await wait_all_tasks_blocked()
        first = new_request()
        deadlines.add(first, trio.current_time() + 10)
        deadlines.discard(first)
        await wait_all_tasks_blocked()
        deadlines.add(second, trio.current_time() + 10)
        await second.done.wait()
        assert (first.is_late, second.is_late) == (False, True)
        nursery.cancel_scope.cancel()
