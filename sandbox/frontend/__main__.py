"""`python -m sandbox.frontend --location ONE_LOCATION --listen IP:PORT` runs a front-end until SIGTERM."""
from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from sandbox.frontend.api import (  # noqa: F401  (imported for the calls they register)
    datastores,
    documents,
    hooks,
    hosts,
    images,
    refused,
    security_groups,
    system,
    users,
    vm_actions,
    vm_disks,
    vm_migrate,
    vm_nics,
    vm_pools,
    vm_recover,
    vm_schedule,
    vm_snapshots,
    vms,
    vnets,
)
from sandbox.frontend.api.server import Server
from sandbox.frontend.bootstrap import KINDS, bootstrap
from sandbox.frontend.drivers import monitoring
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.vm import (  # noqa: F401  (imported for the stages they register)
    disk_snapshots,
    guests,
    hotplug_disks,
    hotplug_nics,
    saveas,
    scheduler,
    stages,
    system_snapshots,
)


def main() -> None:
    """Run a front-end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--location", type=Path, required=True, help="a tree made by sandbox.frontend.tree")
    parser.add_argument("--listen", required=True, help="IP:PORT")
    options = parser.parse_args()
    location = options.location.resolve()
    logging.basicConfig(filename=location / "var" / "oned.log", level=logging.DEBUG,
                        format="%(asctime)s [Z0][%(name)s][%(levelname).1s]: %(message)s")
    os.chdir(location / "var")
    frontend = Frontend(location, options.listen, KINDS)
    bootstrap(frontend)
    host, _, port = options.listen.rpartition(":")
    server = Server((host, int(port)), frontend)
    frontend.hooks.start()
    ended = threading.Event()
    for loop in (scheduler.run, monitoring.run, guests.run):
        threading.Thread(target=loop, args=(frontend, ended), daemon=True, name=loop.__module__).start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    logging.getLogger("ONE").info("listening on %s", options.listen)
    try:
        server.serve_forever(poll_interval=0.2)
    finally:
        ended.set()
        with frontend.lock:
            frontend.store.close()
            logging.shutdown()
            # Threads still wait for drivers: end them with the lock held, so that none sees a closed store.
            os._exit(0)


if __name__ == "__main__":
    main()
