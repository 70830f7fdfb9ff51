"""Cases on images and datastores."""
from __future__ import annotations

from typing import Any

from contract_cases import case
from contract_site import Site

TEMPLATE = "DESCRIPTION=\"a <b> & c\"\nDEV_PREFIX=vd\nDR_ID=abc\n"


def image(site: Site, name: str, text: str, unchecked: bool = False, state: str = "READY") -> int:
    """A new image in the recorded datastore, waited for."""
    oid = site.must("one.image.allocate", f"NAME={name}\n{text}", 102, unchecked)
    site.ids[name] = oid
    return site.wait_image(oid, state)


def refused(site: Site, method: str, *arguments: Any, text: str, code: int, oid: int = -1) -> None:
    """A call that fails with this text."""
    answer = site.call(method, *arguments)
    assert answer == [False, f"[{method}] {text}", code, oid, -1], answer


def field(site: Site, oid: int, name: str) -> str:
    """Text of an element of an image."""
    return site.xml("image", oid).findtext(name) or ""


# Creation

@case("ds/ds-cp-path")
def cp_path(site: Site) -> None:
    oid = image(site, "cp1", f"TYPE=OS\nPATH=/etc/hostname\n{TEMPLATE}")
    assert (field(site, oid, "SIZE"), field(site, oid, "FORMAT")) == ("1024", "raw")


@case("ds/ds-cp-path-nocapcheck")
def cp_unchecked(site: Site) -> None:
    image(site, "cp1b", "TYPE=OS\nPATH=/etc/hostname\n", unchecked=True)


@case("ds/ds-cp-http")
def cp_http(site: Site) -> None:
    image(site, "cp2", "TYPE=OS\nPATH=\"http://127.0.0.1:8099/disk.img\"\n")


@case("ds/ds-mkfs-datablock")
def mkfs(site: Site) -> None:
    oid = image(site, "mk1", "TYPE=DATABLOCK\nSIZE=64\nPERSISTENT=YES\n")
    assert field(site, oid, "SIZE") == "64"


@case("ds/ds-mkfs-datablock-fs")
def mkfs_fs(site: Site) -> None:
    image(site, "mk2", "TYPE=DATABLOCK\nSIZE=64\nFS=ext4\nFSTYPE=ext4\n")


@case("ds/ds-cdrom-path")
def cdrom(site: Site) -> None:
    image(site, "cd1", "TYPE=CDROM\nPATH=/etc/hostname\n")


@case("ds/ds-allocate-source")
def source(site: Site) -> None:
    oid = image(site, "src1", 'TYPE=OS\nSOURCE="one/one-777"\nSIZE=128\nFORMAT=raw\nPERSISTENT=YES\n')
    assert [field(site, oid, name) for name in ("SOURCE", "FORMAT", "SIZE")] == ["one/one-777", "raw", "128"]


@case("ds/ds-allocate-source-dup")
def source_twice(site: Site) -> None:
    image(site, "src1dup", 'TYPE=OS\nSOURCE="one/one-777"\nSIZE=10\nFORMAT=raw\n')


@case("ds/ds-allocate-source-datablock")
def source_datablock(site: Site) -> None:
    image(site, "src5", 'TYPE=DATABLOCK\nSOURCE="one/one-781"\nSIZE=10\nFORMAT=raw\n')


def _bad(name: str, text: str, wanted: str, code: int, unchecked: bool = False) -> None:
    @case(f"ds/{name}")
    def play(site: Site) -> None:
        refused(site, "one.image.allocate", text, 102, unchecked, text=wanted, code=code)


@case("ds/ds-allocate-dupname")
def same_name(site: Site) -> None:
    refused(site, "one.image.allocate", 'NAME=src1\nTYPE=OS\nSOURCE="one/one-783"\nSIZE=10\nFORMAT=raw\n', 102, False,
            text=f"Error allocating a new image. NAME is already taken by IMAGE {site.ids['src1']}.", code=16384)


_bad("ds-allocate-source-and-path", 'NAME=src4\nTYPE=OS\nSOURCE="one/one-780"\nPATH=/etc/hostname\nSIZE=10\nFORMAT=raw\n',
     "Error allocating a new image. PATH and SOURCE cannot be both set.", 16384)
_bad("ds-allocate-source-noformat", 'NAME=src3\nTYPE=OS\nSOURCE="one/one-779"\nSIZE=10\n',
     "Error allocating a new image. SOURCE needs FORMAT to be set.", 16384)
_bad("ds-allocate-source-nosize", 'NAME=src2\nTYPE=OS\nSOURCE="one/one-778"\n',
     "Cannot parse image SIZE: Wrong number or missing SIZE attribute.", 8192)
_bad("ds-allocate-source-huge",
     'NAME=src6\nTYPE=DATABLOCK\nSOURCE="one/one-782"\nSIZE=999999999\nFORMAT=raw\nPERSISTENT=YES\n',
     "Not enough space in datastore", 2048)


@case("ds/ds-clone")
def clone(site: Site) -> None:
    site.ids["clone1"] = site.must("one.image.clone", site.ids["cp1"], "clone1", -1)
    site.wait_image(site.ids["clone1"])
    site.wait_image(site.ids["cp1"])


def _release(site: Site) -> None:
    (site.var / "released").touch()


@case("ds/ds-cp-slow", before=lambda site: site.answer(
    "datastore-cp", 'while [ ! -e "$ONE_LOCATION/var/released" ]; do sleep 0.02; done; echo "rbd-pool/one-1 raw"'))
def cp_slow(site: Site) -> None:
    oid = site.must("one.image.allocate", "NAME=slow1\nTYPE=OS\nPATH=/etc/hostname\n", 102, False)
    assert site.image_state(oid) == "LOCKED"
    _release(site)
    site.wait_image(oid)


def _before_slow(site: Site) -> None:
    (site.var / "released").unlink()


@case("ds/ds-locked-delete", before=_before_slow)
def locked_delete(site: Site) -> None:
    oid = site.must("one.image.allocate", "NAME=slow2\nTYPE=OS\nPATH=/etc/hostname\n", 102, False)
    refused(site, "one.image.delete", oid, False, code=8192, oid=oid,
            text="Image locked, use --force flag to remove the image. Force delete may leave some files on Datastore")
    assert site.must("one.image.persistent", oid, True) == oid
    assert site.image_state(oid) == "LOCKED"
    _release(site)
    site.wait_image(oid)
    site.answer("datastore-cp", None)


# Attributes and states

@case("ds/img-persistent")
def make_persistent(site: Site) -> None:
    site.must("one.image.persistent", site.ids["cp2"], True)


@case("ds/img-nonpersistent")
def make_non_persistent(site: Site) -> None:
    site.must("one.image.persistent", site.ids["cp2"], False)


@case("ds/img-disable")
def disable(site: Site) -> None:
    site.must("one.image.enable", site.ids["cp2"], False)
    assert site.image_state(site.ids["cp2"]) == "DISABLED"


@case("ds/img-enable")
def enable(site: Site) -> None:
    site.must("one.image.enable", site.ids["cp2"], True)
    assert site.image_state(site.ids["cp2"]) == "READY"


@case("ds/img-rename")
def rename(site: Site) -> None:
    site.must("one.image.rename", site.ids["cp2"], "cp2r")


@case("ds/img-update")
def update(site: Site) -> None:
    site.must("one.image.update", site.ids["src1dup"], 'DR_A="1"\n', 1)


@case("ds/img-lock")
def lock(site: Site) -> None:
    site.must("one.image.lock", site.ids["cp2"], 1, False)
    assert site.must("one.image.unlock", site.ids["cp2"]) == site.ids["cp2"]


@case("ds/ds-rm")
def rm(site: Site) -> None:
    site.must("one.image.delete", site.ids["clone1"], False)
    site.wait_image(site.ids["clone1"], "GONE")


@case("ds/ds-rm-source")
def rm_source(site: Site) -> None:
    site.must("one.image.delete", site.ids["src1"], False)
    site.wait_image(site.ids["src1"], "GONE")


@case("ds/ds-rm-force")
def rm_force(site: Site) -> None:
    site.must("one.image.delete", site.ids["cp1b"], True)
    site.wait_image(site.ids["cp1b"], "GONE")
