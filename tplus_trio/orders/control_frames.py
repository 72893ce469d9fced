"""The frames of the control channel: requests to text, and what the service sends to answers. No I/O, no state."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias, cast

import attrs
import msgspec

from tplus_trio import codec
from tplus_trio.codec.json_text import MALFORMED, as_json, failure, is_control, parse
from tplus_trio.errors import ApiError, DecodeError
from tplus_trio.models import AssetIdentifier, OrderOperationResponse
from tplus_trio.orders.sending import Operation, OrderRequest
from tplus_trio.refusals import api_error
from tplus_trio.secret import SecretText

__all__ = [
    "PATH",
    "RESPONSES",
    "SUBPROTOCOL",
    "Acknowledgement",
    "Answer",
    "ControlFrame",
    "Refusal",
    "UnreadableAnswer",
    "decode_control_frame",
    "encode_control_request",
]

PATH: Final = "/control"
#: A service that speaks it names the request in each answer.
SUBPROTOCOL: Final = "tplus.ws.v1"

_REQUESTS: Final[Mapping[Operation, str]] = {
    "create": "CreateOrderRequest",
    "cancel": "CancelOrderRequest",
    "replace": "ReplaceOrderRequest",
    "amend": "AmendOrderRequest",
    "batch-create": "BatchCreateRequest",
    "batch-replace": "BatchReplaceRequest",
}
#: The kind of answer that each operation gets. A batch gets one for each order.
RESPONSES: Final[Mapping[Operation, str]] = {
    "create": "CreateOrderResponse",
    "cancel": "CancelOrderResponse",
    "replace": "ReplaceOrderResponse",
    "amend": "AmendOrderResponse",
    "batch-create": "CreateOrderResponse",
    "batch-replace": "ReplaceOrderResponse",
}
#: The HTTP status that an error code stands for; 400 for others.
_STATUSES: Final[Mapping[str, int]] = {"RATE_LIMITED": 429, "SERVER_BUSY": 503, "UNAUTHORIZED": 401}
_WHAT: Final = "a control frame"
_NUMBER: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_NULL: Final = b"null"
#: Characters. A longer request id is none of ours.
_LONGEST_ID: Final = 100


class Acknowledgement(NamedTuple):
    """The service has a request. It says nothing about what becomes of the request."""

    request_id: str | None


@attrs.frozen
class Answer:
    """What the service did with one order."""

    #: None in an answer of a service that does not name the request.
    request_id: str | None
    #: Such as ``"CreateOrderResponse"``.
    kind: str
    #: None if the service did not name it.
    asset_id: AssetIdentifier | None
    response: OrderOperationResponse


@attrs.frozen
class Refusal:
    """The service refused a whole request."""

    request_id: str | None
    error: ApiError


@attrs.frozen
class UnreadableAnswer:
    """An answer to a known request whose content could not be decoded."""

    request_id: str
    error: DecodeError


ControlFrame: TypeAlias = Acknowledgement | Answer | Refusal | UnreadableAnswer


class _Envelope(msgspec.Struct):
    type: Any = None
    # A heartbeat has none of these keys.
    request_id: Any = msgspec.UNSET
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET

    @property
    def has_content(self) -> bool:
        return not (self.request_id is self.data is self.error is msgspec.UNSET)


class _Content(msgspec.Struct):
    response: msgspec.Raw
    asset_id: Any = None


class _Submitted(msgspec.Struct):
    status: Any = None


_read_envelope: Final = msgspec.json.Decoder(_Envelope).decode
_read_data: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_read_content: Final = msgspec.json.Decoder(_Content).decode
_read_submitted: Final = msgspec.json.Decoder(_Submitted).decode


def encode_control_request(request_id: str, request: OrderRequest) -> SecretText:
    """Return the text of a request: the encoded body is spliced in unchanged.

    Args:
        request_id: Names the request in its answers; letters and digits.
        request: The request.
    """
    body = SecretText(request.body.decode())
    return SecretText(f'{{"request_id":"{request_id}","data":{{"{_REQUESTS[request.operation]}":{body}}}}}')


def decode_control_frame(text: bytes, redact: Callable[[Any], Any] | None = None) -> ControlFrame | None:
    """Decode a frame of the service.

    Args:
        text: The frame, without the secrets that a service may repeat.
        redact: Takes those out of the plain objects of an error, where they may be spelled in other ways.

    Returns:
        What the frame says; None for a heartbeat. Without an envelope, the frame is an answer without a request id.

    Raises:
        DecodeError: the frame cannot be decoded, and it names no request.
    """
    request_id: str | None = None
    try:
        data = as_json(text)
        envelope = _read_envelope(data)
        if envelope.type is not None and is_control(envelope.type, has_data=envelope.has_content):
            return None
        request_id = _request_id(envelope.request_id)
        if envelope.type == "ack":
            return Acknowledgement(request_id)
        if envelope.error is not msgspec.UNSET and (error_text := bytes(envelope.error)) != _NULL:
            error = parse(error_text)
            return Refusal(request_id, _error(error if redact is None else redact(error)))
        if envelope.data is not msgspec.UNSET and (content := bytes(envelope.data)) != _NULL:
            return _answer(request_id, content)
        if isinstance(envelope.type, str):
            # A message of a newer service about a request. It holds no answer.
            return Acknowledgement(request_id)
        return _answer(request_id, data)
    except DecodeError as exc:
        bad = DecodeError(f"not {_WHAT}: {exc}")
    except MALFORMED as exc:
        bad = failure(_WHAT, text, exc)
    if request_id is None:
        raise bad
    return UnreadableAnswer(request_id, bad)


def _request_id(value: object) -> str | None:
    return value if isinstance(value, str) and len(value) <= _LONGEST_ID else None


def _answer(request_id: str | None, data: bytes) -> Acknowledgement | Answer:
    """Read the content of an answer. Raises DecodeError or one of ``MALFORMED``."""
    fields = _read_data(data)
    if "request" in fields and _read_submitted(fields["request"]).status == "submitted":
        return Acknowledgement(request_id)
    kinds = [name for name in fields if name not in {"asset_id", "request_id", "type"}]
    if len(kinds) != 1:
        raise ValueError(f"expected one kind of answer, got {len(kinds)}")
    (kind,) = kinds
    content = _read_content(fields[kind])
    named = content.asset_id if "asset_id" not in fields else parse(bytes(fields["asset_id"]))
    asset_id = None if named is None else AssetIdentifier(named)
    return Answer(request_id, kind, asset_id, codec.decode(bytes(content.response), OrderOperationResponse))


def _error(error: object) -> ApiError:
    """Return the error that a refusal stands for."""
    fields = cast("dict[str, Any]", error) if isinstance(error, dict) else {}
    code = str(fields.get("code") or "UNKNOWN")
    body: dict[str, Any] = {"error": error}
    return api_error(_STATUSES.get(code, 400), body, retry_after=_seconds(fields.get("retry_after")))


def _seconds(value: object) -> float | None:
    """Return the seconds of a ``retry_after``; None if it is no number of seconds."""
    if isinstance(value, bool) or value is None or not _NUMBER.fullmatch(str(value)):
        return None
    seconds = float(str(value))
    return seconds if math.isfinite(seconds) else None
