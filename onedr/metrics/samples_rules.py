"""What was seen, as samples. Pure."""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from onedr.model.rehearsed import Result
from onedr.model.types import PeerState, Role, State
from onedr.runs.answer_events import ObservedEvent, Reason, RunSeen, StatusDisk, StatusVm


@dataclass(frozen=True)
class Sample:
    """A value of a metric of the catalogue; `labels`: values in the order of the catalogue."""

    name: str
    labels: tuple[str, ...]
    value: float


@dataclass(frozen=True)
class SiteSeen:
    """This front-end. `unread`: name and id of datastores that could not be read."""

    version: str
    answers: bool
    key_usable: bool
    unread: tuple[tuple[str, int], ...] = ()


def of_site(site: SiteSeen) -> Iterator[Sample]:
    """What is known without any datastore."""
    yield Sample("onedr_build_info", (site.version,), 1)
    yield Sample("onedr_front_end_up", (), site.answers)
    yield Sample("onedr_record_key_usable", (), site.key_usable)
    for name, number in site.unread:
        yield Sample("onedr_datastore_up", (name, str(number)), 0)


def of_datastore(seen: ObservedEvent) -> Iterator[Sample]:
    """All samples of one datastore; what is not known has none."""
    labels = (seen.datastore, str(seen.datastore_id))
    for name, value in (*_state(seen), *_lag(seen), *_work(seen)):
        if value is not None:
            yield Sample(f"onedr_{name}", labels, value)
    yield from _by_label(seen, labels)
    for run in seen.runs:
        yield from _run(run, (*labels, run.verb))
    by_name = {disk.name: disk for disk in seen.status.disks}
    for vm in seen.status.vms:
        disks = [by_name[name] for name in vm.disks if name in by_name]
        yield from _vm(seen, vm, disks, (*labels, vm.name, str(vm.vm), vm.site))


def _state(seen: ObservedEvent) -> list[tuple[str, float | None]]:
    status = seen.status
    mirrored = [disk for disk in status.disks if disk.mode is not None]
    ages = [disk.age_s for disk in mirrored]
    known = [age for age in ages if age is not None]
    return [
        ("datastore_up", 1), ("datastore_paused", status.paused),
        ("datastore_items", status.total),
        ("datastore_items_protected", status.protected),
        ("datastore_items_copying", sum(1 for disk in mirrored if not disk.complete)),
        ("datastore_objective_seconds", status.objective_s),
        ("datastore_recovery_point_age_seconds", max(known) if known and len(known) == len(ages) else None),
        ("peer_answers", status.peer.state == PeerState.ANSWERS.value),
        ("rbd_mirror_daemons", seen.daemons),
        ("pool_used_bytes", seen.used_bytes), ("pool_free_bytes", seen.free_bytes),
    ]


def _lag(seen: ObservedEvent) -> list[tuple[str, float | None]]:
    disks = seen.status.disks
    return [
        ("datastore_entries_behind", _entries(disks)), ("datastore_bytes_behind", _bytes(disks)),
        ("datastore_copy_bytes_per_second", _sum(disk.lag.bytes_per_s for disk in disks if disk.lag)),
        ("datastore_journal_bytes", _sum(disk.journal_bytes for disk in disks)),
    ]


def _work(seen: ObservedEvent) -> list[tuple[str, float | None]]:
    done, hook = seen.last_pass, seen.last_hook
    return [
        ("hook_timestamp_seconds", hook.at if hook else None),
        ("hook_lag_seconds", hook.waited_s if hook else None),
        ("hook_lag_worst_seconds", hook.worst_s if hook else None),
        ("reconcile_timestamp_seconds", done.at if done else None),
        ("reconcile_duration_seconds", done.seconds if done else None),
        ("reconcile_failed_items", done.failed if done else None),
        ("reconcile_repairs_total", done.repairs if done else None),
        ("last_good_drill_timestamp_seconds", seen.good_drill or 0),
        ("rehearsal_timestamp_seconds", seen.rehearsed),
    ]


def _by_label(seen: ObservedEvent, labels: tuple[str, ...]) -> Iterator[Sample]:
    status = seen.status
    for state in State:
        yield Sample("onedr_datastore_state", (*labels, state.value), status.state == state.value)
    for role in Role:
        yield Sample("onedr_datastore_role", (*labels, role.value), status.role == role.value)
    reasons = Counter(item.code for item in status.unprotected)
    for reason in Reason:
        yield Sample("onedr_datastore_items_unprotected", (*labels, reason.value), reasons[reason.value])
    results = Counter(
        str(vm.rehearsal.result) for vm in status.vms if vm.rehearsal is not None and not vm.here)
    for result in Result if seen.rehearsed is not None else ():
        yield Sample("onedr_rehearsal_vms", (*labels, result.value), results[result.value])
    if status.run is not None:
        yield Sample("onedr_run_in_progress", (*labels, status.run.verb), 1)


def _run(run: RunSeen, labels: tuple[str, ...]) -> Iterator[Sample]:
    for name, value in (
        ("timestamp", run.ended), ("duration", run.took_s), ("rto", run.rto_s), ("rpo", run.rpo_s),
    ):
        if value is not None:
            yield Sample(f"onedr_last_run_{name}_seconds", labels, value)
    yield Sample("onedr_last_run_success", labels, run.result == "DONE")


def _vm(
    seen: ObservedEvent, vm: StatusVm, disks: list[StatusDisk], labels: tuple[str, ...]
) -> Iterator[Sample]:
    whole = bool(disks) and all(disk.complete for disk in disks) if vm.here else not vm.obstacles
    for name, value in (
        ("recovery_point_age_seconds", vm.age_s), ("objective_seconds", seen.status.objective_s),
        ("recoverable", whole), ("skew_seconds", vm.skew_s), ("entries_behind", _entries(disks)),
        ("bytes_behind", _bytes(disks)), *_rehearsal(vm),
    ):
        if value is not None:
            yield Sample(f"onedr_vm_{name}", labels, value)


def _rehearsal(vm: StatusVm) -> list[tuple[str, float]]:
    if vm.rehearsal is None or vm.rehearsal.result is Result.RETURNS:
        return []
    return [
        ("rehearsal_timestamp_seconds", vm.rehearsal.at),
        ("rehearsal_accepted", vm.rehearsal.result is Result.ACCEPTED),
        ("rehearsal_differences", len(vm.rehearsal.differences)),
    ]


def _entries(disks: Iterable[StatusDisk]) -> float | None:
    return _sum(disk.lag.entries for disk in disks if disk.lag is not None)


def _bytes(disks: Iterable[StatusDisk]) -> float | None:
    return _sum(disk.lag.bytes_behind for disk in disks if disk.lag is not None)


def _sum(values: Iterable[float | None]) -> float | None:
    """Of what is known; None when nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None
