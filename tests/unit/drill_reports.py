"""A drill's report in which users wrote what they could."""
from __future__ import annotations

from typing import Any

from samples import HERE

DRILL_REPORT: dict[str, Any] = {
    "drill": "onedr-drill-fsidhere-100-1763840000000",
    "datastore": "<script>alert(1)</script>",
    "site": "b & c",
    "cluster": HERE,
    "began": 0.0,
    "ended": 9.0,
    "by": {"user": "\u0000oneadmin", "process": "host:1:2"},
    "result": "FAILED",
    "reasons": ['VM "x": <b>'],
    "network": "drills",
    "asked": {"vms": [], "port": 22, "command": ["a", "<i>"]},
    "rto": {"measured_s": None, "objective_s": None},
    "rpo": {"objective_s": 900},
    "failed": {"VM x": "</table>"},
    "warnings": {},
    "steps": [],
    "versions": {"ceph": "16"},
    "cleanup": None,
    "vms": [
        {
            "name": "<img src=x>",
            "vm": 1,
            "site": "a",
            "drill_vm": None,
            "nics": [],
            "recovery_point": None,
            "loss_before_s": None,
            "running_after_s": None,
            "passed_after_s": None,
            "result": "failed",
            "why": "&",
            "checks": [
                {"check": "runs", "result": "failed", "at": 1.0, "seconds": 1.0, "evidence": "\x1b[31m</td>"}
            ],
        }
    ],
    "images": [
        {
            "image": "one-1",
            "snapshot_at": None,
            "recovery_points": {"before": None, "during": None, "after": None},
        }
    ],
}
