"""STATUS of a document, from a status and the journals of past runs. Pure."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from onedr.document import action_rules, fit_rules
from onedr.document.action_rules import Situation
from onedr.document.fit_rules import few, short
from onedr.document.form import (
    DatastoreShown,
    DrillShown,
    OtherRun,
    PastRun,
    RehearsalShown,
    RehearsedShown,
    StatusPart,
    UnprotectedList,
    UnprotectedShown,
    VmList,
    VmShown,
)
from onedr.model import names
from onedr.model.rehearsed import Rehearsed, Result
from onedr.model.types import PeerState, State
from onedr.runs import history
from onedr.runs.answer_events import StatusDisk, StatusEvent, StatusVm
from onedr.runs.journal_entry import JournalEntry
from onedr.runs.state import DRILLS, SETTINGS
from onedr.runs.steps import StepKind

_RUNS, _DIFFERENCES = 10, 5
_ENDED = {"DONE": "PASSED", "PARTIAL": "FAILED"}  # a drill's results in the journal


@dataclass(frozen=True)
class Around:
    """What a status does not tell. `journals`: of the datastore, the newest first, no refused ones; `away`:
    VMs of this site run at the other; `fsid`: of this cluster; `reports`: the folder of drills' reports.
    """

    datastore: DatastoreShown
    journals: Sequence[JournalEntry]
    away: bool
    fsid: str
    reports: str
    now: float


def status_part(event: StatusEvent, around: Around) -> StatusPart:
    """Everything that a page shows of a datastore while nothing is asked for."""
    running = event.run.run if event.run is not None else ""
    ended = [
        history.judged(entry, running) for entry in around.journals
        if entry.verb not in SETTINGS and entry.run != running
    ]
    situation = _situation(event, ended, around.away)
    points = [disk.recovery_point for disk in event.disks if disk.mode is not None]
    known = [point for point in points if point is not None]
    return StatusPart(
        as_of=around.now, datastore=around.datastore, state=event.state, code=event.code, role=event.role,
        mode=event.mode, message=short(event.message), peer_state=event.peer.state,
        peer_detail=short(event.peer.detail),
        recovery_point=min(known) if known and len(known) == len(points) else None,
        objective_s=event.objective_s, protected=event.protected, total=event.total,
        unprotected=_unprotected(event), vms=_vms(event), actions=action_rules.allowed(situation),
        hint=action_rules.hint(situation), run=_run(event),
        runs=tuple(map(_past, ended[:_RUNS])), drill=_drill(ended, around), rehearsal=_rehearsal(event.vms),
    )


def _situation(event: StatusEvent, ended: Sequence[JournalEntry], away: bool) -> Situation:
    moves = [entry for entry in ended if entry.verb not in DRILLS]
    died = [entry for entry in (*moves[:1], *ended[:1]) if entry.result == history.INTERRUPTED]
    drilled = bool(ended) and ended[0].verb == "drill" and ended[0].result in _ENDED
    return Situation(
        state=State(event.state), peer=_peer(event.peer.state),
        running=event.run.verb if event.run is not None else "",
        interrupted=died[0].verb if died else "",
        promoted=bool(died) and StepKind.PROMOTE.value in died[0].kinds,
        away=away, drilled=drilled,
    )


def _peer(state: str) -> PeerState:
    return PeerState(state) if state in {each.value for each in PeerState} else PeerState.UNKNOWN


def _unprotected(event: StatusEvent) -> UnprotectedList:
    rows = (
        UnprotectedShown(short(item.name), short(item.reason), item.code) for item in event.unprotected
    )
    return UnprotectedList(len(event.unprotected), fit_rules.fitting(rows, fit_rules.ROOM["unprotected"]))


def _vms(event: StatusEvent) -> VmList:
    disks = {disk.name: disk for disk in event.disks}
    rows = [_vm(vm, [disks[name] for name in vm.disks if name in disks]) for vm in event.vms]
    rows.sort(key=lambda row: _place(row, event.objective_s))
    return VmList(len(rows), fit_rules.fitting(rows, fit_rules.ROOM["vms"]))


def _place(row: VmShown, objective_s: int) -> tuple[bool, bool, bool, int, str, int]:
    """What needs a person comes first."""
    late = row.loss_s is not None and 0 < objective_s < row.loss_s
    refused = row.rehearsed is not None and row.rehearsed.result == Result.REFUSED.value
    fine = not (row.obstacles or refused)
    return fine, row.recovery_point is not None, not late, row.priority, row.name, row.id


def _vm(vm: StatusVm, disks: Sequence[StatusDisk]) -> VmShown:
    obstacles = list(vm.obstacles)
    if vm.here and not all(disk.complete for disk in disks):
        obstacles.append("the first copy of a disk at the other site is not complete")
    if vm.rehearsal is not None and vm.rehearsal.result is Result.REFUSED and vm.rehearsal.why:
        obstacles.append(vm.rehearsal.why)
    return VmShown(
        id=vm.vm, name=short(vm.name), site=short(vm.site), here=vm.here, state=vm.state,
        recovery_point=vm.recovery_point, loss_s=vm.age_s, loss_bytes=_behind(disks),
        starts=vm.starts and not obstacles, obstacles=few(obstacles, _DIFFERENCES),
        warnings=few(vm.warnings, _DIFFERENCES), priority=vm.priority, rehearsed=_rehearsed(vm.rehearsal),
    )


def _behind(disks: Iterable[StatusDisk]) -> int | None:
    """Bytes of all disks; None where rbd-mirror does not say it of one."""
    found = [None if disk.lag is None else disk.lag.bytes_behind for disk in disks]
    known = [count for count in found if count is not None]
    return sum(known) if known and len(known) == len(found) else None


def _rehearsed(found: Rehearsed | None) -> RehearsedShown | None:
    if found is None:
        return None
    return RehearsedShown(
        found.at, found.result.value, short(found.why), few(found.differences, _DIFFERENCES))


def _rehearsal(vms: Iterable[StatusVm]) -> RehearsalShown | None:
    found = [vm.rehearsal for vm in vms if vm.rehearsal is not None]
    if not found:
        return None
    results = [each.result for each in found]
    return RehearsalShown(
        max(each.at for each in found), results.count(Result.ACCEPTED), results.count(Result.REFUSED),
        results.count(Result.RETURNS), results.count(Result.NOT_TRIED),
    )


def _run(event: StatusEvent) -> OtherRun | None:
    run = event.run
    if run is None:
        return None
    return OtherRun(run.verb, short(run.by), short(run.host), short(run.site), run.began, run.here)


def _past(entry: JournalEntry) -> PastRun:
    row = history.row(entry)
    return PastRun(
        row.run, entry.verb, short(row.by), row.trigger, row.began, row.took_s, row.result, row.rto_s,
        row.rpo_s, short(row.message),
    )


def _drill(ended: Iterable[JournalEntry], around: Around) -> DrillShown | None:
    entry = next((entry for entry in ended if entry.verb == "drill"), None)
    if entry is None:
        return None
    number = entry.run.partition("-")[0]
    page = ""
    if entry.result in _ENDED and number.isdecimal():
        tag = names.drill_tag(around.fsid, around.datastore.id, int(number))
        page = f"{around.reports}/{around.datastore.id}-{tag}.html"
    return DrillShown(
        entry.updated or entry.began, _ENDED.get(entry.result, entry.result), history.row(entry).rto_s, page,
        entry.owner.split(":")[0],
    )
