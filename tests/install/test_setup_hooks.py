"""The hooks: what the templates say, and that a second registration changes nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest

from onedr.install import hooks
from onedr.install.lens import parse
from onedr.install.oned_conf import LENS
from onedr.install.paths import Paths
from onedr.model.errors import FrontEndError, InputError
from onedr.opennebula.api import FrontEnd

ROOT = Path(__file__).parents[2]
LENSES = ROOT / "share/augeas"
TEMPLATES = ROOT / "hooks/ceph_dr/templates"
FOLDER = Path("/one/var/remotes/hooks")


class FakeOned(FrontEnd):
    """As much of oned as hooks need: what it keeps of a template is src/hm/Hook.cc:insert."""

    def __init__(self, unsupported: str = "", refusal: str = "") -> None:
        super().__init__("http://nowhere", "user:password")
        self.held: dict[int, dict[str, str]] = {}
        self.stores: list[tuple[str, ...]] = []
        self.calls: list[str] = []
        self.unsupported, self.refusal = unsupported, refusal

    def call(self, method: str, *arguments: Any) -> Any:
        return getattr(self, method.replace(".", "_"))(*arguments)

    @staticmethod
    def attributes(text: str) -> dict[str, str]:
        return {node.name: node.value for node in parse(text.encode(), LENS, "template", str(LENSES))}

    def hookpool_info(self, *_: int) -> str:
        found = ""
        for number, hook in self.held.items():
            template = "".join(
                f"<{k}>{escape(v)}</{k}>" for k, v in hook.items() if k not in ("NAME", "TYPE")
            )
            own = f"<ID>{number}</ID><NAME>{hook['NAME']}</NAME><TYPE>{hook['TYPE']}</TYPE>"
            found += f"<HOOK>{own}<TEMPLATE>{template}</TEMPLATE></HOOK>"
        return f"<HOOK_POOL>{found}</HOOK_POOL>"

    def hook_allocate(self, text: str) -> int:
        template = self.attributes(text)
        if self.refusal:
            raise FrontEndError(self.refusal, 256)
        if self.unsupported and template.get("CALL") == self.unsupported:
            raise FrontEndError(
                f"[one.hook.allocate] API call does not exist or is not supported: {self.unsupported}", 8192
            )
        template.pop("ON", None)
        template["REMOTE"] = template["REMOTE"].upper()
        number = max(self.held, default=-1) + 1
        self.held[number] = template
        self.calls.append(f"allocate {template['NAME']}")
        return number

    def hook_update(self, number: int, text: str, append: int) -> int:
        assert append == 1
        self.held[number].update(self.attributes(text))
        self.calls.append(f"update {self.held[number]['NAME']}")
        return number

    def hook_delete(self, number: int) -> int:
        self.calls.append(f"delete {self.held.pop(number)['NAME']}")
        return number

    def datastorepool_info(self) -> str:
        parts = ("ID", "NAME", "DS_MAD", "TM_MAD", "TEMPLATE")
        stores = ("".join(f"<{p}>{v}</{p}>" for p, v in zip(parts, store)) for store in self.stores)
        return f"<DATASTORE_POOL>{''.join(f'<DATASTORE>{store}</DATASTORE>' for store in stores)}</DATASTORE_POOL>"


def wanted() -> list[hooks.Hook]:
    return hooks.load_hooks(TEMPLATES, FOLDER, LENSES)


def register(oned: FakeOned) -> list[str]:
    oned.calls.clear()
    return hooks.apply_hooks(oned, hooks.compare(oned, wanted()))


# -- the templates ------------------------------------------------------------------------------------


def test_each_template_says_what_the_executable_needs() -> None:
    for hook in wanted():
        held = hook.attributes
        resource = hook.name.split("-")[1]
        assert held["COMMAND"] == f"{FOLDER}/ceph_dr/{resource}"
        # Objects beyond 128 KiB do not fit into an argument (docs/opennebula-facts.md O23).
        assert held["ARGUMENTS_STDIN"] == "yes"
        # A hook that hangs on a dead Ceph would hold one of onehem's ten places for ever.
        assert int(held["TIMEOUT"]) > 0
        if held["TYPE"] == "api":
            assert held["CALL"].startswith(f"one.{resource}.")
            assert held["ARGUMENTS"] == f"{held['CALL']} $API"
        else:
            assert (held["RESOURCE"], held["ARGUMENTS"]) == (resource.upper(), "state $TEMPLATE")


def test_every_event_of_the_design_has_its_hook() -> None:
    names = {hook.name.removeprefix("onedr-") for hook in wanted()}
    assert {"image-ready", "image-used", "image-rename", "image-persistent", "datastore-update"} <= names
    assert {"vm-running", "vm-poweroff", "vm-suspended", "vm-stopped", "vm-undeployed", "vm-done"} <= names
    assert {"vm-attach", "vm-attachnic", "vm-detachnic", "vm-resize", "vm-update", "vm-rename"} <= names
    assert {"vm-chown", "vm-diskresize", "vm-disksnapshotrevert", "vm-updateconf"} <= names


def test_a_name_stands_once_and_is_that_of_the_file() -> None:
    files = {f"onedr-{file.stem}" for file in TEMPLATES.glob("*.hook")}
    assert sorted(hook.name for hook in wanted()) == sorted(files)


def test_a_command_with_a_blank_is_refused() -> None:
    with pytest.raises(InputError, match="spaces or shell characters"):
        hooks.load_hooks(TEMPLATES, Path("/one two/hooks"), LENSES)


# -- registration -------------------------------------------------------------------------------------


def test_twice_is_once() -> None:
    oned = FakeOned()
    assert register(oned) == []
    assert len(oned.held) == len(wanted())
    register(oned)
    assert oned.calls == []


def test_what_differs_is_updated_and_what_is_gone_is_deleted() -> None:
    oned = FakeOned()
    register(oned)
    by_name = {hook["NAME"]: hook for hook in oned.held.values()}
    by_name["onedr-vm-rename"]["COMMAND"] = "/old/ceph_dr/vm"
    by_name["onedr-vm-rename"]["PRIORITY"] = "kept"
    by_name["onedr-vm-done"]["TYPE"] = "api"
    by_name["onedr-vm-hold"]["NAME"] = "onedr-vm-frozen"
    register(oned)
    assert sorted(oned.calls) == [
        "allocate onedr-vm-done",
        "allocate onedr-vm-hold",
        "delete onedr-vm-done",
        "delete onedr-vm-frozen",
        "update onedr-vm-rename",
    ]
    assert by_name["onedr-vm-rename"]["PRIORITY"] == "kept"


def test_hooks_of_others_are_left_alone() -> None:
    oned = FakeOned()
    oned.held[7] = {"NAME": "onedr-mine", "TYPE": "api", "COMMAND": "/x/mine"}
    oned.held[8] = {"NAME": "other", "TYPE": "api", "COMMAND": "/x/ceph_dr/vm"}
    register(oned)
    hooks.apply_hooks(oned, hooks.compare(oned, []))
    assert sorted(oned.held) == [7, 8]


def test_a_call_this_release_lacks_is_named_and_the_rest_made() -> None:
    oned = FakeOned(unsupported="one.vm.updatenic")
    assert register(oned) == ["onedr-vm-updatenic"]
    assert len(oned.held) == len(wanted()) - 1
    assert "onedr-vm-updatenic" in hooks.summary(hooks.compare(oned, wanted()), ["onedr-vm-updatenic"])


def test_another_error_of_oned_is_told_as_it_is() -> None:
    with pytest.raises(FrontEndError, match=r"create the hook onedr-.*Not authorized"):
        register(FakeOned(refusal="[one.hook.allocate] Not authorized"))


# -- asking the front-end -----------------------------------------------------------------------------


def test_datastores_in_use() -> None:
    oned = FakeOned()
    oned.stores = [
        ("1", "default", "fs", "ssh", ""),
        ("100", "gold", "ceph_dr", "ceph_dr", "<DR_PROTECT>yes</DR_PROTECT>"),
        ("101", "system", "-", "ceph_dr", ""),
    ]
    assert hooks.datastores_in_use(oned) == ["100 (gold, protected)", "101 (system)"]


def test_credentials_are_looked_for_where_opennebula_keeps_them(tmp_path: Path) -> None:
    own = {"ONE_LOCATION": str(tmp_path), "HOME": "/nonexistent"}
    with pytest.raises(FrontEndError, match=re.escape(f"{tmp_path}/var/.one/one_auth")):
        hooks.connect_front_end(own)
    with pytest.raises(FrontEndError, match="no OpenNebula credentials in /nowhere"):
        hooks.connect_front_end({"ONE_AUTH": "/nowhere"})


def test_paths_of_a_packaged_front_end() -> None:
    paths = Paths.from_environment({})
    assert str(paths.remotes) == "/var/lib/one/remotes"
    assert str(paths.vmm_execrc) == "/etc/one/vmm_exec/vmm_execrc"
    assert str(paths.manifest) == "/usr/lib/one/onedr/installed.json"
    with pytest.raises(InputError, match="absolute"):
        Paths.from_environment({"ONE_LOCATION": "here"})
