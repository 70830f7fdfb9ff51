"""A status for people. Every table fits in 80 columns."""
from __future__ import annotations

from collections.abc import Iterable, Mapping

from onedr.cli import output
from onedr.model.errors import OneDRError
from onedr.model.types import Mode, State
from onedr.runs.answer_events import StatusDisk, StatusEvent, StatusVm
from onedr.runs.state import NEEDS_A_PERSON, SEVERITY

_ORDER = {state.value: place for place, state in enumerate(SEVERITY)}
_GOOD = (State.PROTECTED.value, State.STANDBY.value)
_UNREAD = "UNREAD"


def worst_first(
    found: Mapping[str, StatusEvent | OneDRError]
) -> list[tuple[str, StatusEvent | OneDRError]]:
    """By state, then by age of the recovery point; what cannot be read comes first."""
    def place(item: tuple[str, StatusEvent | OneDRError]) -> tuple[int, float, str]:
        name, each = item
        if isinstance(each, OneDRError):
            return -1, 0.0, name
        return _ORDER.get(each.state, -1), -(oldest(each) or 0.0), name

    return sorted(found.items(), key=place)


def oldest(event: StatusEvent) -> float | None:
    """Age of the oldest recovery point; None while one is unknown."""
    ages = [disk.age_s for disk in event.disks if disk.mode is not None]
    known = [age for age in ages if age is not None]
    return max(known) if known and len(known) == len(ages) else None


def is_vm(vm: StatusVm, wanted: str) -> bool:
    """Is it meant by this name or id?"""
    return vm.name == wanted or str(vm.vm) == wanted


def print_all(found: Mapping[str, StatusEvent | OneDRError]) -> None:
    """A line for each datastore, worst first; then what the worst one says."""
    out = output.console()
    if not found:
        out.print("No datastore is protected. onedr enable DATASTORE protects one (docs/enable.md).")
        return
    ordered = worst_first(found)
    columns = ("datastore", "state", "role", "protected", "age", "objective", "peer")
    out.print(output.table("", columns, [_line(name, each) for name, each in ordered]))
    name, worst = ordered[0]
    if isinstance(worst, OneDRError):
        out.print(output.styled(name, "bold red"), f"cannot be read: {worst}", soft_wrap=True)
        return
    out.print(output.styled(name), worst.message, soft_wrap=True)
    if worst.state not in _GOOD:
        out.print(f"More: onedr status {name}", soft_wrap=True)


def _line(name: str, each: StatusEvent | OneDRError) -> tuple[object, ...]:
    if isinstance(each, OneDRError):
        return name, output.styled(_UNREAD, "bold red"), *("-",) * 5
    return (
        name, _state(each.state), each.role, f"{each.protected}/{each.total}", output.seconds(oldest(each)),
        output.seconds(each.objective_s or None), each.peer.state,
    )


def _state(state: str) -> object:
    if state in {worse.value for worse in NEEDS_A_PERSON}:
        return output.styled(state, "bold red")
    return output.styled(state, "green" if state in _GOOD else "yellow")


def print_datastore(event: StatusEvent) -> None:
    """Everything of one datastore; the sentence that matters comes last."""
    out = output.console()
    out.print(output.styled(event.datastore), _state(event.state), f"({event.role}, mode {event.mode})")
    if event.run is not None:
        out.print(f"In progress: {event.run.text}")
    objective = f"; objective {output.seconds(event.objective_s)}" if event.objective_s else ""
    out.print(f"protected {event.protected}/{event.total}{objective}")
    out.print(f"peer {event.peer.state}: {event.peer.detail}")
    _vms(event.vms)
    _disks(event.disks, event)
    if event.unprotected:
        out.print(output.table(
            "Not protected", ("item", "why"), [(item.name, item.reason) for item in event.unprotected]
        ))
    out.print(_state(event.state), event.message, soft_wrap=True)


def print_vm(event: StatusEvent, wanted: str) -> None:
    """A VM of a datastore, its disks, and in a sentence how much a failover would lose of it."""
    out = output.console()
    found = [vm for vm in event.vms if is_vm(vm, wanted)]
    out.print(output.styled(event.datastore), _state(event.state), f"({event.role}, mode {event.mode})")
    _vms(found)
    _disks([disk for disk in event.disks if any(disk.name in vm.disks for vm in found)], event)
    for vm in found:
        out.print(output.styled(vm.name), _sentence(vm, event), soft_wrap=True)


def _sentence(vm: StatusVm, event: StatusEvent) -> str:
    disks = [disk for disk in event.disks if disk.name in vm.disks]
    if vm.obstacles:
        return f"could not start here: {'; '.join(vm.obstacles)}"
    if vm.here and not all(disk.complete for disk in disks):
        return "is not recoverable at the peer: the first copy of a disk is not complete."
    if vm.age_s is None:
        return "has copies whose age is not known."
    late = event.objective_s and vm.age_s > event.objective_s
    return (
        f"A failover would lose at most {output.seconds(vm.age_s)}"
        f"{', more than the objective of' if late else '; the objective is'} "
        f"{output.seconds(event.objective_s)}."
    )


def _vms(vms: Iterable[StatusVm]) -> None:
    listed = list(vms)
    columns = ("VM", "of site", "state", "disks", "age", "skew", "rehearsed")
    output.console().print(output.table("VMs", columns, [
        (
            _named(vm), "here" if vm.here else vm.site, vm.state, len(vm.disks), output.seconds(vm.age_s),
            output.seconds(vm.skew_s) if len(vm.disks) > 1 else None,
            None if vm.rehearsal is None else vm.rehearsal.result,
        )
        for vm in listed
    ]))
    _list("Cannot start here", "VM", [(_named(vm), why) for vm in listed for why in vm.obstacles])
    _list("Notes", "VM", [(_named(vm), text) for vm in listed for text in vm.warnings])
    _list("Found by the rehearsal", "VM", [
        (_named(vm), f"{output.moment(vm.rehearsal.at)} {text}")
        for vm in listed if vm.rehearsal is not None
        for text in (vm.rehearsal.why, *vm.rehearsal.differences) if text
    ])


def _named(vm: StatusVm) -> str:
    return f"{vm.name} ({vm.vm})"


def _disks(disks: Iterable[StatusDisk], event: StatusEvent) -> None:
    listed = list(disks)
    columns = ("disk", "image", "role", "copy", "age", "behind")
    output.console().print(output.table("Disks", columns, [
        (disk.name, disk.title, disk.role, _copy(disk), output.seconds(disk.age_s), _behind(disk))
        for disk in listed
    ]))
    last = [
        (disk.name, output.size(disk.lag.last_bytes), output.seconds(disk.lag.last_s))
        for disk in listed if disk.lag is not None and disk.lag.last_bytes is not None
    ]
    if event.mode == Mode.SNAPSHOT.value and last:
        output.console().print(output.table("Last snapshots copied", ("disk", "size", "took"), last))
    _list("Problems", "disk", [(disk.name, text) for disk in listed for text in disk.problems])


def _copy(disk: StatusDisk) -> str:
    """Complete, or how far: percent, rate, time left, as rbd-mirror says."""
    if disk.mode is None:
        return "not mirrored"
    if disk.complete:
        return "complete"
    lag = disk.lag
    if lag is None or lag.percent is None:
        return "not complete"
    rate = f", {output.size(lag.bytes_per_s)}/s" if lag.bytes_per_s else ""
    left = f", {output.seconds(lag.left_s)} left" if lag.left_s is not None else ""
    return f"{lag.percent} %{rate}{left}"


def _behind(disk: StatusDisk) -> str:
    """Journal entries and time until the copy has caught up; how much the journal keeps."""
    lag, parts = disk.lag, []
    if lag is not None and lag.entries is not None:
        parts.append(f"{lag.entries} entries")
    if lag is not None and lag.left_s and disk.complete:
        parts.append(f"{output.seconds(lag.left_s)} to go")
    if disk.journal_bytes is not None:
        parts.append(f"journal {output.size(disk.journal_bytes)}")
    return ", ".join(parts)


def _list(title: str, what: str, rows: list[tuple[str, str]]) -> None:
    if rows:
        output.console().print(output.table(title, (what, "what"), rows))
