"""The stand-in driven by clients that were made for oned: pyone, and the programs of PyPI's opennebula-cli."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyone
import pytest
from contract_site import Site, running_site, until
from opennebula_cli.cli.app import app
from typer.testing import CliRunner

BIN = Path(sys.executable).parent
RUNNING = (3, 3)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site without hooks: clients need none."""
    with running_site(tmp_path_factory.mktemp("clients")) as made:
        yield made


# pyone

def test_pyone_reads_every_pool(clean: Site) -> None:
    one = clean.one
    assert one.system.version() == "7.4.0"
    assert [host.NAME for host in one.hostpool.info().HOST] == ["rechost2", "rechost1", "dummyhost"]
    assert {found.NAME for found in one.datastorepool.info().DATASTORE} >= {"system", "default", "files", "imgrec"}
    assert [net.NAME for net in one.vnpool.info(-2, -1, -1).VNET] == ["net2", "net1"]
    assert one.clusterpool.info().CLUSTER[0].HOSTS.ID == [0, 1, 2]
    assert [found.NAME for found in one.userpool.info().USER] == ["oneadmin"]
    assert [found.NAME for found in one.grouppool.info().GROUP] == ["users", "oneadmin"]
    for pool in (one.imagepool.info(-2, -1, -1).IMAGE, one.vmpool.info(-2, -1, -1, -1).VM,
                 one.templatepool.info(-2, -1, -1).VMTEMPLATE, one.documentpool.info(-2, -1, -1, 4000).DOCUMENT[1:]):
        assert list(pool) == []
    assert one.acl.info().ACL
    assert one.zone.info(0).NAME == "OpenNebula"
    assert one.secgroup.info(0).NAME == "default"


def test_pyone_sees_a_vm_through_its_life(clean: Site) -> None:
    one = clean.one
    system = one.image.allocate({"NAME": "os", "TYPE": "OS", "PATH": "/etc/hostname"}, 102)
    data = one.image.allocate("NAME=data\nTYPE=DATABLOCK\nSIZE=8\nPERSISTENT=YES\n", 102)
    for image in (system, data):
        clean.wait_image(image)
    vm = one.vm.allocate("NAME=life\nCPU=0.1\nMEMORY=64\nNIC=[NETWORK=net1]\nCONTEXT=[NETWORK=YES]\n"
                         f"DISK=[IMAGE_ID={system}]\nDISK=[IMAGE_ID={data}]\n")
    clean.wait_vm(vm, *RUNNING)
    found = one.vm.info(vm)
    assert [disk["IMAGE"] for disk in found.TEMPLATE["DISK"]] == ["os", "data"]
    assert found.TEMPLATE["NIC"]["IP"] == "10.1.0.10"
    assert found.HISTORY_RECORDS.HISTORY[-1].HOSTNAME in ("dummyhost", "rechost1", "rechost2")
    one.vm.update(vm, {"TEMPLATE": {"DR_PROTECT": "YES"}}, 1)
    assert one.vm.info(vm).USER_TEMPLATE["DR_PROTECT"] == "YES"
    assert one.image.info(data).STATE == 8
    assert [vm] == one.image.info(data).VMS.ID
    one.vm.action("terminate-hard", vm)
    clean.wait_vm(vm, 6)
    assert one.image.info(data).STATE == 1
    assert one.vn.info(0).USED_LEASES == 0


def test_pyone_raises_what_oned_answers(clean: Site) -> None:
    with pytest.raises(pyone.OneNoExistsException, match=r"\[one.image.info\] Error getting image \[4711\]"):
        clean.one.image.info(4711)
    with pytest.raises(pyone.OneAuthenticationException):
        pyone.OneServer(clean.endpoint, session="oneadmin:wrong").system.version()
    with pytest.raises(pyone.OneInternalException, match="No DS_MAD in template"):
        clean.one.datastore.allocate("NAME=x\nTM_MAD=recorder\n", -1)


def test_ordinary_users_have_ordinary_rights(clean: Site) -> None:
    one = clean.one
    uid = one.user.allocate("bob", "secret", "core")
    bob = pyone.OneServer(clean.endpoint, session="bob:secret")
    assert bob.user.info(-1).GNAME == "users"
    with pytest.raises(pyone.OneAuthorizationException, match="Not authorized to perform CREATE DATASTORE"):
        bob.datastore.allocate("NAME=x\nDS_MAD=recorder\nTM_MAD=recorder\n", -1)
    with pytest.raises(pyone.OneAuthorizationException, match="restricted attribute SOURCE"):
        bob.image.allocate('NAME=x\nSOURCE="a/b"\nSIZE=1\nFORMAT=raw\n', 102, False)
    with pytest.raises(pyone.OneAuthorizationException, match="VM Template includes a restricted attribute"):
        bob.vm.allocate('NAME=x\nCPU=1\nMEMORY=1\nRAW=[DATA="x"]\n', False)
    assert bob.datastore.info(102).NAME == "imgrec"
    image = one.image.allocate("NAME=private\nTYPE=DATABLOCK\nSIZE=1\n", 102)
    clean.wait_image(image)
    with pytest.raises(pyone.OneAuthorizationException, match=f"Not authorized to perform USE IMAGE \\[{image}\\]"):
        bob.image.info(image)
    one.image.chmod(image, -1, -1, -1, -1, -1, -1, 1, -1, -1)
    assert bob.image.info(image).NAME == "private"
    with pytest.raises(pyone.OneAuthorizationException, match="Not authorized to perform MANAGE IMAGE"):
        bob.image.rename(image, "mine")
    one.image.chown(image, uid, -1)
    bob.image.rename(image, "mine")


# The command line. Starting one of its programs costs more than a second, so most commands are run in this process.

class Cli:
    """Commands of opennebula-cli, their answers as JSON."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.folder = folder
        self.environment = {"ONE_XMLRPC": site.endpoint, "NO_COLOR": "1", "HOME": str(folder),
                            "ONE_AUTH": str(site.var / ".one" / "one_auth")}

    def __call__(self, program: str, *words: str) -> Any:
        done = CliRunner().invoke(app, ["--output", "json", "--compact", program, *words], env=self.environment)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def file(self, text: str) -> str:
        """A template file."""
        path = self.folder / "template"
        path.write_text(text)
        return str(path)


@pytest.fixture
def cli(clean: Site, tmp_path: Path) -> Cli:
    """The command line, aimed at the site."""
    return Cli(clean, tmp_path)


def test_the_compatible_programs_start(clean: Site, cli: Cli) -> None:
    """`onevm` and the others are the same program under other names: run side by side."""
    environment = {**os.environ, **cli.environment}
    running = {name: subprocess.Popen([BIN / name, "list"], env=environment, stdout=subprocess.PIPE, text=True)
               for name in ("onevm", "onedatastore")}
    texts = {name: process.communicate(timeout=60)[0] for name, process in running.items()}
    assert all(process.returncode == 0 for process in running.values())
    assert "imgrec" in texts["onedatastore"]


def test_images_and_datastores_by_command(clean: Site, cli: Cli) -> None:
    made = cli("datastore", "create", cli.file('NAME=cli\nDS_MAD=recorder\nTM_MAD=recorder\nDISK_TYPE=RBD\n'
                                               'BRIDGE_LIST="x"\n'))["id"]
    cli("datastore", "update", str(made), cli.file('DR_PROTECT="YES"\n'), "--append")
    assert cli("datastore", "show", str(made))["template"]["DR_PROTECT"] == "YES"
    until("monitored", lambda: clean.xml("datastore", made).findtext("FREE_MB") == "10760")
    image = cli("image", "create", "-d", str(made), cli.file("NAME=c1\nTYPE=OS\nPATH=/etc/hostname\n"))["id"]
    clean.wait_image(image)
    cli("image", "persistent", str(image))
    copy = cli("image", "clone", str(image), "c2")["id"]
    clean.wait_image(copy)
    assert {found["name"] for found in cli("image", "list")} >= {"c1", "c2"}
    cli("image", "delete", str(copy))
    clean.wait_image(copy, "GONE")


def test_a_vm_by_command(clean: Site, cli: Cli) -> None:
    image = clean.wait_image(clean.must("one.image.allocate", "NAME=v1\nTYPE=DATABLOCK\nSIZE=8\n", 102, False))
    vm = cli("vm", "create", cli.file(f"NAME=byhand\nCPU=0.1\nMEMORY=64\nDISK=[IMAGE_ID={image}]\nNIC=[NETWORK_ID=0]\n"
                                      'SCHED_REQUIREMENTS="NAME=rechost1"\n'))["id"]
    clean.wait_vm(vm, *RUNNING)
    shown = cli("vm", "show", str(vm))
    assert (shown["state"], shown["lcm_state"]) == ("ACTIVE", "RUNNING")
    other = clean.wait_image(clean.must("one.image.allocate", "NAME=v2\nTYPE=DATABLOCK\nSIZE=8\n", 102, False))
    cli("vm", "disk-attach", str(vm), "--image-id", str(other))
    clean.wait_vm(vm, *RUNNING)
    cli("vm", "disk-detach", str(vm), "--disk-id", "1")
    clean.wait_vm(vm, *RUNNING)
    for action, state in (("poweroff", (8, 0)), ("resume", RUNNING), ("terminate", (6, 0))):
        cli("vm", action, str(vm))
        clean.wait_vm(vm, *state)


def test_hosts_and_networks_by_command(clean: Site, cli: Cli) -> None:
    host = cli("host", "create", "byhand", "-i", "dummy", "-v", "dummy")["id"]
    assert cli("host", "show", str(host))["state_id"] == 2
    cli("host", "disable", str(host))
    assert clean.xml("host", host).findtext("STATE") == "4"
    net = cli("vnet", "create", cli.file("NAME=n9\nVN_MAD=dummy\nBRIDGE=br9\nAR=[TYPE=IP4,IP=10.9.0.1,SIZE=3]\n"))["id"]
    clean.must("one.vn.hold", net, "LEASES=[IP=10.9.0.2]\n")
    assert clean.xml("vn", net).findtext("AR_POOL/AR/LEASES/LEASE/VM") == "-1"
    clean.must("one.vn.release", net, "LEASES=[IP=10.9.0.2]\n")
    assert cli("vnet", "show", str(net))["name"] == "n9"
