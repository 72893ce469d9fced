"""Log records that programs can read: each has one stable event name, and fields."""

from __future__ import annotations

import enum
import logging
from typing import Any

__all__ = ["LogEvent"]


class LogEvent(enum.StrEnum):
    """What a log record is about: its attribute ``event``. A name, once published, keeps its meaning.

    The attribute ``fields`` of the record is a dict of what the event brings, named in the comment of each.
    """

    #: A stream has failed for the first time since it was live: ``path``, ``error``, ``delay`` (seconds).
    OUTAGE_BEGAN = "outage_began"
    #: Another attempt within an outage has failed: ``path``, ``error``, ``delay`` (seconds), ``failures``.
    ATTEMPT_FAILED = "attempt_failed"
    #: A stream is live again: ``path``, ``seconds`` since the outage began, ``failures``.
    OUTAGE_ENDED = "outage_ended"
    #: A stream has failed for good: ``path``, ``error``.
    STREAM_FAILED = "stream_failed"
    #: A frame could not be decoded; logged once for each kind: ``path``, ``error``.
    FRAME_MALFORMED = "frame_malformed"
    #: Rows of a REST answer could not be decoded: ``path``, ``rows``, ``error``.
    ROWS_MALFORMED = "rows_malformed"
    #: A depth stream asks for a new snapshot: ``path``, ``reason``.
    SNAPSHOT_REQUESTED = "snapshot_requested"
    #: The sequence numbers of a market are not contiguous, and increasing ones are accepted from now on: ``path``.
    NUMBERS_NOT_CONTIGUOUS = "numbers_not_contiguous"
    #: The service refused a token, and the client signs in again: ``path``, ``status``.
    TOKEN_REFUSED = "token_refused"  # noqa: S105 - the name of an event
    #: An optional sign-in failed, and requests are sent without a user: ``public_key``, ``error``.
    SIGN_IN_FAILED = "sign_in_failed"
    #: It is not known what became of a request about an order: ``operation``, ``order_id``, ``why``.
    ORDER_IN_DOUBT = "order_in_doubt"
    #: It was found out what became of an order in doubt: ``operation``, ``order_id``, ``fate``.
    ORDER_SETTLED = "order_settled"
    #: A feed of the client's own orders or trades ended for good: ``path``, ``error``.
    OWN_FEED_FAILED = "own_feed_failed"
    #: An order with a lease was not renewed, and expires: ``order_id``, ``error``.
    ORDER_NOT_RENEWED = "order_not_renewed"
    #: A scope was left, and orders of it are not proved gone: ``order_ids``, ``deadline``.
    ORDERS_LEFT_RESTING = "orders_left_resting"
    #: A keyfile can be read by other users of the machine: ``path``, ``mode``.
    KEYFILE_READABLE = "keyfile_readable"
    #: A method of the client's observer raised; logged once for each method: ``method``, ``error``.
    OBSERVER_FAILED = "observer_failed"


def log_event(logger: logging.Logger, level: int, event: LogEvent, message: str, *args: object, **fields: Any) -> None:
    """Log a message whose record has the attributes ``event`` and ``fields``."""
    if logger.isEnabledFor(level):
        logger.log(level, message, *args, extra={"event": event.value, "fields": fields}, stacklevel=2)
