"""The report of a drill: a JSON file, the same as an HTML page, and the digest of the JSON file.

Stored in var/onedr/drills.
"""
from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from onedr.ceph.connection import Pool
from onedr.drill import drill_networks
from onedr.drill import plan as drill_plan
from onedr.drill.checks import Checks
from onedr.drill.evidence import Evidence
from onedr.drill.report_form import DrillReport, ImageReport, VmReport
from onedr.failover.facts import RunPlan
from onedr.host import bridge, paths
from onedr.host.atomic_file import write_atomically
from onedr.model.errors import InputError, OneDRError
from onedr.model.json_form import Json
from onedr.opennebula.datastores import Datastore
from onedr.replication.inventory import VmItem
from onedr.runs import lease as runs_lease
from onedr.runs.request import Request
from onedr.runs.run import Running

SCHEMA = 1
_MODE = 0o640  # readable by owner and group only: names and addresses of VMs are in a report
NOT_READ = "not readable"


@dataclass(frozen=True)
class SavedReport:
    """The files of a report, the SHA-256 of its JSON file, and what is in the HTML file."""

    json: Path
    html: Path
    digest: str
    page: bytes


@dataclass(frozen=True)
class DrillRun:
    """What a report is made from: the run, the request, the plan and the measurements."""

    running: Running
    target: Datastore
    request: Request
    checks: Checks
    facts: drill_plan.DrillFacts
    plan: RunPlan
    evidence: Evidence
    warnings: Mapping[str, Sequence[str]]
    pool: Pool
    peer_pool: Pool | None


def build_report(drill: DrillRun, result: str, reasons: Sequence[str], rto_s: float | None) -> DrillReport:
    """The report of a finished drill. Times are epoch seconds, durations seconds."""
    running, settings, evidence = drill.running, drill.target.settings, drill.evidence
    return {
        "schema": SCHEMA,
        "drill": evidence.tag,
        "run": running.run.id,
        "datastore": drill.target.name,
        "site": settings.site or drill.facts.here[:8],
        "cluster": drill.facts.here,
        "by": {"user": _user(), "process": runs_lease.me()},
        "began": running.began,
        "ended": time.time(),
        "result": result,
        "reasons": list(reasons),
        "network": _networks(drill),
        "asked": {
            "vms": list(drill.request.vms),
            "port": drill.checks.port,
            "command": list(drill.checks.command),
        },
        "rto": {"measured_s": rto_s, "objective_s": settings.rto_s or None},
        "rpo": {"objective_s": settings.rpo_s},
        "vms": [_vm(drill, item) for item in drill.plan.vms],
        "images": [_image(drill, name) for name in evidence.before],
        "left_out": dict(drill.plan.left_out),
        "failed": dict(drill.running.outcome.failed),
        "warnings": {origin: list(texts) for origin, texts in drill.warnings.items()},
        "steps": [
            {
                "kind": step.kind,
                "at": step.at,
                "seconds": max(step.seconds.values(), default=0.0),
                "items": len(step.results),
            }
            for step in running.log.steps
        ],
        "versions": _versions(drill.pool, drill),
        "cleanup": None,
    }


def _networks(drill: DrillRun) -> str:
    """Names of the drill networks that its VMs are in."""
    here = drill.facts.placement.counterparts
    return drill_networks.names(here, drill.target.settings.drill_network, drill.plan.vms)


def _user() -> str:
    if bridge.bridge_session() is not None:
        return "the front-end's"
    return paths.credentials().partition(":")[0]


def _vm(drill: DrillRun, item: VmItem) -> VmReport:
    origin, evidence = item.origin, drill.evidence
    taken = [evidence.snapshot_at[image.name] for image in item.images if image.name in evidence.snapshot_at]
    point = item.recovery_point
    why = drill.running.outcome.failed.get(origin, "")
    return {
        "origin": origin,
        "name": item.record.name,
        "vm": item.record.vm_id,
        "site": item.envelope.site,
        "state_there": item.record.state,
        "drill_vm": evidence.vm_ids.get(origin),
        "nics": evidence.nics.get(origin, []),
        "result": "failed" if why else "passed" if origin in evidence.passed_s else "not started",
        "why": why,
        # Before the drill changed anything: the data loss that a disaster at that time would have caused.
        "recovery_point_before": point,
        "loss_before_s": None if point is None else max(0.0, drill.running.began - point),
        "recovery_point": min(taken) if taken and len(taken) == len(item.images) else None,
        "disks_apart_s": max(taken) - min(taken) if taken else None,
        "running_after_s": evidence.running_s.get(origin),
        "passed_after_s": evidence.passed_s.get(origin),
        "checks": [asdict(check) for check in evidence.checks.get(origin, [])],
        "disks": [image.name for image in item.images],
    }


def _image(drill: DrillRun, name: str) -> ImageReport:
    evidence = drill.evidence
    return {
        "image": name,
        "snapshot": evidence.tag if name in evidence.snapshot_at else None,
        "snapshot_at": evidence.snapshot_at.get(name),
        "clone": evidence.clones.get(name),
        "recovery_points": {
            "before": evidence.before[name],
            "during": evidence.during.get(name),
            "after": evidence.after.get(name),
        },
    }


def _versions(pool: Pool, drill: DrillRun) -> dict[str, str]:
    try:
        own = importlib.metadata.version("onedr")
    except importlib.metadata.PackageNotFoundError:
        own = "not installed as a package"
    return {
        "onedr": own,
        "python": platform.python_version(),
        "opennebula": drill.running.frontend.release(),
        "ceph here": _ceph(pool),
        "ceph at the peer": _ceph(drill.peer_pool),
    }


def _ceph(pool: Pool | None) -> str:
    if pool is None:
        return NOT_READ
    try:
        return str(pool.mon(prefix="version")["version"])
    except OneDRError as error:
        return f"{NOT_READ} ({error})"


def report_folder() -> Path:
    """The folder of reports, on the front-end that ran the drill."""
    return paths.front_end_paths().drills


def save_report(datastore_id: int, tag: str, report: Mapping[str, Any]) -> SavedReport:
    """Write a report, or replace it.

    On a bridge host the front-end writes it. Raises OSError.
    """
    front_end = bridge.bridge_session()
    if front_end is not None:
        found, page = front_end.call(
            "keep_drill", datastore_id=datastore_id, tag=tag, report=dict(report))
        return SavedReport(Path(found[0]), Path(found[1]), str(found[2]), page)
    from onedr.drill import report_html

    text = json.dumps(report, indent=2, ensure_ascii=False).encode() + b"\n"
    digest = hashlib.sha256(text).hexdigest()
    where = report_folder() / f"{datastore_id}-{tag}"
    json_file = where.with_suffix(".json")
    page = report_html.page(report, digest, json_file.name)
    saved = SavedReport(json_file, where.with_suffix(".html"), digest, page)
    report_folder().mkdir(parents=True, exist_ok=True, mode=0o750)
    write_atomically(saved.json, text, _MODE)
    write_atomically(saved.html, page, _MODE)
    write_atomically(
        where.with_suffix(".json.sha256"), f"{digest}  {saved.json.name}\n".encode(), _MODE
    )
    return saved


def amend(datastore_id: int, tags: Sequence[str], cleanup: Mapping[str, Any]) -> SavedReport | None:
    """Add the result of the cleanup to the report of the newest of these drills;
    None when there is no report (the drill was killed).
    """
    front_end = bridge.bridge_session()
    if front_end is not None:
        found, page = front_end.call(
            "amend_drill", datastore_id=datastore_id, tags=list(tags), cleanup=dict(cleanup)
        )
        return SavedReport(Path(found[0]), Path(found[1]), str(found[2]), page) if found else None
    for tag in sorted(tags, reverse=True):
        path = report_folder() / f"{datastore_id}-{tag}.json"
        if path.exists():
            found = _read(path)
            return save_report(
                datastore_id, tag, {**found, "cleanup": _joined(found.get("cleanup") or {}, cleanup)}
            )
    return None


def _joined(before: Mapping[str, Any], now: Mapping[str, Any]) -> Json:
    """Merge the results of repeated cleanups: what each removed, and what remains now."""
    both = {key: {**before.get(key, {}), **now.get(key, {})} for key in ("removed", "recovery_points")}
    return {**now, **both}


def _read(path: Path) -> Json:
    try:
        return dict(json.loads(path.read_text()))
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}") from error


def last_report(datastore_id: int) -> tuple[Json, SavedReport]:
    """The newest drill report of a datastore at this front-end.

    Raises InputError when there is none, or when it was changed.
    """
    found = sorted(
        report_folder().glob(f"{datastore_id}-onedr-drill-*.json"),
        key=lambda path: int(path.stem.rpartition("-")[2]),
    )
    if not found:
        raise InputError(
            f"There is no report of a drill of datastore {datastore_id} in {report_folder()} on this "
            "front-end."
        )
    path = found[-1]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    noted = path.with_suffix(".json.sha256")
    if not noted.exists() or noted.read_text().split()[:1] != [digest]:
        raise InputError(
            f"{path} was changed since OneDR wrote it: its SHA-256 is {digest}, but {noted.name} has another "
            "one."
        )
    html = path.with_suffix(".html")
    return _read(path), SavedReport(path, html, digest, html.read_bytes() if html.exists() else b"")
