"""When mirror snapshots are due: the datastore's DR_SCHEDULE, or an image's own. Pure."""
from __future__ import annotations

from collections.abc import Iterable, Mapping

from onedr.model.records import ImageFacts, ImageRecord
from onedr.model.settings import duration, schedule_of
from onedr.model.types import Settings
from onedr.protection.pace import is_due

_MISSED = 3  # snapshots in a row that a manager must miss
_GRACE_S = 60


def patience_s(schedule: str, manager_runs: bool) -> int:
    """The age of the newest mirror snapshot from which on the keeper takes one, seconds."""
    return duration(schedule) * _MISSED + _GRACE_S if manager_runs else duration(schedule)


def schedule_of_image(fact: ImageFacts, settings: Settings) -> str:
    """As its record has it, which came with the copy too."""
    body = fact.image.body if fact.image is not None else None
    return schedule_of(settings, body.template if isinstance(body, ImageRecord) else ())


def late(points: Mapping[str, float | None], patience: Mapping[str, float], now: float) -> dict[str, float]:
    """The images whose copy is older than their `patience` (seconds), with it. `points`: recovery points,
    epoch seconds; None: not known, so nothing says that a snapshot is missing. One dated ahead is late: its
    clock was wrong.
    """
    return {
        name: patience[name] for name, point in points.items()
        if point is not None and is_due(point, patience[name], now)
    }


def to_change(wanted: Mapping[str, str], there: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Of the images' schedules those that the cluster has not: it writes `60m` as `1h`."""
    return {
        name: schedule for name, schedule in wanted.items()
        if [duration(each) for each in there.get(name, ())] != [duration(schedule)]
    }
