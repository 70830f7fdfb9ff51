"""A drill's report as one printable HTML page with embedded style.

All text is escaped by lxml.
"""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lxml.builder import E  # type: ignore[import-not-found]

from onedr.runs.html_parts import document, moment, seconds, table, text

_NOTE = (
    "The measured recovery time runs from the command to the moment at which the last VM passed its checks. "
    "It includes the drill's own snapshots and clones, which a failover does not need, but not the "
    "promotion of the copies, which a drill must not do. A guest counts as booted when it wrote to its "
    "clone; no agent in the guest is needed."
)


def page(report: Mapping[str, Any], digest: str, json_name: str) -> bytes:
    """The HTML page of a report whose JSON file has this name and SHA-256."""
    return document(
        f"Disaster recovery drill of {report['datastore']}",
        E.p(E.span(f"Result: {report['result']}", {"class": "verdict"})),
        *([E.ul(*(E.li(text(reason)) for reason in report["reasons"]))] if report["reasons"] else []),
        *_summary(report),
        *_vms(report),
        *_checks(report),
        *_replication(report),
        *_rest(report),
        *_cleanup(report),
        E.h2("Authenticity"),
        E.p(
            "This page was generated from ",
            E.code(text(json_name)),
            ", SHA-256 ",
            E.code(digest),
            ".",
            {"class": "small"},
        ),
    )


def _summary(report: Mapping[str, Any]) -> list[Any]:
    rto, asked = report["rto"], report["asked"]
    command = " ".join(asked["command"])
    checks = ["the VM runs", "its guest boots", f"port {asked['port']}" if asked["port"] else "", command]
    return [
        E.h2("What was done"),
        table(
            None,
            [
                ("Drill", report["drill"]),
                ("Site", f"{report['site']} (Ceph cluster {report['cluster']})"),
                ("Began", moment(report["began"])),
                ("Ended", moment(report["ended"])),
                ("Run by", f"{report['by']['user']} ({report['by']['process']})"),
                ("VMs", ", ".join(asked["vms"]) or "all recoverable VMs"),
                ("Network", report["network"]),
                ("Recovery time, measured", seconds(rto["measured_s"])),
                (
                    "Recovery time, objective (DR_RTO)",
                    seconds(rto["objective_s"]) if rto["objective_s"] else "none set",
                ),
                ("Recovery point, objective (DR_RPO)", seconds(report["rpo"]["objective_s"])),
                ("Checks of each VM", ", ".join(filter(None, checks))),
            ],
        ),
        E.p(_NOTE, {"class": "small"}),
    ]


def _vms(report: Mapping[str, Any]) -> list[Any]:
    rows = [(
        f"{vm['name']} ({vm['vm']} at {vm['site']})", "-" if vm["drill_vm"] is None else vm["drill_vm"],
        "; ".join(" ".join(filter(None, (nic["network"], nic["ip"], nic["mac"]))) for nic in vm["nics"]),
        moment(vm["recovery_point"]), seconds(vm["loss_before_s"]), seconds(vm["running_after_s"]),
        seconds(vm["passed_after_s"]), f"{vm['result']}{': ' + vm['why'] if vm['why'] else ''}",
    ) for vm in report["vms"]]
    head = (
        "VM",
        "drill's VM",
        "where",
        "recovery point used",
        "loss in a disaster",
        "ran after",
        "passed after",
        "result",
    )
    return [E.h2("Virtual machines"), table(head, rows)]


def _checks(report: Mapping[str, Any]) -> list[Any]:
    rows = [
        (
            vm["name"],
            found["check"],
            found["result"],
            moment(found["at"]),
            seconds(found["seconds"]),
            found["evidence"],
        )
        for vm in report["vms"]
        for found in vm["checks"]
    ]
    return [
        E.h2("Checks and their evidence"),
        table(("VM", "check", "result", "at", "took", "evidence"), rows),
    ]


def _replication(report: Mapping[str, Any]) -> list[Any]:
    after = (report["cleanup"] or {}).get("recovery_points", {})
    moments = ("before", "during", "after")
    rows = [
        (
            found["image"],
            moment(found["snapshot_at"]),
            *(moment(found["recovery_points"][key]) for key in moments),
            moment(after.get(found["image"])),
        )
        for found in report["images"]
    ]
    head = ("disk", "snapshot", "before", "VMs started", "after the checks", "after the cleanup")
    note = (
        "Production kept writing and was replicated: the recovery point of each copy advanced while the "
        "drill's VMs ran. After the checks, and in the cleanup, a mark was written to each disk at the peer "
        "and arrived here. Recovery points are by the peer's clock."
    )
    return [
        E.h2("Replication during the drill: recovery points"),
        E.p(note, {"class": "small"}),
        table(head, rows),
    ]


def _rest(report: Mapping[str, Any]) -> list[Any]:
    steps = [
        (step["kind"], step["items"], moment(step["at"]), seconds(step["seconds"]))
        for step in report["steps"]
    ]
    made: list[Any] = [E.h2("Steps"), table(("step", "items", "began", "longest took"), steps)]
    notes = [("failed", item, why) for item, why in report["failed"].items()]
    notes += [("note", item, note) for item, found in report["warnings"].items() for note in found]
    if notes:
        made += [E.h2("Notes"), table(("", "what", "why"), notes)]
    return [*made, E.h2("Versions"), table(None, list(report["versions"].items()))]


def _cleanup(report: Mapping[str, Any]) -> list[Any]:
    done = report["cleanup"]
    if done is None:
        return [E.h2("Cleanup"), E.p("Pending: the drill VMs are still running.")]
    left = [("left", item, why) for item, why in done["left"].items()]
    rows = [*(("removed", item, how) for item, how in done["removed"].items()), *left]
    note = f"At {moment(done['at'])}: " + (
        "some objects remain." if left else "nothing of the drill remains at either site."
    )
    return [E.h2("Cleanup"), E.p(note), table(("", "what", "how"), rows)]
