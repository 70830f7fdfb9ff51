"""A front-end driven as its users do: commands (`onedr`, `one*`) for what people do, pyone to furnish it and
to look.

Knows only an endpoint, credentials and a Ceph configuration, so that it can drive a real OpenNebula too.
"""
from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyone

from sandbox.layout import Site
from sandbox.network import inside
from sandbox.waiting import SandboxError, until

NETWORK = "lan"
DATASTORE = "ceph-dr"
# Ruby's client says `ID: 7`, PyPI's answers JSON with `"id": 7`, in colours.
_ID = re.compile(r'(?:ID|"id"): (\d+)')
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_LIMIT_S = 180
_DEFAULT_CLUSTER = -1


@dataclass(frozen=True)
class Cloud:
    """One site's front-end. `prefix` runs a command where the site is (its network namespace)."""

    name: str
    index: int
    endpoint: str
    one_auth: Path
    one_location: Path
    ceph_conf: Path
    ceph_user: str = "oneadmin"
    prefix: tuple[str, ...] = ()
    vm_mad: str = "sandbox"
    im_mad: str = "dummy"
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def api(self) -> Any:
        """A pyone session of oneadmin."""
        return pyone.OneServer(self.endpoint, session=self.one_auth.read_text().strip())

    @cached_property
    def datastore_id(self) -> int:
        """Id of the protected image datastore (PyPI's client takes ids only)."""
        datastores = self.api.datastorepool.info().DATASTORE
        return int(next(found.ID for found in datastores if found.NAME == DATASTORE))

    def run(
        self, *argv: str, check: bool = True, limit_s: float = _LIMIT_S
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of the site (onevm, onedr ...); with `check` a failure raises SandboxError."""
        env = {**os.environ, **self.process_environment()}
        done = subprocess.run([*self.prefix, *argv], env=env, capture_output=True, text=True, timeout=limit_s)
        if check and done.returncode:
            text = done.stderr or done.stdout
            raise SandboxError(f"{self.name}: {' '.join(argv)} failed ({done.returncode}): {text}")
        return done

    def process_environment(self) -> dict[str, str]:
        """What a user's shell at this site has set."""
        tools = f"{self.one_location / 'bin'}:{Path(sys.executable).parent}"
        return {
            **self.environment, "ONE_LOCATION": str(self.one_location), "ONE_XMLRPC": self.endpoint,
            "ONE_AUTH": str(self.one_auth), "PATH": f"{tools}:{os.environ['PATH']}", "COLUMNS": "200",
        }

    def ceph_attributes(self) -> str:
        """The attributes by which a datastore of this site reaches its pool."""
        return (
            f'DISK_TYPE=RBD\nPOOL_NAME=one\nCEPH_USER={self.ceph_user}\nCEPH_CONF="{self.ceph_conf}"\n'
            f'CEPH_HOST="{self.name}"\nCEPH_SECRET="00000000-0000-0000-0000-000000000000"\n'
        )

    def create(self, command: str, template: str, *options: str) -> int:
        """`one<object> create` from a template text; the new id."""
        with tempfile.NamedTemporaryFile("w", suffix=".tmpl") as file:
            file.write(template)
            file.flush()
            return new_id(self.run(command, "create", file.name, *options).stdout)

    def onedr(self, *argv: str, check: bool = True) -> dict[str, Any]:
        """`onedr … --json`: its last event. A status that tells of problems (6) is no failure, and no dry run
        is whose plan is refused (2).
        """
        fine = {0, 6} if argv[0] == "status" else {0, 2} if "--dry-run" in argv else {0}
        done = self.run("onedr", *argv, "--json", check=False)
        if check and done.returncode not in fine:
            raise SandboxError(f"{self.name}: onedr {' '.join(argv)}: {done.stdout or done.stderr}")
        text = done.stdout.strip()
        return dict(json.loads(text if text.startswith("{\n") else text.splitlines()[-1]))

    def furnish(self, datastore_attributes: str = "") -> int:
        """An empty front-end gets a host, a network and protected datastores.

        Returns the image datastore's id.
        """
        api = self.api
        api.host.allocate("localhost", self.im_mad, self.vm_mad, _DEFAULT_CLUSTER)
        ceph = f"TM_MAD=ceph_dr\n{self.ceph_attributes()}"
        api.datastore.allocate(f"NAME=ceph-dr-system\nTYPE=SYSTEM_DS\n{ceph}", _DEFAULT_CLUSTER)
        image_datastore = int(
            api.datastore.allocate(
                f'NAME={DATASTORE}\nTYPE=IMAGE_DS\nDS_MAD=ceph_dr\n{ceph}'
                'SAFE_DIRS="/var/tmp /tmp"\nDR_PROTECT=YES\n'
                f"DR_SITE={self.name}\nDR_SITE_INDEX={self.index}\nDR_REHEARSE=NO\n{datastore_attributes}",
                _DEFAULT_CLUSTER,
            )
        )
        api.vn.allocate(
            f'NAME={NETWORK}\nVN_MAD=dummy\nBRIDGE=br0\nAR=[TYPE=IP4,IP="192.0.2.10",SIZE=50]\n',
            _DEFAULT_CLUSTER,
        )
        until(f"capacity of {self.name}", lambda: self._has_capacity(image_datastore), 90)
        return image_datastore

    def _has_capacity(self, datastore_id: int) -> bool:
        hosts = self.api.hostpool.info().HOST
        return int(self.api.datastore.info(datastore_id).FREE_MB) > 0 and int(hosts[0].STATE) == 2

    def wait_image(self, image_id: int, state: str = "READY", limit_s: float = 120) -> Any:
        """Wait for an image's state; its ERROR ends the wait at once."""
        wanted = int(pyone.IMAGE_STATES[state])

        def reached() -> bool:
            image = self.api.image.info(image_id)
            if image.STATE == pyone.IMAGE_STATES.ERROR and wanted != image.STATE:
                raise SandboxError(f"image {image_id} is in ERROR: {image.TEMPLATE.get('ERROR')}")
            return bool(wanted == image.STATE)

        until(f"image {image_id} {state}", reached, limit_s)
        return self.api.image.info(image_id)

    def wait_vm(self, vm_id: int, state: str = "ACTIVE", lcm: str | None = None, limit_s: float = 180) -> Any:
        """Wait for a VM's state (ACTIVE means RUNNING unless `lcm` says otherwise)."""
        detail = lcm or ("RUNNING" if state == "ACTIVE" else "LCM_INIT")
        wanted = (int(pyone.VM_STATE[state]), int(pyone.LCM_STATE[detail]))

        def reached() -> bool:
            vm = self.api.vm.info(vm_id)
            now = pyone.LCM_STATE(vm.LCM_STATE).name
            if "FAILURE" in now:
                raise SandboxError(f"VM {vm_id} is in {now}: {vm.USER_TEMPLATE.get('ERROR')}")
            return wanted == (vm.STATE, vm.LCM_STATE)

        until(f"VM {vm_id} {state}", reached, limit_s)
        return self.api.vm.info(vm_id)

    def wait_datastore(
        self, datastore_id: int, reached: Callable[[Mapping[str, Any]], bool], limit_s: float = 180
    ) -> Any:
        """Wait until a datastore's attributes are as wanted; returns them."""
        last: dict[str, Any] = {}

        def look() -> bool:
            last.clear()
            last.update(self.api.datastore.info(datastore_id).TEMPLATE)
            return reached(last)

        try:
            until(f"datastore {datastore_id} of {self.name}", look, limit_s)
        except SandboxError as error:
            seen = {key: value for key, value in last.items() if key.startswith("DR_")}
            raise SandboxError(f"{error}; its attributes are {seen}") from error
        return dict(last)


def of_site(site: Site) -> Cloud:
    """The stand-in front-end of a site of a bed."""
    return Cloud(
        site.name, site.index, site.endpoint, site.one_auth, site.one_location, site.ceph_conf,
        prefix=tuple(inside(site, [])), environment=site.environment(),
    )


def new_id(text: str) -> int:
    """The id in the output of a `create` command."""
    match = _ID.search(_COLOUR.sub("", text))
    if not match:
        raise SandboxError(f"no id in the answer {text!r}")
    return int(match[1])


def wall_ms() -> int:
    """Now, in milliseconds since the epoch."""
    return int(time.time() * 1000)
