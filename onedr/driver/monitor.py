"""Action `monitor` of both drivers: the usage of the pool.

oned calls it most often, so it loads the least (docs/bench.md).
"""
from __future__ import annotations

from onedr.ceph import connection
from onedr.ceph.connection import Pool
from onedr.driver import bridge_dispatch, decode
from onedr.host import log
from onedr.model.errors import InputError, StorageError
from onedr.model.types import MIB
from onedr.protection import keeper_lock, pool_settings


def monitor(arguments: list[str]) -> str:
    """USED_MB, TOTAL_MB, FREE_MB of the pool, as the stock driver counts them.

    It also wakes the keeper, which looks at its own pace.
    """
    decode.words(arguments, "DATASTORE_ID")
    data = decode.action_data(bridge_dispatch.read_stdin())
    bridge_dispatch.unless_here(data.attributes)
    with connection.connect(data.access) as pool:
        answer = usage(pool)
        if data.root.findtext("MONITOR_VM_DISKS") == "1":
            from onedr.driver import vm_sizes

            vm_sizes.report_sizes(pool)
        try:  # attributes may have been lost: then the keeper puts them back
            protected = data.settings.protect or pool_settings.is_protected(pool, data.datastore_id)
        except (InputError, StorageError) as error:  # must not make the datastore look full
            log.warn_oned(str(error))
            return answer
    if protected:
        keeper_lock.wake_keeper(data.datastore_id, changed=False)
    return answer


def usage(pool: Pool) -> str:
    """The monitor answer for a pool; what a quota leaves counts as free space when it is the smaller.

    Stock counts the whole quota as free, however much of it is used.
    """
    pools = pool.mon(prefix="df", detail="detail")["pools"]
    found = next((entry["stats"] for entry in pools if entry["name"] == pool.access.pool), None)
    if found is None:
        raise InputError(f"Ceph's df does not list pool {pool.access.pool!r}.")
    used = int(found.get("stored") or found["bytes_used"])
    free = int(found["max_avail"])
    if found.get("quota_bytes"):
        free = min(free, max(0, int(found["quota_bytes"]) - used))
    return f"USED_MB={used // MIB}\nTOTAL_MB={(used + free) // MIB}\nFREE_MB={free // MIB}"
