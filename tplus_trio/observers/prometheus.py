"""Metrics of clients for prometheus-client (extra ``prometheus``)."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tplus_trio.models.gap import Gap
from tplus_trio.observer import Observer, route
from tplus_trio.observers.reading import HasStatistics, StatisticsReader
from tplus_trio.observers.totals import DURATION_BUCKETS, Totals, samples

__all__ = ["PrometheusObserver"]


class PrometheusObserver(Observer):
    """Counts what a client does, for a scrape.

    Give it to a client as ``observer=``, and, inside the client's block, give the client to `watch`: the counts of
    messages, bytes and buffers are then read at each scrape. ``feed`` labels are feed paths with ``*`` for the market
    or user.

    Args:
        registry: Where the metrics are registered.
        prefix: What the name of each metric begins with.

    Raises:
        ValueError: the registry has metrics of these names.
    """

    # Eleven attributes: a metric each.
    def __init__(self, registry: CollectorRegistry = REGISTRY, *, prefix: str = "tplus") -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"{prefix}_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, *labels: str) -> Histogram:
            return Histogram(f"{prefix}_{name}_seconds", text, labels, registry=registry, buckets=DURATION_BUCKETS)

        self._opened = histogram("connection_open", "Time to open a stream's connection.", "feed")
        self._lost = counter("connections_lost", "Connections of streams that ended.", "feed", "error")
        self._restarts = counter("restarts", "Attempts of streams that failed.", "feed", "error")
        self._resyncs = counter("resyncs", "Losses that were recovered over the same connection.", "feed")
        self._gaps = counter("gaps", "Losses that could not be recovered.", "feed")
        self._overflows = counter("overflowed_items", "Items dropped or merged for slow consumers.", "feed", "rule")
        self._sign_ins = histogram("sign_in", "Time to sign in.", "error")
        self._requests = histogram("request", "Time of a REST request.", "method", "route", "status")
        self._sent = counter("orders_sent", "Order requests whose first byte may have left.", "operation")
        self._fates = counter("order_fates", "What became of order requests.", "operation", "fate")
        self._reader = StatisticsReader()
        registry.register(_Collector(self._reader, prefix))

    def watch(self, client: HasStatistics, name: str = "") -> None:
        """Read the statistics of an entered client at each scrape, as long as its ``trio.run`` lasts.

        Args:
            client: The client.
            name: The label ``client`` of its metrics.

        Raises:
            RuntimeError: called outside ``trio.run``.
        """
        self._reader.add(name, client)

    def connection_opened(self, path: str, seconds: float) -> None:  # noqa: D102 - as in the base
        self._opened.labels(route(path)).observe(seconds)

    def connection_lost(self, path: str, error: Exception | None) -> None:  # noqa: D102 - as in the base
        self._lost.labels(route(path), _name(error)).inc()

    def restart(self, path: str, error: Exception, delay: float) -> None:  # noqa: ARG002, D102 - as in the base
        self._restarts.labels(route(path), _name(error)).inc()

    def resync(self, path: str, reason: str) -> None:  # noqa: ARG002, D102 - as in the base
        self._resyncs.labels(route(path)).inc()

    def gap(self, path: str, gap: Gap) -> None:  # noqa: ARG002, D102 - as in the base
        self._gaps.labels(route(path)).inc()

    def overflow(self, path: str, rule: str, items: int) -> None:  # noqa: D102 - as in the base
        self._overflows.labels(route(path), rule).inc(items)

    def sign_in(self, seconds: float, error: Exception | None) -> None:  # noqa: D102 - as in the base
        self._sign_ins.labels(_name(error)).observe(seconds)

    def request(self, method: str, path: str, status: int | None, seconds: float) -> None:  # noqa: D102 - as in the base
        self._requests.labels(method, route(path), "none" if status is None else str(status)).observe(seconds)

    def order_sent(self, operation: str, order_id: str) -> None:  # noqa: ARG002, D102 - as in the base
        self._sent.labels(operation).inc()

    def order_fate(self, operation: str, order_id: str, fate: str) -> None:  # noqa: ARG002, D102 - as in the base
        self._fates.labels(operation, fate).inc()


def _name(error: Exception | None) -> str:
    return "" if error is None else type(error).__name__


class _Collector(Collector):
    """Reads the statistics of the watched clients at each scrape."""

    def __init__(self, reader: StatisticsReader, prefix: str) -> None:
        self._reader = reader
        self._prefix = prefix
        self._totals = Totals()

    def describe(self) -> Iterator[Metric]:
        """Describe nothing: a registry would read the statistics to find out."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Read each client once."""
        families: dict[str, Metric] = {}
        for client, statistics in self._reader.read().items():
            for sample in samples(statistics, route):
                name = f"{self._prefix}_{sample.name}"
                labels = (client, sample.feed) if sample.feed else (client,)
                value = self._totals.add(name, labels, sample.value) if sample.is_counter else sample.value
                if name not in families:
                    kind = CounterMetricFamily if sample.is_counter else GaugeMetricFamily
                    families[name] = kind(name, sample.text, labels=("client", "feed")[: len(labels)])
                families[name].add_metric(labels, value)  # type: ignore[attr-defined]  # both kinds have it
        return iter(families.values())
