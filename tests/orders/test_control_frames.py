"""The frames of the control channel, as text and as what they say."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tplus_trio import AssetIdentifier, DecodeError, User
from tplus_trio.orders.control_frames import (
    RESPONSES,
    Acknowledgement,
    Answer,
    Refusal,
    UnreadableAnswer,
    decode_control_frame,
    encode_control_request,
)
from tplus_trio.orders.sending import Operation, OrderRequest, OrderTarget
from tplus_trio.secret import SecretBytes

CONTENT = '{"CreateOrderResponse":{"response":{"order_id":"a","status":"Received"},"asset_id":"200"}}'


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("create", "CreateOrderRequest"),
        ("cancel", "CancelOrderRequest"),
        ("replace", "ReplaceOrderRequest"),
        ("amend", "AmendOrderRequest"),
        ("batch-create", "BatchCreateRequest"),
        ("batch-replace", "BatchReplaceRequest"),
    ],
)
def test_the_body_is_sent_byte_for_byte(operation: Operation, kind: str) -> None:
    body = b'{"z":1,"a":1.0,"n":"\\u00fc \xc3\xbc"}'
    request = OrderRequest(operation, (OrderTarget(AssetIdentifier(200), "a"),), SecretBytes(body), User())
    text = encode_control_request("5eed", request)
    assert text.encode() == b'{"request_id":"5eed","data":{"%s":%s}}' % (kind.encode(), body)
    assert "z" not in repr(text)
    assert operation in RESPONSES


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"type":"ack","request_id":"1"}', Acknowledgement("1")),
        (f'{{"type":"ack","request_id":"1","data":{CONTENT}}}', Acknowledgement("1")),
        ('{"request_id":"1","data":{"request":{"status":"submitted"}}}', Acknowledgement("1")),
        ('{"type":"progress","request_id":"1"}', Acknowledgement("1")),
        ('{"type":"ping"}', None),
        ('{"type":"pong","timestamp_ns":5}', None),
        ('{"type":"subscriptions","channels":[]}', None),
        ('{"type":"heartbeat","ts":5}', None),
    ],
)
def test_what_is_no_answer(text: str, expected: object) -> None:
    assert decode_control_frame(text.encode()) == expected


@pytest.mark.parametrize("asset", ['"200"', "200", '{"Index":200}', '"0200"'])
@pytest.mark.parametrize("envelope", ['{"request_id":"1","data":%s}', '{"data":%s,"request_id":null}', "%s"])
@pytest.mark.parametrize("beside", [False, True])
def test_an_answer_in_each_form(asset: str, envelope: str, beside: bool) -> None:
    response = '{"order_id":"a","status":"Rejected","reason":"no","processed_at_ns":"7"}'
    fields = (
        f'"response":{response}}},"asset_id":{asset}}}' if beside else f'"response":{response},"asset_id":{asset}}}}}'
    )
    frame = decode_control_frame(envelope.replace("%s", '{"CreateOrderResponse":{' + fields).encode())
    assert isinstance(frame, Answer)
    assert (frame.request_id, frame.kind) == ("1" if '"1"' in envelope else None, "CreateOrderResponse")
    assert frame.asset_id == AssetIdentifier(200)
    assert (frame.response.order_id, frame.response.reason, frame.response.processed_at_ns) == ("a", "no", 7)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ("1.5", 1.5),
        ('"2"', 2.0),
        ("0", 0.0),
        ("-1", None),
        ("true", None),
        ('"NaN"', None),
        ("[1]", None),
        ("null", None),
    ],
)
def test_a_refusal_names_a_time_to_wait(seconds: str, expected: float | None) -> None:
    frame = decode_control_frame(
        b'{"request_id":"1","error":{"code":"RATE_LIMITED","retry_after":%s}}' % seconds.encode()
    )
    assert isinstance(frame, Refusal)
    assert (frame.error.status, frame.error.retry_after) == (429, expected)


@pytest.mark.parametrize("content", ["1", "[]", '"x"', "{}", '{"A":{},"B":{}}', '{"A":{"response":{}}}', "[[[[]]]]"])
def test_an_answer_that_cannot_be_decoded_keeps_its_request_id(content: str) -> None:
    frame = decode_control_frame(b'{"request_id":"1","data":%s}' % content.encode())
    assert isinstance(frame, UnreadableAnswer)
    assert frame.request_id == "1"
    with pytest.raises(DecodeError, match="not a control frame"):
        decode_control_frame(b'{"data":%s}' % content.encode())


NESTED = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from(["type", "request_id", "data", "error", "CreateOrderResponse", "asset_id", "response", "status"])
FRAMES = st.recursive(NESTED, lambda inner: st.dictionaries(KEYS, inner, max_size=4), max_leaves=12)


@given(st.binary(max_size=60) | FRAMES.map(lambda value: json.dumps(value).encode()))
def test_no_frame_does_anything_else(frame: bytes) -> None:
    try:
        said = decode_control_frame(frame)
    except DecodeError:
        return
    assert said is None or isinstance(said, Acknowledgement | Answer | Refusal | UnreadableAnswer)


def test_deep_nesting_is_refused() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    with pytest.raises(DecodeError):
        decode_control_frame(b'{"error":%s}' % deep)
    with pytest.raises(DecodeError):
        decode_control_frame(b'{"request_id":"1","data":{"A":{"response":1,"asset_id":%s}}}' % deep)


def test_a_refusal_that_cannot_be_decoded_keeps_its_request_id() -> None:
    frame = decode_control_frame(b'{"request_id":"1","error":{"code":"RATE_LIMITED","retry_after":1e400}}')
    assert isinstance(frame, UnreadableAnswer)
