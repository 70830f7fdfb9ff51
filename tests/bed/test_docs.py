"""Every `sh` block of the README and the pages is run, in order, as its first line says where: at both sites, at site A …"""
from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_setup import start_mirror

from sandbox.bed import Bed
from sandbox.cloud import Cloud, of_site
from sandbox.layout import REPO
from sandbox.temporary import temporary
from sandbox.waiting import until

_BLOCK = re.compile(r"^```sh\n(# at ([^\n]+)\n.*?)^```$", re.MULTILINE | re.DOTALL)
_ANY_BLOCK = re.compile(r"^```(?!sh\n# at |mermaid$|$)", re.MULTILINE)  # a drawing runs nothing
_PAGES = [REPO / "README.md", *sorted((REPO / "docs").glob("*.md"))]
_SETUP = REPO / "docs" / "setup.md"
_MOVING = REPO / "docs" / "enable.md"
_DRILL = REPO / "docs" / "drill.md"
_LIMIT_S = 240


def blocks(page: Path) -> list[tuple[str, str]]:
    """(where, commands) of each block of a page."""
    return [(where, text) for text, where in _BLOCK.findall(page.read_text())]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree, as a reader has it after cloning."""
    folder = tmp_path_factory.mktemp("doc") / "onedr"
    ignored = shutil.ignore_patterns(".venv", ".git", ".sandbox", "*_cache", "__pycache__", ".hypothesis", "*.egg-info")
    shutil.copytree(REPO, folder, ignore=ignored)
    return folder


@pytest.fixture(scope="module")
def clouds(checkout: Path) -> Iterator[tuple[Bed, Cloud, Cloud]]:
    """Two sites whose clusters were empty, set up as docs/setup.md says; the file is carried by lying in the reader's folder."""
    with temporary(frontends=True, bare=True) as bed:
        a, b = (of_site(site) for site in bed.sites.values())
        for where, text in blocks(_SETUP):
            run(a if where == "site A" else b, text, checkout)
            if "--join" in text:
                for cloud in (a, b):
                    start_mirror(bed, cloud)
        for cloud in (a, b):
            cloud.run("onehost", "create", "localhost", "-i", cloud.im_mad, "-v", cloud.vm_mad)
            cloud.create("onedatastore", f"NAME=sys\nTYPE=SYSTEM_DS\nTM_MAD=ceph_dr\n{cloud.ceph_attributes()}")
        yield bed, a, b


def run(cloud: Cloud, text: str, folder: Path) -> None:
    """Run a block in bash as a person would, outside the site's network namespace (pip needs the way out)."""
    env = {**os.environ, **cloud.process_environment()}
    text = text.replace("--ceph-user libvirt", f"--ceph-user {cloud.ceph_user}")
    # there is no terminal at which the person would answer
    text = re.sub(r"^onedr (setup|teardown) ", r"onedr \1 --yes ", text, flags=re.MULTILINE)
    done = subprocess.run(["bash", "-euc", text], cwd=folder, env=env, capture_output=True, text=True, timeout=_LIMIT_S)
    assert done.returncode == 0, f"{cloud.name}:\n{text}\n{done.stdout}\n{done.stderr}"


def test_a_stock_datastore_moves_in_and_out_as_its_page_says(clouds: tuple[Bed, Cloud, Cloud], checkout: Path) -> None:
    """Before the README's story, which ends with site A dead."""
    _, a, _ = clouds
    drivers = "DS_MAD=ceph\nTM_MAD=ceph\nBRIDGE_LIST=localhost\n"
    stock = a.create("onedatastore", f"NAME=production\nTYPE=IMAGE_DS\n{drivers}{a.ceph_attributes()}")
    until("space", lambda: int(a.api.datastore.info(stock).FREE_MB) > 0, 60, 0.2)
    image = a.create("oneimage", "NAME=there\nTYPE=DATABLOCK\nSIZE=32\n", "-d", str(stock))
    a.wait_image(image)
    before = dict(a.api.datastore.info(stock).TEMPLATE)
    for _, text in blocks(_MOVING):
        run(a, text, checkout)
    assert dict(a.api.datastore.info(stock).TEMPLATE) == before
    a.run("oneimage", "delete", str(image))


def test_the_readme_leads_to_the_first_failover(clouds: tuple[Bed, Cloud, Cloud], checkout: Path) -> None:
    bed, a, b = clouds
    dead = False
    for where, text in blocks(REPO / "README.md"):
        if "dead" in where and not dead:
            protect_something(a, b)
            for _, drill in blocks(_DRILL):
                run(b, drill, checkout)
            bed.kill("site-a")
            dead = True
        for cloud in {"both sites": (a, b), "site A": (a,)}.get(where, (b,)):
            for name, template in templates_of(cloud).items():
                (checkout / name).write_text(template)
            run(cloud, text, checkout)
    assert dead
    assert [vm.NAME for vm in b.api.vmpool.infoextended(-2, -1, -1, -1).VM] == ["first"]


def templates_of(cloud: Cloud) -> dict[str, str]:
    """The templates that docs/attributes.md shows, by file name, with this bed's values and the README's datastore."""
    shown = (REPO / "docs" / "attributes.md").read_text()
    own = {"CEPH_USER": cloud.ceph_user, "DR_SITE": cloud.name, "DR_SITE_INDEX": cloud.index, "CEPH_SECRET": "none"}
    found = {}
    for text in re.findall(r"(?:^    [A-Z_]+ = .*\n)+", shown, re.MULTILINE):
        values = dict(line.strip().split(" = ") for line in text.splitlines())
        file = f"{values['NAME']}.conf"
        values.update({key: str(value) for key, value in own.items() if key in values}, CEPH_CONF=str(cloud.ceph_conf))
        if values["TYPE"] == "IMAGE_DS":
            values["NAME"] = "protected"
        found[file] = "".join(f"{key} = {quoted(value)}\n" for key, value in values.items())
    return found


def quoted(value: str) -> str:
    """As a template takes it."""
    return value if '"' in value else f'"{value}"'


def protect_something(a: Cloud, b: Cloud) -> None:
    """A VM with a disk in the protected datastore, whose copy and record have arrived at site B."""
    datastore = next(found.ID for found in a.api.datastorepool.info().DATASTORE if found.NAME == "protected")
    image = a.create("oneimage", "NAME=disk\nTYPE=DATABLOCK\nSIZE=32\nPERSISTENT=YES\n", "-d", str(datastore))
    a.wait_image(image)
    vm = a.create("onevm", f"NAME=first\nCPU=0.1\nMEMORY=128\nDISK=[IMAGE_ID={image}]\n")
    a.wait_vm(vm)

    def arrived() -> bool:
        seen = b.onedr("status", "protected")
        return any(found["name"] == "first" and not found["obstacles"] for found in seen["vms"])

    until("the VM's record and copy at site B", arrived, 90)


def test_the_other_pages_commands_run(clouds: tuple[Bed, Cloud, Cloud], checkout: Path) -> None:
    _, a, b = clouds
    for page in [page for page in _PAGES[1:] if page not in (_SETUP, _MOVING, _DRILL)]:
        for where, text in blocks(page):
            run(a if where == "site A" else b, text, checkout)
    assert (a.one_location / "etc" / "onedr" / "record.key").stat().st_mode & 0o777 == 0o600


def test_no_command_block_escapes_the_tests() -> None:
    for page in _PAGES:
        assert not _ANY_BLOCK.search(page.read_text()), f"{page} has a fenced block that no test runs"
