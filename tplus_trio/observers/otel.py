"""Metrics of clients for opentelemetry-api (extra ``otel``), named as its semantic conventions name them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from opentelemetry.metrics import CallbackOptions, Histogram, MeterProvider, Observation, get_meter_provider

from tplus_trio.models.gap import Gap
from tplus_trio.observer import Observer, route
from tplus_trio.observers.reading import HasStatistics, StatisticsReader
from tplus_trio.observers.totals import DURATION_BUCKETS, Sample, Totals, samples

__all__ = ["OpenTelemetryObserver"]

_SYSTEM: Final = {"messaging.system": "tplus"}
#: The metrics read from statistics, by the name of the sample: the convention's name and unit where it has one.
_COUNTERS: Final = {
    "messages": ("messaging.client.consumed.messages", "{message}"),
    "received_bytes": ("tplus.client.received", "By"),
    "malformed_frames": ("tplus.client.malformed", "{frame}"),
    "delivered_items": ("tplus.client.delivered", "{item}"),
}
_GAUGES: Final = {
    "streams": ("tplus.client.streams", "{stream}"),
    "live_streams": ("tplus.client.streams.live", "{stream}"),
    "buffered_items": ("tplus.client.buffered", "{item}"),
    "feed_lag_seconds": ("tplus.client.feed.lag", "s"),
    "clock_offset_seconds": ("tplus.client.clock.offset", "s"),
    "clock_offset_bound_seconds": ("tplus.client.clock.offset.bound", "s"),
}


class OpenTelemetryObserver(Observer):
    """Records what a client does with the meters of OpenTelemetry.

    Give it to a client as ``observer=``, and, inside the client's block, give the client to `watch`: the counts of
    messages, bytes and buffers are then read whenever the metrics are collected. Attributes follow the semantic
    conventions for messaging and HTTP clients; ``messaging.destination.template`` is a feed's path with ``*`` for the
    market or user.

    Args:
        provider: Where the meter comes from; None for the global one.
    """

    # Twelve attributes: an instrument each.
    def __init__(self, provider: MeterProvider | None = None) -> None:
        meter = (provider or get_meter_provider()).get_meter("tplus_trio")

        def histogram(name: str, text: str) -> Histogram:
            # Without this advice the SDK's buckets are for milliseconds.
            return meter.create_histogram(name, "s", text, explicit_bucket_boundaries_advisory=DURATION_BUCKETS)

        self._opened = histogram("tplus.client.connection.open.duration", "Time to open a connection.")
        self._lost = meter.create_counter("tplus.client.connections.lost", "{connection}", "Connections that ended.")
        self._restarts = meter.create_counter("tplus.client.restarts", "{attempt}", "Attempts that failed.")
        self._resyncs = meter.create_counter("tplus.client.resyncs", "{resync}", "Losses recovered over a connection.")
        self._gaps = meter.create_counter("tplus.client.gaps", "{gap}", "Losses that could not be recovered.")
        self._overflows = meter.create_counter("tplus.client.overflowed", "{item}", "Items dropped or merged.")
        self._sign_ins = histogram("tplus.client.sign_in.duration", "Time to sign in.")
        self._requests = histogram("http.client.request.duration", "Duration of a REST request.")
        self._sent = meter.create_counter("messaging.client.sent.messages", "{message}", "Order requests sent.")
        self._fates = meter.create_counter("tplus.client.order.fates", "{order}", "What became of order requests.")
        self._reader = StatisticsReader()
        self._totals = Totals()
        for name, (title, unit) in _COUNTERS.items():
            meter.create_observable_counter(title, callbacks=[self._observe(name)], unit=unit)
        for name, (title, unit) in _GAUGES.items():
            meter.create_observable_gauge(title, callbacks=[self._observe(name)], unit=unit)

    def watch(self, client: HasStatistics, name: str = "") -> None:
        """Read the statistics of an entered client at each collection, as long as its ``trio.run`` lasts.

        Args:
            client: The client.
            name: The attribute ``tplus.client.name`` of its metrics.

        Raises:
            RuntimeError: called outside ``trio.run``.
        """
        self._reader.add(name, client)

    def _observe(self, name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            return [
                self._observation(client, sample)
                for client, statistics in self._reader.read().items()
                for sample in samples(statistics, route)
                if sample.name == name
            ]

        return observe

    def _observation(self, client: str, sample: Sample) -> Observation:
        value = sample.value
        if sample.is_counter:
            value = self._totals.add(sample.name, (client, sample.feed), value)
        named = {"tplus.client.name": client}
        return Observation(value, _feed(sample.feed, **named) if sample.feed else {**_SYSTEM, **named})

    def connection_opened(self, path: str, seconds: float) -> None:  # noqa: D102 - as in the base
        self._opened.record(seconds, _feed(route(path)))

    def connection_lost(self, path: str, error: Exception | None) -> None:  # noqa: D102 - as in the base
        self._lost.add(1, _feed(route(path), **_error(error)))

    def restart(self, path: str, error: Exception, delay: float) -> None:  # noqa: ARG002, D102 - as in the base
        self._restarts.add(1, _feed(route(path), **_error(error)))

    def resync(self, path: str, reason: str) -> None:  # noqa: ARG002, D102 - as in the base
        self._resyncs.add(1, _feed(route(path)))

    def gap(self, path: str, gap: Gap) -> None:  # noqa: ARG002, D102 - as in the base
        self._gaps.add(1, _feed(route(path)))

    def overflow(self, path: str, rule: str, items: int) -> None:  # noqa: D102 - as in the base
        self._overflows.add(items, _feed(route(path), **{"tplus.overflow": rule}))

    def sign_in(self, seconds: float, error: Exception | None) -> None:  # noqa: D102 - as in the base
        self._sign_ins.record(seconds, _error(error))

    def request(self, method: str, path: str, status: int | None, seconds: float) -> None:  # noqa: D102 - as in the base
        attributes: dict[str, Any] = {"http.request.method": method, "url.template": route(path)}
        if status is None:
            attributes["error.type"] = "no_answer"
        else:
            attributes["http.response.status_code"] = status
            if status >= 400:
                attributes["error.type"] = str(status)
        self._requests.record(seconds, attributes)

    def order_sent(self, operation: str, order_id: str) -> None:  # noqa: ARG002, D102 - as in the base
        self._sent.add(1, {**_SYSTEM, "messaging.operation.name": operation})

    def order_fate(self, operation: str, order_id: str, fate: str) -> None:  # noqa: ARG002, D102 - as in the base
        self._fates.add(1, {**_SYSTEM, "messaging.operation.name": operation, "tplus.order.fate": fate})


def _feed(template: str, **more: Any) -> dict[str, Any]:
    return {**_SYSTEM, "messaging.operation.name": "receive", "messaging.destination.template": template, **more}


def _error(error: Exception | None) -> dict[str, Any]:
    return {} if error is None else {"error.type": type(error).__name__}
