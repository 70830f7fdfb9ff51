"""What is timed: each action's call as oned makes it, and what the stock driver's script runs for it
(OpenNebula 7.4.0).
"""
from __future__ import annotations

import copy
from typing import Any

import driver_calls as calls
from driver_calls import DATASTORE_ID, SYSTEM_ID, datastore, encoded, image, stdin_of, text

from sandbox.layout import Site

START_UPS = {
    "python -IS": "pass",
    "and rados, rbd": "import rados, rbd",
    "and lxml": "import rados, rbd, lxml.etree",
    "and all of a TM action": "import onedr.driver.run, onedr.driver.tm",
    "and all of a datastore action": "import onedr.driver.run, onedr.driver.datastore",
    "hook that needs nothing": "import onedr.hook.entry",
    "datastore hook, nothing changed": "import onedr.hook.entry, onedr.driver.run, onedr.hook.datastore",
    "VM hook, no protected disk": "import onedr.hook.entry, onedr.driver.run, onedr.hook.vm",
    "VM hook that writes": "import onedr.hook.entry, onedr.driver.run, onedr.hook.vm, onedr.hook.vm_record",
    "image hook that writes":
        "import onedr.hook.entry, onedr.driver.run, onedr.hook.image, onedr.hook.image_record",
}
"""Python code by name, run with the first lines of an installed executable."""
RUNNING_ON = {"HISTORY": {"SEQ": 0, "HOSTNAME": "localhost"}}


def cases(site: Site, api: calls.FrontEnd) -> list[dict[str, Any]]:
    """Cases for the worker.

    `before` and `after` are rbd calls, not timed; `X` in names becomes the image's number.
    """
    folder = f"localhost:{site.folder}/datastores/{SYSTEM_ID}"
    disk_7, disk_8 = f"{folder}/7/disk.0", f"{folder}/8/disk.0"
    plain, protected = datastore(site), datastore(site, DR_PROTECT="YES")
    for number, attributes in ((0, plain), (1, protected)):
        api.datastores[DATASTORE_ID + 10 * number] = {
            **copy.deepcopy(attributes),
            "ID": DATASTORE_ID + 10 * number,
        }
    api.datastores[SYSTEM_ID] = {**plain, "ID": SYSTEM_ID, "NAME": "system"}
    usual = {
        "CEPH_USER": "oneadmin",
        "CEPH_CONF": str(site.ceph_conf),
        "POOL_NAME": "one",
        "TYPE": "RBD",
        "DISK_ID": "0",
        "SIZE": "8",
        "ORIGINAL_SIZE": "8",
    }
    disks = {7: {"SOURCE": "one/one-900", "CLONE": "YES"}, 8: {"SOURCE": "one/one-901", "CLONE": "NO"}}
    for vm_id, disk in disks.items():
        api.vms[vm_id] = {
            "ID": vm_id,
            "NAME": f"vm {vm_id}",
            "LCM_STATE": 0,
            "TEMPLATE": {"DISK": {**usual, **disk}},
            "USER_TEMPLATE": {},
            "HISTORY_RECORDS": RUNNING_ON,
        }
    made = {"before": [["base", "one-900"]], "after": [["remove", "one-900-7-0"], ["remove", "one-900"]]}
    cloned = {**made, "before": [["base", "one-900"], ["clone", "one-900", "one-900-7-0"]]}
    alone = {"before": [["create", "one-901"]], "after": [["remove", "one-901"]]}

    snapped = {**made, "before": [*cloned["before"], ["snapshot", "one-900-7-0"]]}
    copied = {**cloned, "after": [["remove", "one-905"], *made["after"]]}

    def case(
        name: str, kind: str, argv: list[object], stock: list[str], around: dict[str, Any],
        data: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """`DS` in argv becomes the datastore's id; `data`: the image that goes to standard input. The action
        is the name's first word.
        """
        stores = [
            {**store, "ID": DATASTORE_ID + 10 * number} for number, store in enumerate((plain, protected))
        ]
        stdin = [stdin_of(data, store) for store in stores]
        return {
            "name": name,
            "action": name.split()[0],
            "kind": kind,
            "argv": list(map(str, argv)),
            "stock": stock,
            **around,
            "stdin": [one.decode() for one in stdin] if data is not None else ["", ""],
            "ids": [DATASTORE_ID, DATASTORE_ID + 10],
        }

    monitored = encoded(text("DS_DRIVER_ACTION_DATA", {"DATASTORE": {**plain, "ID": DATASTORE_ID}})).decode()
    nothing: dict[str, Any] = {"before": [], "after": []}
    return [
        case(
            "ln",
            "tm",
            ["front:one/one-901", disk_8, 8, "DS"],
            ["rbd info one/one-901", "rbd info one/one-901@snap"],
            alone,
        ),
        case(
            "clone",
            "tm",
            ["front:one/one-900", disk_7, 7, "DS"],
            [
                "rbd info one/one-900-7-0",
                "rbd info one/one-900",
                "rbd info one/one-900@snap",
                "rbd info one/one-900",
                "rbd clone one/one-900@snap one/one-900-7-0",
            ],
            made,
        ),
        case(
            "delete",
            "tm",
            [disk_7, 7, "DS"],
            [
                "rbd info one/one-900-7-0",
                "rbd info one/one-900-7-0",
                "rbd snap ls one/one-900-7-0",
                "rbd rm one/one-900-7-0",
                "rbd info one/one-900",
                "rbd info one/one-900@snap",
                "rbd snap unprotect one/one-900@snap",
                "rbd snap rm one/one-900@snap",
            ],
            cloned,
        ),
        case(
            "snap_create",
            "tm",
            [disk_7, 1, 7, "DS"],
            [
                "rbd info one/one-900-7-0",
                "rbd snap create one/one-900-7-0@1",
                "rbd snap protect one/one-900-7-0@1",
            ],
            cloned,
        ),
        case(
            "snap_delete",
            "tm",
            [disk_7, 1, 7, "DS"],
            [
                "rbd info one/one-900-7-0",
                "rbd snap ls one/one-900-7-0",
                "rbd snap unprotect one/one-900-7-0@1",
                "rbd snap rm one/one-900-7-0@1",
            ],
            snapped,
        ),
        case(
            "cpds (8 MiB)",
            "tm",
            [disk_7, "one/one-905", -1, 7, "DS"],
            ["rbd copy one/one-900-7-0 one/one-905"],
            copied,
        ),
        case("resize", "tm", [disk_7, 16, 7, "DS"], ["rbd resize --size 16 one/one-900-7-0"], cloned),
        {
            **case("monitor", "datastore", [DATASTORE_ID], ["ceph df detail --format xml"], nothing),
            "stdin": [monitored, monitored],
        },
        case(
            "mkfs",
            "datastore",
            [902],
            ["rbd create --image-format 2 one/one-902 --size 16"],
            {
                "before": [],
                "after": [["remove", "one-902"]],
            },
            data=image(902, size=16),
        ),
        case(
            "rm",
            "datastore",
            [901],
            [
                "rbd info one/one-901",
                "rbd info one/one-901",
                "rbd snap ls one/one-901",
                "rbd rm one/one-901",
            ],
            alone,
            data=image(901, SOURCE="one/one-901"),
        ),
        case(
            "clone (of an image, 8 MiB)",
            "datastore",
            [905],
            ["rbd copy one/one-901 one/one-905"],
            {**alone, "after": [["remove", "one-905"], ["remove", "one-901"]]},
            data=image(905, path="one/one-901", size=8),
        ),
    ]
