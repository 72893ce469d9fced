"""Random interleavings of requests, answers, losses and frames of nobody: no request ever gets another's answer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tplus_trio import ApiError, AssetIdentifier, ConnectionFailed, OperationStatus, OrderOperationResponse, User
from tplus_trio.orders.control_frames import RESPONSES, Acknowledgement, Answer, Refusal
from tplus_trio.orders.control_requests import ControlRequest, ControlRequests
from tplus_trio.orders.sending import Delivery, Operation, OrderRequest, OrderTarget
from tplus_trio.refusals import api_error
from tplus_trio.secret import SecretBytes

USER = User()
ASSETS = (AssetIdentifier(200), AssetIdentifier(7))
NAMES = ("a", "b", "c")
OPERATIONS: tuple[Operation, ...] = ("create", "cancel", "replace", "amend", "batch-create", "batch-replace")
TARGETS = st.builds(OrderTarget, st.sampled_from(ASSETS), st.sampled_from(NAMES))


def response(order_id: str, mark: str) -> OrderOperationResponse:
    return OrderOperationResponse(order_id, OperationStatus.RECEIVED, mark)


class Channel(RuleBasedStateMachine):
    """A channel whose service answers honestly, but in any order, more than once, and among frames of others.

    The reason of each answer names the request that the service answered. A request that returns shows only such.
    """

    named = True

    def __init__(self) -> None:
        super().__init__()
        self.requests = ControlRequests(4)
        #: What the service has received over this connection and has not answered: request and order.
        self.due: list[tuple[ControlRequest, OrderTarget]] = []
        self.told: list[Answer] = []
        self.waiting: list[ControlRequest] = []
        self.sent: list[ControlRequest] = []
        self.left: set[str] = set()

    @property
    def live(self) -> list[ControlRequest]:
        return [each for each in (*self.waiting, *self.sent) if not each.done.is_set()]

    @rule(
        operation=st.sampled_from(OPERATIONS),
        orders=st.lists(TARGETS, min_size=3, max_size=3, unique_by=lambda order: order.order_id),
    )
    def send(self, operation: Operation, orders: list[OrderTarget]) -> None:
        chosen = tuple(orders if operation.startswith("batch-") else orders[:1])
        request = ControlRequest(Delivery(OrderRequest(operation, chosen, SecretBytes(b"{}"), USER)))
        self.requests.add(request)
        self.waiting.append(request)

    @rule()
    def write(self) -> None:
        request = self.requests.take()
        if request is not None:
            assert request in self.waiting
            assert request.request_id not in self.left
            self.waiting.remove(request)
            self.sent.append(request)
            self.due += [(request, target) for target in request.request.orders]

    @rule()
    def write_and_find_the_connection_over(self) -> None:
        request = self.requests.take()
        if request is not None:
            self.requests.put_back(request)
            assert self.requests.take() is request
            self.requests.put_back(request)

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        live = [each for each in self.live if each.request_id not in self.left]
        if live:
            request = data.draw(st.sampled_from(live))
            self.left.add(request.request_id)
            self.requests.leave(request)
            if request in self.waiting:
                self.waiting.remove(request)

    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        if self.due:
            request, target = self.due.pop(data.draw(st.integers(0, len(self.due) - 1)))
            kind = RESPONSES[request.request.operation]
            request_id = request.request_id if self.named else None
            self.tell(Answer(request_id, kind, target.asset_id, response(target.order_id, request.request_id)))

    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        if self.due:
            request, _ = data.draw(st.sampled_from(self.due))
            self.requests.receive(Acknowledgement(request.request_id), named=self.named)

    @rule(order=TARGETS, kind=st.sampled_from(sorted(set(RESPONSES.values()))), name=st.sampled_from(["f" * 32, None]))
    def tell_of_another_client(self, order: OrderTarget, kind: str, name: str | None) -> None:
        if self.named or name is not None:
            frame = Answer(name, kind, order.asset_id, response(order.order_id, "foreign"))
            assert not self.requests.receive(frame, named=self.named)

    @rule(data=st.data())
    def refuse(self, data: st.DataObject) -> None:
        if self.due and self.named:
            request, _ = data.draw(st.sampled_from(self.due))
            self.due = [each for each in self.due if each[0] is not request]
            self.requests.receive(Refusal(request.request_id, api_error(400, request.request_id)), named=True)

    @rule()
    def lose(self) -> None:
        self.requests.lose_connection(lambda: ConnectionFailed("lost"))
        assert all(each.done.is_set() for each in self.sent)
        self.due.clear()
        self.told.clear()

    def tell(self, answer: Answer) -> None:
        self.told.append(answer)
        self.requests.receive(answer, named=self.named)

    @invariant()
    def counts_fit(self) -> None:
        assert self.requests.in_flight <= 4
        assert self.requests.waiting == len(self.waiting)

    @invariant()
    def each_has_its_own(self) -> None:
        for request in self.sent:
            for order_id, answer in request.answers.items():
                assert answer.order_id == order_id
                assert answer.reason == request.request_id
            if not request.done.is_set():
                continue
            if request.failure is None:
                assert set(request.answers) == {target.order_id for target in request.request.orders} or (
                    request.request_id in self.left
                )
            elif isinstance(request.failure, ApiError):
                assert request.failure.message == request.request_id


class NamedChannel(Channel):
    """A service that names the request may repeat answers, also late."""

    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        if self.told:
            self.requests.receive(data.draw(st.sampled_from(self.told)), named=True)


class UnnamedChannel(Channel):
    named = False


TestNamed = NamedChannel.TestCase
TestUnnamed = UnnamedChannel.TestCase


@given(st.lists(st.tuples(st.sampled_from(OPERATIONS[:4]), TARGETS), max_size=12))
def test_each_order_keeps_its_sequence(plan: list[tuple[Operation, OrderTarget]]) -> None:
    requests = ControlRequests(100)
    for n, (operation, target) in enumerate(plan):
        order = OrderRequest(operation, (target,), SecretBytes(b"%d" % n), USER)
        requests.add(ControlRequest(Delivery(order)))
    sent: list[tuple[Any, ...]] = []
    while (request := requests.take()) is not None:
        sent.append((*request.request.orders, request.request.operation, int(request.request.body)))
    assert len(sent) == len(plan)
    for target in {target for _, target in plan}:
        numbers = [number for about, _, number in sent if about == target]
        assert numbers == sorted(numbers)
    others = [number for _, operation, number in sent if operation != "cancel"]
    assert others == sorted(others)


def test_only_the_latest_ids_are_remembered() -> None:
    requests = ControlRequests(1)
    for _ in range(3000):
        cancel = OrderRequest("cancel", (OrderTarget(ASSETS[0], "a"),), SecretBytes(b"{}"), USER)
        request = ControlRequest(Delivery(cancel))
        requests.add(request)
        assert requests.take() is request
        requests.receive(Answer(request.request_id, "CancelOrderResponse", None, response("a", "")), named=True)
    assert len(requests._finished) == 2048
    assert requests.answered == 3000


def test_after_the_end_nothing_is_accepted() -> None:
    requests = ControlRequests(1)
    requests.end(lambda: ConnectionFailed("over"))
    request = ControlRequest(Delivery(OrderRequest("cancel", (OrderTarget(ASSETS[0], "a"),), SecretBytes(b"{}"), USER)))
    requests.add(request)
    assert request.done.is_set()
    with pytest.raises(ConnectionFailed, match="over"):
        request.result()
