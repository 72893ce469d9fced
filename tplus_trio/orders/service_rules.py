"""What a program declares about a service: rules that a client cannot see, and from which it may conclude."""

from __future__ import annotations

from typing import Any

import attrs

from tplus_trio.arguments import check_number

__all__ = ["ServiceRules"]


def _flag(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, bool):
        msg = f"{attribute.name} is True or False, not {type(value).__name__}"
        raise TypeError(msg)


def _seconds(_: object, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None:
        check_number(attribute.name, value, finite=True)


@attrs.frozen(kw_only=True)
class ServiceRules:
    """Rules that the service keeps: ``OrderBookClient(rules=ServiceRules(…))``.

    A client concludes nothing from a rule that is off. From a rule that is on although the service breaks it, wrong
    fates follow. T+ publishes none of these rules; ``docs/explained/order_fates.md`` says what each one shows, and how
    to find out whether a service keeps it.

    Raises:
        TypeError, ValueError: a rule is not legal.
    """

    #: The service refuses an order id that it has accepted before, for ever: also after the order's end and after a
    #: restart, on all of its nodes. Some exchanges refuse ids of open orders only.
    order_ids_remembered: bool = attrs.field(default=False, validator=_flag)
    #: Of two requests of one user about one market over one control connection, the service carries out the earlier one
    #: before it answers the later one. An acknowledgement is no answer.
    control_keeps_order: bool = attrs.field(default=False, validator=_flag)
    #: The service ends orders at their expiry, and refuses those that arrive after it, by a clock that is at most so
    #: many seconds wrong; None declares nothing.
    clock_bound: float | None = attrs.field(default=None, validator=_seconds)
    #: A listing that was begun after an answer contains what the answered request effected.
    listings_current: bool = attrs.field(default=False, validator=_flag)
    #: A request that is answered with 401 or 403 has no effect, now or later.
    unauthorized_does_nothing: bool = attrs.field(default=True, validator=_flag)
