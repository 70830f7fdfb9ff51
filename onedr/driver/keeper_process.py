"""The keeper's process: `python -m onedr.driver.keeper_process ID`."""
from __future__ import annotations

import os
import sys
import time

import rados
import rbd

from onedr.ceph import connection
from onedr.driver import bridge_dispatch
from onedr.driver.bridge_dispatch import HandedOver
from onedr.host import log
from onedr.model.errors import OneDRError
from onedr.model.types import DRIVER
from onedr.opennebula import datastores
from onedr.opennebula.api import FrontEnd, attributes
from onedr.protection import keeper_lock
from onedr.protection.keeper import LIFE_S, MOST_LIFE_S, Keeper
from onedr.rejoin import boot_guard


def keep(words: list[str]) -> str:
    """Run the keeper of this datastore for LIFE_S, here or on a bridge host."""
    datastore_id = int(words[0])
    frontend = FrontEnd(limit_s=15)
    element = frontend.datastore(datastore_id)
    log.bind(verb="keeper", datastore=str(element.findtext("NAME")))
    if element.findtext("DS_MAD") != DRIVER:
        return ""  # woken before the datastore was disabled: nothing of OneDR may be written to it any more
    bridge_dispatch.unless_here(attributes(element))
    with connection.connect(datastores.from_element(element).access, operation_limit_s=15) as pool:
        Keeper(pool, datastore_id, frontend).keep(LIFE_S)
    return ""


def main(datastore_id: int) -> None:
    """Keep a datastore unless another keeper does.

    Ends with a line in the log when the front-end or Ceph is gone.
    """
    log.catch_all()
    log.bind(verb="keeper", datastore=str(datastore_id))
    begun, again = time.monotonic(), True
    while again:
        with keeper_lock.keeper_slot(datastore_id) as first:
            if not first:
                return
            for noted in (keeper_lock.has_news, keeper_lock.is_reminded):
                noted(datastore_id)  # changes until now are handled by this run
            again = _turn(datastore_id)
        # a process that came while it ended found the lock held
        again = again and (
            keeper_lock.has_news(datastore_id, peek=True) or keeper_lock.is_reminded(datastore_id, peek=True)
        )
        if again and time.monotonic() > begun + MOST_LIFE_S:
            keeper_lock.wake_keeper(datastore_id, changed=False)  # of the release that is installed by now
            again = False
    os._exit(0)  # a call that Ceph never answered may have left a thread


def _turn(datastore_id: int) -> bool:
    """Run the keeper, here or on a bridge host.

    False when front-end or Ceph is gone: then the next monitor action starts a keeper again.
    """
    bridge_dispatch.begin("onedr.driver.keeper_process:keep", [str(datastore_id)])
    try:
        boot_guard.remember(FrontEnd(limit_s=15))
        keep([str(datastore_id)])
    except HandedOver:
        pass
    except (OneDRError, rados.Error, rbd.Error) as error:
        log.warning(f"the keeper ends: {error}")
        return False
    return True


if __name__ == "__main__":
    main(int(sys.argv[1]))
