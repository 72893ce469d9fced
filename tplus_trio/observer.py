"""What a client tells a metrics library while it happens."""

from __future__ import annotations

import inspect
import logging
import re
from typing import Any, Final

from tplus_trio.log_events import LogEvent, log_event
from tplus_trio.models.gap import Gap

__all__ = ["Observer"]

_log = logging.getLogger("tplus_trio.observer")

#: A segment of a path that names one thing of many: a market, a user, an order.
_PARAMETER: Final = re.compile(r"(?<=/)[^/]*\d[^/]*|(?<=/)[^/]{25,}")


class Observer:
    """Base class for what observes a client: override the methods of interest.

    Any object that has some of these methods will do: a method that it lacks is not called. A client calls them in the
    step in which a thing happens, from its own tasks, so they must return at once. None is called for each message:
    counts of messages are read from ``statistics()``. An exception that a method raises is logged once for each method,
    and changes nothing else.

    Paths are those of requests and feeds (``/marketdepth/diff/200``); ``route`` makes a label of one. Errors are the
    client's own exceptions. Times are in seconds, of trio's clock.
    """

    def connection_opened(self, path: str, seconds: float) -> None:
        """A stream's connection was opened, handshake included, within this time."""

    def connection_lost(self, path: str, error: Exception | None) -> None:
        """A stream's connection ended. ``error`` is None if the client ended it."""

    def restart(self, path: str, error: Exception, delay: float) -> None:
        """An attempt of a stream failed, and the next one is made after ``delay`` seconds at most."""

    def resync(self, path: str, reason: str) -> None:
        """A stream has missed something over a connection that goes on, and recovers it."""

    def gap(self, path: str, gap: Gap) -> None:
        """A stream delivers a `Gap`: items are missing that could not be recovered.

        A `Gap` that stands for items dropped for a slow consumer is reported by `overflow` instead.
        """

    def overflow(self, path: str, rule: str, items: int) -> None:
        """A consumer was slow, and its overflow rule acted: it dropped or merged so many items."""

    def sign_in(self, seconds: float, error: Exception | None) -> None:
        """A sign-in ended. ``error`` is None if it succeeded."""

    def request(self, method: str, path: str, status: int | None, seconds: float) -> None:
        """A REST request ended. ``status`` is None if there was no answer, or if it was cancelled."""

    def order_sent(self, operation: str, order_id: str) -> None:
        """An order request is being sent. ``operation`` is ``create``, ``cancel`` and the like.

        It is called once for an operation, also if the request is sent again with a new token. What the client sends by
        itself to find out about an order, or to take it back, is not observed.
        """

    def orders_left_resting(self, order_ids: tuple[str, ...]) -> None:
        """A scope was left, and these orders of it are not proved gone within its deadline: they may rest."""

    def order_fate(self, operation: str, order_id: str, fate: str) -> None:
        """An order request ended, and its fate is known or not; or a fate that was unknown was found out later.

        It is called once after each `order_sent`, and once more if ``fate`` was ``unknown`` then and is known now.

        ``fate`` is ``done`` (the service took the request, or it was seen to have taken effect), ``rejected`` (the
        service refused it, or it never took effect), ``unsent`` (no byte of the request has left), or ``unknown``: the
        request may have been carried out, or may still be.
        """


class ObserverGuard(Observer):
    """Calls the methods that an observer has, and lets none of its exceptions out.

    Args:
        observer: An object that has at least one method of `Observer`; None observes nothing.

    Raises:
        TypeError: the observer is a class, has none of the methods, or has one that is ``async``.
    """

    def __init__(self, observer: object | None) -> None:
        self._observer = observer
        self._has_failed: set[str] = set()
        if observer is None:
            return
        if isinstance(observer, type):
            msg = f"observer is the class {observer.__name__}: pass an instance of it"
            raise TypeError(msg)
        methods = {name: method for name in OBSERVER_METHODS if callable(method := getattr(observer, name, None))}
        if not methods:
            msg = f"observer has at least one method of Observer ({', '.join(OBSERVER_METHODS)}); {observer!r} has none"
            raise TypeError(msg)
        for name, method in methods.items():
            if inspect.iscoroutinefunction(method):
                msg = f"observer.{name} is async: it is called without waiting, so make it a plain method"
                raise TypeError(msg)
            # A method that the observer inherits from the base does nothing, and need not be called.
            if getattr(method, "__func__", None) is not getattr(Observer, name):
                setattr(self, name, self._guarded(name, method))

    def _guarded(self, name: str, method: Any) -> Any:
        def call(*args: object) -> None:
            try:
                method(*args)
            except Exception as exc:  # noqa: BLE001 - a metric must not end a stream
                if name not in self._has_failed:
                    self._has_failed.add(name)
                    log_event(
                        _log,
                        logging.ERROR,
                        LogEvent.OBSERVER_FAILED,
                        "the observer's method %s raised %r (logged once)",
                        name,
                        exc,
                        method=name,
                        error=repr(exc),
                    )

        return call


#: The names of all methods of `Observer`.
OBSERVER_METHODS: Final = tuple(name for name in vars(Observer) if not name.startswith("_"))


def route(path: str) -> str:
    """A path with ``*`` for each segment that names one thing of many: ``/marketdepth/diff/*``.

    A metrics library keeps a series for each label; there are too many markets, users and orders for that.
    """
    return _PARAMETER.sub("*", path.partition("?")[0])
