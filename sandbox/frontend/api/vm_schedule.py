"""Scheduled actions of VMs: kept and shown, never carried out."""
from __future__ import annotations

from sandbox.frontend.api.calls import api
from sandbox.frontend.api.shared_calls import read_template
from sandbox.frontend.api.vm_requests import target
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.errors import ApiError, Code, action
from sandbox.frontend.objects.users import Caller


@api("one.vm.schedadd", "is")
def schedadd(frontend: Frontend, who: Caller, oid: int, text: str) -> int:
    """One more scheduled action; its id."""
    vm = target(frontend, who, oid)
    given = read_template(text).vectors("SCHED_ACTION")
    if not given:
        raise action("No SCHED_ACTION attribute in template")
    number = max((int(one["ID"]) for one in vm.template.vectors("SCHED_ACTION")), default=-1) + 1
    made = {"ID": str(number), "PARENT_ID": str(oid), "TYPE": "VM", "DONE": "-1", "MESSAGE": ""}
    vm.template.add("SCHED_ACTION", {**given[0], **made})
    frontend.save(vm)
    return number


@api("one.vm.scheddelete", "ii")
def scheddelete(frontend: Frontend, who: Caller, oid: int, number: int) -> int:
    """Take a scheduled action off."""
    vm = target(frontend, who, oid)
    left = [one for one in vm.template.vectors("SCHED_ACTION") if one["ID"] != str(number)]
    if len(left) == len(vm.template.vectors("SCHED_ACTION")):
        raise ApiError(Code.NO_EXISTS, f"Scheduled action {number} does not exist")
    if left:
        vm.template["SCHED_ACTION"] = [*left]
    else:
        vm.template.pop("SCHED_ACTION", None)
    frontend.save(vm)
    return oid
