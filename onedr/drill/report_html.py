"""A drill's report as one printable HTML page with embedded style.

All text is escaped by lxml.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lxml import etree
from lxml.builder import E  # type: ignore[import-not-found]

from onedr.model.text import printable
from onedr.runs.run import utc_text

_STYLE = """
body { font: 11pt/1.45 Georgia, "Times New Roman", serif; color: #111;
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem; margin-bottom: .2rem }
h2 { font-size: 1.15rem; margin-top: 1.8rem; border-bottom: 1px solid #999 }
table { border-collapse: collapse; width: 100%; margin: .6rem 0; font-size: .9rem }
th, td { border: 1px solid #bbb; padding: .25rem .5rem; text-align: left;
  vertical-align: top; overflow-wrap: anywhere }
th { background: #eee }
.verdict { font-size: 1.3rem; font-weight: bold; border: 2px solid #111; padding: .4rem .8rem;
  display: inline-block }
.small { font-size: .85rem; color: #333 } code { font-size: .85rem; overflow-wrap: anywhere }
@media print { body { margin: 0; max-width: none } h2 { break-after: avoid } tr { break-inside: avoid } }
"""
_NOTE = (
    "The measured recovery time runs from the command to the moment at which the last VM passed its checks. "
    "It includes the drill's own snapshots and clones, which a failover does not need, but not the "
    "promotion of the copies, which a drill must not do. A guest counts as booted when it wrote to its "
    "clone; no agent in the guest is needed."
)


def page(report: Mapping[str, Any], digest: str, json_name: str) -> bytes:
    """The HTML page of a report whose JSON file has this name and SHA-256."""
    title = f"Disaster recovery drill of {_text(report['datastore'])}"
    root = E.html(
        {"lang": "en"},
        E.head(E.meta({"charset": "utf-8"}), E.title(title), E.style(_STYLE)),
        E.body(
            E.h1(title),
            E.p(E.span(f"Result: {report['result']}", {"class": "verdict"})),
            *([E.ul(*(E.li(_text(reason)) for reason in report["reasons"]))] if report["reasons"] else []),
            *_summary(report),
            *_vms(report),
            *_checks(report),
            *_replication(report),
            *_rest(report),
            *_cleanup(report),
            E.h2("Authenticity"),
            E.p(
                "This page was generated from ",
                E.code(_text(json_name)),
                ", SHA-256 ",
                E.code(digest),
                ".",
                {"class": "small"},
            ),
        ),
    )
    return bytes(
        etree.tostring(root, method="html", doctype="<!DOCTYPE html>", encoding="utf-8", pretty_print=True)
    )


def _summary(report: Mapping[str, Any]) -> list[Any]:
    rto, asked = report["rto"], report["asked"]
    command = " ".join(asked["command"])
    checks = ["the VM runs", "its guest boots", f"port {asked['port']}" if asked["port"] else "", command]
    return [
        E.h2("What was done"),
        _table(
            None,
            [
                ("Drill", report["drill"]),
                ("Site", f"{report['site']} (Ceph cluster {report['cluster']})"),
                ("Began", _moment(report["began"])),
                ("Ended", _moment(report["ended"])),
                ("Run by", f"{report['by']['user']} ({report['by']['process']})"),
                ("VMs", ", ".join(asked["vms"]) or "all recoverable VMs"),
                ("Network", report["network"]),
                ("Recovery time, measured", _seconds(rto["measured_s"])),
                (
                    "Recovery time, objective (DR_RTO)",
                    _seconds(rto["objective_s"]) if rto["objective_s"] else "none set",
                ),
                ("Recovery point, objective (DR_RPO)", _seconds(report["rpo"]["objective_s"])),
                ("Checks of each VM", ", ".join(filter(None, checks))),
            ],
        ),
        E.p(_NOTE, {"class": "small"}),
    ]


def _vms(report: Mapping[str, Any]) -> list[Any]:
    rows = [(
        f"{vm['name']} ({vm['vm']} at {vm['site']})", "-" if vm["drill_vm"] is None else vm["drill_vm"],
        "; ".join(" ".join(filter(None, (nic["network"], nic["ip"], nic["mac"]))) for nic in vm["nics"]),
        _moment(vm["recovery_point"]), _seconds(vm["loss_before_s"]), _seconds(vm["running_after_s"]),
        _seconds(vm["passed_after_s"]), f"{vm['result']}{': ' + vm['why'] if vm['why'] else ''}",
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
    return [E.h2("Virtual machines"), _table(head, rows)]


def _checks(report: Mapping[str, Any]) -> list[Any]:
    rows = [
        (
            vm["name"],
            found["check"],
            found["result"],
            _moment(found["at"]),
            _seconds(found["seconds"]),
            found["evidence"],
        )
        for vm in report["vms"]
        for found in vm["checks"]
    ]
    return [
        E.h2("Checks and their evidence"),
        _table(("VM", "check", "result", "at", "took", "evidence"), rows),
    ]


def _replication(report: Mapping[str, Any]) -> list[Any]:
    after = (report["cleanup"] or {}).get("recovery_points", {})
    moments = ("before", "during", "after")
    rows = [
        (
            found["image"],
            _moment(found["snapshot_at"]),
            *(_moment(found["recovery_points"][key]) for key in moments),
            _moment(after.get(found["image"])),
        )
        for found in report["images"]
    ]
    head = ("disk", "snapshot", "before", "VMs started", "after the checks", "after the cleanup")
    text = (
        "Production kept writing and was replicated: the recovery point of each copy advanced while the "
        "drill's VMs ran. After the checks, and in the cleanup, a mark was written to each disk at the peer "
        "and arrived here. Recovery points are by the peer's clock."
    )
    return [
        E.h2("Replication during the drill: recovery points"),
        E.p(text, {"class": "small"}),
        _table(head, rows),
    ]


def _rest(report: Mapping[str, Any]) -> list[Any]:
    steps = [
        (step["kind"], step["items"], _moment(step["at"]), _seconds(step["seconds"]))
        for step in report["steps"]
    ]
    made: list[Any] = [E.h2("Steps"), _table(("step", "items", "began", "longest took"), steps)]
    notes = [("failed", item, why) for item, why in report["failed"].items()]
    notes += [("note", item, text) for item, texts in report["warnings"].items() for text in texts]
    if notes:
        made += [E.h2("Notes"), _table(("", "what", "why"), notes)]
    return [*made, E.h2("Versions"), _table(None, list(report["versions"].items()))]


def _cleanup(report: Mapping[str, Any]) -> list[Any]:
    done = report["cleanup"]
    if done is None:
        return [E.h2("Cleanup"), E.p("Pending: the drill VMs are still running.")]
    left = [("left", item, why) for item, why in done["left"].items()]
    rows = [*(("removed", item, how) for item, how in done["removed"].items()), *left]
    text = f"At {_moment(done['at'])}: " + (
        "some objects remain." if left else "nothing of the drill remains at either site."
    )
    return [E.h2("Cleanup"), E.p(text), _table(("", "what", "how"), rows)]


def _table(head: Sequence[str] | None, rows: Sequence[Sequence[Any]]) -> Any:
    made = E.table()
    if head is not None:
        made.append(E.tr(*(E.th(_text(cell)) for cell in head)))
    for row in rows:
        cells = [E.td(_text(cell)) for cell in row]
        if head is None:
            cells[0] = E.th(_text(row[0]))
        made.append(E.tr(*cells))
    return made


def _text(value: object) -> str:
    """Text without the control characters that HTML cannot contain."""
    return printable(str(value))


def _moment(at: float | None) -> str:
    return "-" if at is None else utc_text(at)


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"
