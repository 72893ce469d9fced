"""What each answer, each error and each silence says about a request: the table of the service's statuses and codes."""

from __future__ import annotations

import pytest

from tplus_trio.errors import ConnectionFailed, DecodeError, HandshakeRejected, RestartLimitExceeded, TplusError
from tplus_trio.models import OperationStatus, OrderOperationResponse
from tplus_trio.orders.verdicts import Verdict, verdict_of_answer, verdict_of_error
from tplus_trio.refusals import api_error

REFUSED, UNKNOWN, UNSENT = Verdict.REFUSED, Verdict.UNKNOWN, Verdict.UNSENT
CONFLICT, NOT_FOUND, UNAUTHORIZED = Verdict.CONFLICT, Verdict.NOT_FOUND, Verdict.UNAUTHORIZED

#: Codes with which the service refuses an order.
REFUSALS = (
    "INSUFFICIENT_MARGIN",
    "INVALID_ORDER",
    "INVALID_ORDER_DECIMALS",
    "ORDER_REJECTED",
    "SELF_TRADE",
    "SELF_TRADE_PREVENTED",
    "REDUCE_ONLY_WOULD_INCREASE",
    "POST_ONLY_WOULD_CROSS",
    "FOK_NOT_FILLED",
    "IOC_NOT_FILLED",
)
#: Codes with which the service refuses a signature.
SIGNATURES = ("INVALID_SIGNATURE", "SIGNER_NOT_ALLOWED", "NONCE_USED")
#: Codes of a service that may have carried out the request all the same.
FAILURES = ("TIMEOUT", "TIMEOUT_UNKNOWN_STATE", "INTERNAL_ERROR", "CE_COMMUNICATION_ERROR")
#: Codes that the documentation does not have, or that begin or end like one that it has.
STRANGE = ("UNKNOWN", "QUEUE_FULL", "MY_ORDER_REJECTED", "INSUFFICIENT_MARGIN_MODE", "NOT_FOUND_YET", "")


def of(status: int, code: str = "", operation: str = "create", *, was_sent: bool = True) -> Verdict:
    """The verdict of an error answer with a code, or without one."""
    body = {"error": {"code": code, "message": "x"}} if code else "<html>a proxy</html>"
    return verdict_of_error(api_error(status, body), operation, was_sent=was_sent)


@pytest.mark.parametrize("status", [400, 402, 404, 422, 429])
@pytest.mark.parametrize("code", REFUSALS)
def test_a_code_of_a_refused_order_is_a_refusal(code: str, status: int) -> None:
    assert of(status, code) is REFUSED


@pytest.mark.parametrize("code", [*REFUSALS, *SIGNATURES, *STRANGE])
@pytest.mark.parametrize("status", [408, 500, 501, 502, 503, 504, 520, 599])
def test_408_and_5xx_state_nothing_whatever_their_code(status: int, code: str) -> None:
    assert of(status, code) is UNKNOWN


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 409, 422, 429, 500, 503, 504])
@pytest.mark.parametrize("code", FAILURES)
def test_a_code_of_a_failure_states_nothing_whatever_its_status(code: str, status: int) -> None:
    assert of(status, code) is UNKNOWN


@pytest.mark.parametrize("status", [400, 402, 404, 405, 410, 413, 422])
@pytest.mark.parametrize("code", STRANGE)
def test_an_unknown_code_states_nothing(code: str, status: int) -> None:
    assert of(status, code) is UNKNOWN


@pytest.mark.parametrize("code", [*REFUSALS, *SIGNATURES, *STRANGE, "ORDER_NOT_FOUND", "UNAUTHORIZED"])
def test_409_is_no_refusal_since_a_copy_may_have_been_carried_out(code: str) -> None:
    assert of(409, code) is CONFLICT


@pytest.mark.parametrize("status", [400, 409, 422, 429])
def test_a_known_order_id_is_no_refusal_of_this_order(status: int) -> None:
    assert of(status, "DUPLICATE_ORDER") is CONFLICT


@pytest.mark.parametrize("operation", ["create", "batch-create", "cancel", "replace", "amend", "batch-replace"])
def test_a_change_that_the_order_has_already_is_refused_without_a_code_of_its_own(operation: str) -> None:
    changes = operation in ("replace", "amend", "batch-replace")
    assert of(400, "ORDER_REJECTED", operation) is (CONFLICT if changes else REFUSED)
    assert answer("Rejected", "ORDER_REJECTED", operation) is (CONFLICT if changes else REFUSED)
    assert of(400, "INVALID_ORDER", operation) is REFUSED
    assert answer("Rejected", "INVALID_ORDER", operation) is REFUSED


@pytest.mark.parametrize("code", ["ORDER_NOT_FOUND", "MARKET_NOT_FOUND", "USER_NOT_FOUND"])
@pytest.mark.parametrize("status", [400, 404, 422])
def test_an_order_that_is_not_found_may_have_gone_by_a_copy_of_the_request(status: int, code: str) -> None:
    assert of(status, code) is NOT_FOUND


@pytest.mark.parametrize("code", ["DUPLICATE_ORDER", "ORDER_NOT_FOUND"])
@pytest.mark.parametrize("status", [408, 500, 504])
def test_a_failing_service_states_nothing_by_these_codes_either(status: int, code: str) -> None:
    assert of(status, code) is UNKNOWN


@pytest.mark.parametrize("code", ["UNAUTHORIZED", "QUEUE_FULL", *SIGNATURES, ""])
@pytest.mark.parametrize("status", [401, 403])
def test_401_and_403_are_a_refused_token(status: int, code: str) -> None:
    assert of(status, code) is UNAUTHORIZED


def test_the_code_of_a_refused_token_counts_without_its_status() -> None:
    assert of(400, "UNAUTHORIZED") is UNAUTHORIZED
    for code in ("UNAUTHORIZED", "FORBIDDEN"):  # of an order of a batch, and on the control channel
        assert of(0, code) is UNAUTHORIZED
        assert answer("Rejected", code, "batch-create") is UNAUTHORIZED


@pytest.mark.parametrize("code", SIGNATURES)
def test_a_refused_signature_is_a_refusal(code: str) -> None:
    assert of(400, code) is REFUSED


@pytest.mark.parametrize("code", ["RATE_LIMITED", "SLOW_DOWN", ""])
def test_429_is_a_refusal(code: str) -> None:
    assert of(429, code) is REFUSED
    assert of(400, "RATE_LIMITED") is REFUSED


def test_a_lost_connection_states_nothing_unless_no_byte_has_left() -> None:
    lost = ConnectionFailed("gone")
    assert verdict_of_error(lost, "create", was_sent=True) is UNKNOWN
    lost.nothing_sent = True
    assert verdict_of_error(lost, "create", was_sent=True) is UNSENT


@pytest.mark.parametrize("error", [DecodeError("no JSON"), TplusError("another")])
def test_an_unreadable_answer_states_nothing(error: TplusError) -> None:
    assert verdict_of_error(error, "create", was_sent=True) is UNKNOWN


@pytest.mark.parametrize("error", [HandshakeRejected(403), RestartLimitExceeded(5, 60.0)])
def test_a_control_channel_that_cannot_be_opened_sends_nothing(error: TplusError) -> None:
    assert verdict_of_error(error, "create", was_sent=True) is UNSENT


@pytest.mark.parametrize("error", [ConnectionFailed("no"), DecodeError("no"), api_error(500, ""), api_error(401, "")])
def test_any_error_of_a_request_that_has_not_left_says_that_it_has_not(error: TplusError) -> None:
    assert verdict_of_error(error, "create", was_sent=False) is UNSENT


def answer(status: str, reason: str | None = None, operation: str = "create") -> Verdict:
    return verdict_of_answer(OrderOperationResponse("a", OperationStatus.read(status), reason), operation)


def test_an_answer_received_says_that_the_service_took_the_request() -> None:
    assert answer("Received") is Verdict.TAKEN
    assert answer("Received", "DUPLICATE_ORDER") is Verdict.TAKEN


@pytest.mark.parametrize("reason", [*REFUSALS, *SIGNATURES, "the market is closed", "", None])
def test_an_answer_rejected_is_a_refusal(reason: str | None) -> None:
    assert answer("Rejected", reason) is REFUSED


def test_an_answer_rejected_for_a_known_or_missing_order_may_be_the_answer_to_a_copy() -> None:
    assert answer("Rejected", "DUPLICATE_ORDER") is CONFLICT
    assert answer("Rejected", "ORDER_NOT_FOUND") is NOT_FOUND


@pytest.mark.parametrize("reason", FAILURES)
def test_an_answer_rejected_by_a_failure_states_nothing(reason: str) -> None:
    assert answer("Rejected", reason) is UNKNOWN


@pytest.mark.parametrize("status", ["Queued", "", "Accepted"])
def test_an_unknown_status_states_nothing(status: str) -> None:
    assert answer(status) is UNKNOWN
    assert answer(status, "INSUFFICIENT_MARGIN") is UNKNOWN
