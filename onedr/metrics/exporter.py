"""The exporter: what prometheus_client asks for at each scrape, over HTTP or in a file."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from threading import Lock
from typing import Any

from lxml import etree

from onedr.ceph import parallel
from onedr.host import bridge, log
from onedr.host.paths import front_end_paths
from onedr.metrics import collect, samples_rules
from onedr.metrics.catalogue import COUNTER, METRICS
from onedr.metrics.samples_rules import Sample, SiteSeen
from onedr.model.errors import FrontEndError, InputError, OneDRError, RecordError
from onedr.opennebula import datastores
from onedr.opennebula.api import FrontEnd, number
from onedr.opennebula.pools_once import PoolsOnce
from onedr.replication import encryption
from onedr.runs.answer_events import ObservedEvent

_FRONT_END_LIMIT_S = 10.0
_LIMIT_S = 30.0  # of one datastore; Prometheus waits 10 s unless it is told otherwise
_AT_ONCE = 8
_FRESH_S = 5.0  # two Prometheus servers that ask together cost one look

Bridged = Callable[[int], ObservedEvent]  # a datastore with a BRIDGE_LIST, by id; raises OneDRError


class Exporter:
    """A collector of prometheus_client. One look at a time; one younger than 5 s is answered again."""

    def __init__(self, version: str, bridged: Bridged):
        self._version, self._bridged = version, bridged
        self._lock = Lock()
        self._seen: list[Sample] = []
        self._at = -_FRESH_S

    def collect(self) -> Iterator[Any]:
        """What prometheus_client calls: a family for each metric of the catalogue that has samples."""
        with self._lock:
            if time.monotonic() - self._at >= _FRESH_S:
                self._seen, self._at = self._look(), time.monotonic()
            seen = list(self._seen)
        yield from families(seen)

    def _look(self) -> list[Sample]:
        begun, frontend = time.monotonic(), PoolsOnce(_FRONT_END_LIMIT_S)
        elements, answers = _elements(frontend)
        found = _observe_each(elements, frontend, self._bridged)
        unread = []
        for datastore_id, each in found.items():
            if isinstance(each, OneDRError):
                name = elements[datastore_id].findtext("NAME") or ""
                log.warning(f"metrics of datastore {name}: {each}")
                unread.append((name, datastore_id))
        samples = list(
            samples_rules.of_site(SiteSeen(self._version, answers, _key_usable(), tuple(unread)))
        )
        for each in found.values():
            if isinstance(each, ObservedEvent):
                samples += samples_rules.of_datastore(each)
        samples.append(Sample("onedr_scrape_front_end_calls", (), frontend.calls))
        samples.append(Sample("onedr_scrape_duration_seconds", (), time.monotonic() - begun))
        return samples


def observe_all(bridged: Bridged) -> dict[str, ObservedEvent | OneDRError]:
    """Every datastore of ours by name; an error for one that could not be read. Raises FrontEndError."""
    frontend = PoolsOnce(_FRONT_END_LIMIT_S)
    elements = {number(element, "ID"): element for element in datastores.elements(frontend)}
    found = _observe_each(elements, frontend, bridged)
    return {str(elements[each].findtext("NAME")): seen for each, seen in found.items()}


def _observe_each(
    elements: Mapping[int, etree._Element], frontend: FrontEnd, bridged: Bridged
) -> dict[int, ObservedEvent | OneDRError]:
    def one(datastore_id: int) -> ObservedEvent:
        datastore = datastores.from_element(elements[datastore_id])
        if bridge.hosts(datastore.bridges, 0):
            return bridged(datastore_id)
        return collect.observe(datastore, frontend)

    return parallel.each(elements, one, _LIMIT_S, _AT_ONCE)


def _elements(frontend: PoolsOnce) -> tuple[dict[int, etree._Element], bool]:
    """Our datastores by id, and whether oned answered. Asks for all that is needed of oned."""
    try:
        found = {number(element, "ID"): element for element in datastores.elements(frontend)}
        frontend.images()
        frontend.vms()
        return found, True
    except FrontEndError as error:
        log.warning(f"metrics: {error}")
        return {}, False


def _key_usable() -> bool:
    try:
        return encryption.load_key(front_end_paths().record_key) is not None
    except RecordError as error:
        log.warning(f"metrics: {error}")
        return False


def families(seen: Iterable[Sample]) -> Iterator[Any]:
    """Samples as families of prometheus_client, in the order of the catalogue."""
    core = library().metrics_core
    by_name: dict[str, list[Sample]] = {}
    for sample in seen:
        by_name.setdefault(sample.name, []).append(sample)
    for metric in METRICS:
        if metric.name not in by_name:
            continue
        kind = core.CounterMetricFamily if metric.kind == COUNTER else core.GaugeMetricFamily
        family = kind(metric.name, metric.text, labels=metric.labels)
        for sample in by_name[metric.name]:
            family.add_metric(sample.labels, float(sample.value))
        yield family


def serve(exporter: Exporter, host: str, port: int) -> None:
    """Answer scrapes from now on, in a thread. Raises InputError when the address cannot be used."""
    try:
        library().start_http_server(port, host, _registry(exporter))
    except OSError as error:
        raise InputError(
            f"{host}:{port} cannot be used ({error.strerror}); give another with --listen."
        ) from error


def write_file(exporter: Exporter, path: str) -> None:
    """One look, into a file that is replaced at once, for node_exporter's textfile collector."""
    try:
        library().write_to_textfile(path, _registry(exporter))
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error


def _registry(exporter: Exporter) -> Any:
    # its own: without the metrics of the Python process
    registry = library().CollectorRegistry(auto_describe=False)
    registry.register(exporter)
    return registry


def library() -> Any:
    """prometheus_client, which nothing else needs. Raises InputError when it is not installed."""
    try:
        import prometheus_client
    except ImportError as error:
        raise InputError(
            "The exporter needs prometheus_client: apt install python3-prometheus-client."
        ) from error
    return prometheus_client
