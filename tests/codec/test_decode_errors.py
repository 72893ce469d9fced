"""What a `DecodeError` says: the reason and a short excerpt, never a secret."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import pytest

from tests.helpers.wire_texts import REMOVED
from tplus_trio import codec
from tplus_trio.errors import DecodeError
from tplus_trio.models import AuthToken


class TestDecodeErrors:
    @pytest.mark.parametrize(
        "secret_frame",
        [
            '{"token":"hunter2","expiry_ns":[]}',
            '{"expiry_ns":"x", "token" : "hunter2',
            '{"a":"b","token":"hun\\"ter2"}',
            '{"access_token":"hunter2"}',
            '{"password":"hunter2"}',
            '{"private_key":"hunter2"}',
            '{"Created":{"signature":[199,211]}}',
            '{"Created":{"limit_overrides_signature":[199,211',
            '[{"signature":"hunter2"}]',
        ],
    )
    def test_no_secret_is_shown(self, secret_frame: str) -> None:
        for decode in (
            codec.decode_order_event_frame,
            codec.decode_trade_frame,
            codec.decode_depth_frame,
            partial(codec.decode, kind=AuthToken),
            partial(codec.decode, kind=list[int]),
        ):
            with pytest.raises(DecodeError) as caught:
                decode(secret_frame)
            assert not re.search(r"hunter2|ter2|199|211", str(caught.value))
            assert caught.value.__cause__ is None

    def test_an_auth_answer_is_not_shown_at_all(self) -> None:
        with pytest.raises(DecodeError) as caught:
            codec.decode('"hunter2"', AuthToken)
        assert "hunter2" not in str(caught.value)

    def test_the_excerpt_in_an_error_is_short(self) -> None:
        with pytest.raises(DecodeError) as caught:
            codec.decode_trade_frame('{"order_id":"' + "x" * 100_000 + '"}')
        assert re.search(r'\{"order_id":"x{50,110}…$', str(caught.value))

    def test_an_error_says_what_was_wrong(self) -> None:
        with pytest.raises(DecodeError, match=r"not a trade: .*missing required field `asset_id`.*: \{\"a\":1\}$"):
            codec.decode_trade_frame('{"a":1}')
        with pytest.raises(DecodeError, match="nested too deeply"):
            codec.decode('{"a":' * 10_000 + "1" + "}" * 10_000, dict[str, Any])
        with pytest.raises(DecodeError, match="'reason' is missing"):
            codec.decode_order_event_frame(f'{{"Removed":{REMOVED.replace("reason", "cause")}}}')
