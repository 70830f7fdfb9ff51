"""Calls that oned has and the stand-in does not: they are refused by name instead of being unknown."""
from __future__ import annotations

from typing import Any

from sandbox.frontend.api.calls import CALLS
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.errors import ApiError, Code
from sandbox.frontend.objects.users import Caller

_REFUSED = {
    "acl": "addrule delrule",
    "cluster": "allocate delete update rename addhost delhost adddatastore deldatastore addvnet delvnet"
               " optimize",
    "document": "clone",
    "group": "delete update addadmin deladmin",
    "groupquota": "info update",
    "hooklog": "info",
    "host": "delete rename update",
    "hostpool": "monitoring",
    "image": "chtype restore",
    "template": "allocate instantiate info update delete clone rename chown chmod lock unlock",
    "user": "delete passwd chgrp addgroup delgroup enable chauth",
    "userquota": "info update",
    "vm": "deploy updatenic attachpci detachpci backup backupcancel restore"
          " schedupdate exec retryexec cancelexec"
          " vmgroupadd vmgroupdel snapshotrevert"
          " snapshotdelete monitoring",
    "vmgroup": "allocate info update delete",
    "vmpool": "infoset monitoring accounting showback calculateshowback",
    "vn": "add_ar rm_ar update_ar free_ar reserve recover",
    "zone": "allocate raftstatus",
}


def _refuse(frontend: Frontend, who: Caller, *_: Any) -> None:
    raise ApiError(Code.RPC_API, "This call is not supported by the stand-in front-end")


for _namespace, _verbs in _REFUSED.items():
    for _verb in _verbs.split():
        CALLS[f"one.{_namespace}.{_verb}"] = ("", _refuse)
