"""one.vmpool.info and one.vmpool.infoextended."""
from __future__ import annotations

from sandbox.frontend.api import shared_calls
from sandbox.frontend.api.calls import api
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.errors import internal
from sandbox.frontend.objects.states import VM_STATES
from sandbox.frontend.objects.users import Caller
from sandbox.frontend.objects.vms import VM

ANY_STATE, NOT_DONE = -2, -1


def _vms(
    frontend: Frontend, who: Caller, which: int, start: int, end: int, state: int, query: str
) -> list[VM]:
    if query:
        raise internal("JSON query search is not supported by the SQL backend")
    done = VM_STATES["DONE"]
    vms = [obj for obj in shared_calls.listing(frontend, who, VM, which, start, end) if isinstance(obj, VM)]
    if state == ANY_STATE:
        return vms
    return [vm for vm in vms if (vm.state != done if state == NOT_DONE else vm.state == state)]


@api("one.vmpool.info", "iiii?s")
def pool_info(
    frontend: Frontend, who: Caller, which: int, start: int, end: int, state: int, query: str = ""
) -> str:
    """Short records."""
    found = _vms(frontend, who, which, start, end, state, query)
    return f"<VM_POOL>{''.join(vm.pool_xml() for vm in found)}</VM_POOL>"


@api("one.vmpool.infoextended", "iiii?s")
def pool_infoextended(
    frontend: Frontend, who: Caller, which: int, start: int, end: int, state: int, query: str = ""
) -> str:
    """Full records."""
    found = _vms(frontend, who, which, start, end, state, query)
    return f"<VM_POOL>{''.join(vm.to_xml() for vm in found)}</VM_POOL>"
