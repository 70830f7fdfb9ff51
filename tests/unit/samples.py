"""Recorded wire data and small builders shared by the unit tests."""
from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from lxml import etree

from onedr.model.records import DiskRef, Envelope, Epoch, ImageFacts, ImageRecord, Proof, VmRecord
from onedr.model.template import Pairs, parse_xml
from onedr.model.types import Mode

WIRE = Path(__file__).parent / "wire"
HERE, THERE = "fsid-here", "fsid-there"
RECORD_KEY = bytes(range(64))
OUR_TERM = Epoch(1, HERE, "south", 1000.0, 900.0)


def recorded(name: str) -> etree._Element:
    """A recorded `show -x`; its first line is the command."""
    return parse_xml((WIRE / name).read_text().partition("\n")[2])


def put_record_key(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The front-end of a folder, with RECORD_KEY. Returns the key's path."""
    path = folder / "etc" / "onedr" / "record.key"
    path.parent.mkdir(parents=True)
    path.touch(mode=0o600)
    path.write_bytes(base64.b64encode(RECORD_KEY))
    monkeypatch.setenv("ONE_LOCATION", str(folder))
    return path


def image_record(**changes: Any) -> ImageRecord:
    values: dict[str, Any] = {
        "image_id": 7,
        "name": "web-os",
        "type": 0,
        "persistent": True,
        "size_mib": 1024,
        "owner": "alice",
        "group": "users",
        "permissions": "110000000",
        "datastore": "ceph",
        "template": (("DEV_PREFIX", "vd"),),
        "snapshots": (),
    }
    return ImageRecord(**{**values, **changes})


def disk(disk_id: int, rbd: str | None, **changes: Any) -> DiskRef:
    values: dict[str, Any] = {
        "disk_id": disk_id, "rbd": rbd, "image_id": None, "image_name": f"image-of-{disk_id}", "clone": False,
        "protected": rbd is not None, "reason": "" if rbd else "it is a volatile disk",
    }
    return DiskRef(**{**values, **changes})


def vm_record(**changes: Any) -> VmRecord:
    values: dict[str, Any] = {
        "vm_id": 42,
        "name": "web",
        "owner": "alice",
        "group": "users",
        "permissions": "110000000",
        "state": "ACTIVE",
        "template": (("CPU", "1"), ("MEMORY", "512")),
        "user_template": (),
        "disks": (),
    }
    return VmRecord(**{**values, **changes})


def envelope(body: ImageRecord | VmRecord, **changes: Any) -> Envelope:
    values: dict[str, Any] = {
        "schema": 1, "site": "north", "fsid": THERE, "mon_host": "[v2:10.0.0.1:3300/0,v1:10.0.0.1:6789/0]",
        "generation": 5, "written_at": 1000.5,
        "proof": Proof.AUTHENTIC,
    }
    return Envelope(**{**values, **changes}, body=body)


def image(name: str, **changes: Any) -> ImageFacts:
    """A complete copy of the peer's image, as it waits to be promoted."""
    values: dict[str, Any] = {
        "rbd_id": f"id-{name}", "size": 1 << 30, "mode": Mode.JOURNAL, "primary": False, "complete": True,
        "recovery_point": 900.0,
    }
    return ImageFacts(name=name, **{**values, **changes})


# Text that XML 1.0 can carry and that a parser gives back unchanged.
XML_TEXT = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"), max_size=30
)
KEYS = st.from_regex(r"[A-Z][A-Z0-9_]{0,12}", fullmatch=True)
# A value is a text or a vector; XML cannot tell an empty vector from an empty text, so a vector has one entry
# or more.
VECTORS = st.lists(st.tuples(KEYS, XML_TEXT), min_size=1, max_size=5).map(tuple)
PAIRS: st.SearchStrategy[Pairs] = st.lists(st.tuples(KEYS, XML_TEXT | VECTORS), max_size=6).map(tuple)


class MetadataImage:
    """An RBD image's metadata, name and mirroring id, as librbd gives them."""

    def __init__(self, global_id: str = "g-7", name: str = "one-7", values: dict[str, str] | None = None):
        self.global_id, self.name, self.values = global_id, name, dict(values or {})

    def mirror_image_get_info(self) -> dict[str, Any]:
        return {"global_id": self.global_id}

    def list_snaps(self) -> list[dict[str, Any]]:
        return []

    def get_name(self) -> str:
        return self.name

    def metadata_list(self) -> list[tuple[str, str]]:
        return list(self.values.items())

    def metadata_set(self, key: str, value: str) -> None:
        self.values[key] = value

    def metadata_remove(self, key: str) -> None:
        del self.values[key]
