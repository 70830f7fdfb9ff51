"""Records on images: VM and image definitions as RBD image metadata, which is replicated to the peer
(docs/records.md).

On the image, key `onedr.vm` (or `onedr.image`) holds one line of JSON: `{"schema", "site", "fsid",
"mon_host", "generation", "written_at", "sha256", "parts", "body"}`; `body` is base64 of zlib of the JSON
body, and the rest of a long one is in `onedr.vm.part1` ... A value stays at 60 KiB or less: 16 MiB aborts the
process in journal mode (docs/ceph-facts.md C10).
"""
from __future__ import annotations

import base64
import binascii
import hashlib
import json
import zlib
from dataclasses import asdict
from typing import Any

import rbd

from onedr.model.errors import RecordError, SchemaError
from onedr.model.records import DiskRef, Envelope, ImageRecord, Mark, VmRecord
from onedr.model.template import freeze

SCHEMA = 1
VALUE_LIMIT = 60 * 1024
BODY_LIMIT = 16 * 1024 * 1024  # of JSON; limits a zlib bomb
_HEAD_SLACK = 64  # for the names and punctuation of `parts` and `body`
_DAMAGE = (
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    OverflowError,
    RecursionError,
    zlib.error,
    binascii.Error,
)
VM_KEY = "onedr.vm"
IMAGE_KEY = "onedr.image"
MARK_KEY = "onedr.mark"
_PREFIX = "onedr."


def encode(envelope: Envelope) -> list[str]:
    """The values of a record, its head first, each at most VALUE_LIMIT characters.

    Raises RecordError for a record that is too large, or whose head is too long.
    """
    body = _body_json(envelope.body)
    if len(body) > BODY_LIMIT:
        raise RecordError(f"a record of {len(body)} bytes is larger than {BODY_LIMIT}; shorten the template")
    packed = base64.b64encode(zlib.compress(body, 9)).decode()
    head = {
        "schema": envelope.schema,
        "site": envelope.site,
        "fsid": envelope.fsid,
        "mon_host": envelope.mon_host,
        "generation": envelope.generation,
        "written_at": envelope.written_at,
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    room = VALUE_LIMIT - len(json.dumps(head)) - _HEAD_SLACK
    if room < VALUE_LIMIT // 2:
        raise RecordError(
            "the site's name or its monitors' addresses are too long for a record; shorten DR_SITE"
        )
    pieces = [packed[start : start + room] for start in range(0, len(packed), room)]
    return [json.dumps({**head, "parts": len(pieces), "body": pieces[0]}), *pieces[1:]]


def decode(key: str, values: dict[str, str]) -> Envelope | None:
    """The record under `key` in an image's metadata; None when there is none.

    Raises RecordError for a damaged record, SchemaError for a schema that this release does not know.
    """
    if key not in values:
        return None
    try:
        head = json.loads(values[key])
        if head["schema"] != SCHEMA:
            found = head["schema"]
            raise SchemaError(
                f"record {key} has schema {found}, this release knows {SCHEMA}; upgrade OneDR here"
            )
        packed = head["body"] + "".join(values[f"{key}.part{part}"] for part in range(1, head["parts"]))
        body = _unpack(packed)
        if hashlib.sha256(body).hexdigest() != head["sha256"]:
            raise RecordError(f"record {key} is damaged: its checksum differs")
        decoded = _vm_body(json.loads(body)) if key == VM_KEY else _image_body(json.loads(body))
        generation, written_at = int(head["generation"]), float(head["written_at"])
        return Envelope(SCHEMA, head["site"], head["fsid"], head["mon_host"], generation, written_at, decoded)
    except _DAMAGE as error:
        raise RecordError(f"record {key} is damaged: {error!r}") from error


def _unpack(packed: str) -> bytes:
    inflate = zlib.decompressobj()
    body = inflate.decompress(base64.b64decode(packed, validate=True), BODY_LIMIT)
    if not inflate.eof:
        raise RecordError(f"record body is incomplete or larger than {BODY_LIMIT} bytes")
    return body


def _body_json(body: ImageRecord | VmRecord) -> bytes:
    return json.dumps(asdict(body), sort_keys=True, separators=(",", ":")).encode()


def _vm_body(data: dict[str, Any]) -> VmRecord:
    disks = tuple(DiskRef(**disk) for disk in data.pop("disks"))
    templates = {key: freeze(data[key]) for key in ("template", "user_template")}
    templates["snapshots"] = freeze(data.get("snapshots", []))  # older records have no snapshots
    return VmRecord(**{**data, **templates, "disks": disks})


def _image_body(data: dict[str, Any]) -> ImageRecord:
    return ImageRecord(
        **{**data, "template": freeze(data["template"]), "snapshots": freeze(data["snapshots"])}
    )


def metadata(image: rbd.Image) -> dict[str, str]:
    """OneDR's metadata on an image."""
    return {str(key): str(value) for key, value in image.metadata_list() if str(key).startswith(_PREFIX)}


def write_record(image: rbd.Image, key: str, envelope: Envelope) -> bool:
    """Write a record if it differs from the existing one and is not older. Returns whether it was written.

    Reads back. The head is written last, so that a reader never sees a new head with old parts.
    """
    present = metadata(image)
    if _keeps(key, present, envelope):
        return False
    values = encode(envelope)
    names = [key, *(f"{key}.part{part}" for part in range(1, len(values)))]
    for name, value in reversed(list(zip(names, values))):
        image.metadata_set(name, value)
    for stale in present.keys() - set(names):
        if stale.startswith(f"{key}.part"):
            image.metadata_remove(stale)
    written = decode(key, metadata(image))
    if written is None or (written.body != envelope.body and written.generation <= envelope.generation):
        raise RecordError(f"record {key} of {image.get_name()} was written but reads back different")
    return True


def _keeps(key: str, present: dict[str, str], envelope: Envelope) -> bool:
    """Is the existing record the same, or newer? Hooks run in any order (docs/opennebula-facts.md O21)."""
    try:
        there = decode(key, present)
    except SchemaError:
        raise  # a newer release wrote it, during an upgrade
    except RecordError:
        return False  # a damaged record is replaced
    if there is None or there.fsid != envelope.fsid:
        return False
    return there.generation > envelope.generation or (there.body, there.mon_host) == (
        envelope.body,
        envelope.mon_host,
    )


def remove_records(image: rbd.Image, key: str) -> bool:
    """Remove a record from an image. Returns whether there was one."""
    names = [name for name in metadata(image) if name == key or name.startswith(f"{key}.part")]
    for name in names:
        image.metadata_remove(name)
    return bool(names)


def write_mark(image: rbd.Image, mark: Mark) -> None:
    """Write the time mark."""
    image.metadata_set(MARK_KEY, json.dumps({"at": round(mark.at, 3), "replaying": mark.replaying}))


def read_mark(values: dict[str, str]) -> Mark | None:
    """The time mark in an image's metadata. Raises RecordError for a damaged one."""
    if MARK_KEY not in values:
        return None
    try:
        data = json.loads(values[MARK_KEY])
        return Mark(float(data["at"]), bool(data["replaying"]))
    except _DAMAGE as error:
        raise RecordError(f"time mark is damaged: {error!r}") from error
