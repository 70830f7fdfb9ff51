"""Records on images: VM and image definitions as RBD image metadata, which is replicated to the peer
(docs/records.md).

On the image, key `onedr.vm` (or `onedr.image`) holds one line of JSON: `{"schema", "site", "fsid",
"mon_host", "generation", "written_at", "sha256", "mac", "parts", "body"}`; `body` is base64 of zlib of the
JSON body, and the rest of a long one is in `onedr.vm.part1` ... `mac` is there where the site has a record
key (replication/signature.py). A value stays at 60 KiB or less: 16 MiB aborts the process in journal mode
(docs/ceph-facts.md C10).
"""
from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import lru_cache
from typing import Any, NamedTuple

import rbd

from onedr.model.errors import RecordError, SchemaError
from onedr.model.json_form import parsed
from onedr.model.records import Envelope, ImageRecord, Mark, Proof, VmRecord
from onedr.replication import record_fields, signature
from onedr.replication.encryption import RecordKey
from onedr.replication.signature import Signer

SCHEMA = 1
VALUE_LIMIT = 60 * 1024
BODY_LIMIT = 16 * 1024 * 1024  # of JSON; limits a zlib bomb
_REMEMBERED = 2048  # bodies
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
READER_KEY = "onedr.reader"  # `<this>.<cluster id>.<vm id>`, of a VM that has no disk of its own
MARK_KEY = "onedr.mark"
_PREFIX = "onedr."
_AHEAD_US = 60 * 1_000_000  # a generation is a time in microseconds; clocks of two sites differ by less
_DOUBTS = {
    Proof.UNSIGNED: "it is not signed: an earlier release wrote it, or no holder of the record key did; "
    "onedr reconcile at the site that writes it signs it",
    Proof.FORGED: "its signature does not fit: it was changed or copied from another image, or the sites' "
    "record keys differ",
}
_READER = re.compile(r"onedr\.reader\.([0-9A-Za-z-]{1,64})\.([0-9]{1,10})")
_SINCE_LEDGER = ("origin", "stands_for")  # left out when empty: earlier releases do not know them


class Reader(NamedTuple):
    """A VM that an image has a record of only because it reads through it: its cluster and id."""

    fsid: str
    vm_id: int

    @property
    def key(self) -> str:
        """Of its record in the image's metadata."""
        return f"{READER_KEY}.{self.fsid}.{self.vm_id}"


def readers(values: Iterable[str]) -> list[Reader]:
    """The VMs that an image's metadata, by its keys, has records of readers of."""
    found = filter(None, map(_READER.fullmatch, values))
    return [Reader(match[1], int(match[2])) for match in found]


def _kind(key: str) -> str:
    """What a signature is about: the metadata key, for all readers the same."""
    return READER_KEY if key.startswith(f"{READER_KEY}.") else key


def encode(envelope: Envelope, signer: Signer | None = None, key: str = "") -> list[str]:
    """The values of a record, its head first, each at most VALUE_LIMIT characters. `key`: of a VM's record
    that is not under VM_KEY.

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
    if signer is not None:
        kind = VM_KEY if isinstance(envelope.body, VmRecord) else IMAGE_KEY
        head[signature.FIELD] = signature.sign(signer, _kind(key or kind), head)
    room = VALUE_LIMIT - len(json.dumps(head)) - _HEAD_SLACK
    if room < VALUE_LIMIT // 2:
        raise RecordError(
            "the site's name or its monitors' addresses are too long for a record; shorten DR_SITE"
        )
    pieces = [packed[start : start + room] for start in range(0, len(packed), room)]
    return [json.dumps({**head, "parts": len(pieces), "body": pieces[0]}), *pieces[1:]]


def decode(
    key: str, values: Mapping[str, str], signer: Signer | None = None, now: float | None = None
) -> Envelope | None:
    """The record under `key` in an image's metadata; None when there is none.

    With `signer` it says whether it is authentic, with `now` (seconds since the epoch) whether its generation
    can be. Raises RecordError for a damaged record, SchemaError for a schema that this release does not know.
    """
    if key not in values:
        return None
    try:
        head = parsed(values[key])
        proof = signature.proof(signer, _kind(key), head)
        _check_schema(key, head["schema"], proof)
        known = record_fields.head(head)
        packed = head["body"] + "".join(values[f"{key}.part{part}"] for part in range(1, known.pop("parts")))
        body = _body(packed, head["sha256"], key == IMAGE_KEY)
        if body is None:
            raise RecordError(f"record {key} is damaged: its checksum differs")
        doubt = _DOUBTS.get(proof) or _from_the_future(known["generation"], now)
        return Envelope(schema=SCHEMA, **known, body=body, proof=proof, doubt=doubt)
    except _DAMAGE as error:
        raise RecordError(f"record {key} is damaged: {error!r}") from error


def _check_schema(key: str, schema: Any, proof: Proof) -> None:
    """A newer release's record must stay as it is; that it is one, its signature says where there is a key.
    """
    if type(schema) is int and schema > SCHEMA and proof in (Proof.AUTHENTIC, Proof.UNCHECKED):
        raise SchemaError(
            f"record {key} has schema {schema}, this release knows {SCHEMA}; upgrade OneDR here"
        )
    if type(schema) is not int or schema != SCHEMA:
        raise RecordError(f"record {key} is damaged: schema {schema!r:.80} is none of ours")


def _from_the_future(generation: int, now: float | None) -> str:
    ahead = 0.0 if now is None else generation / 1e6 - now
    if ahead * 1e6 <= _AHEAD_US:
        return ""
    return f"it is dated {ahead:.0f} s ahead of this site's clock; compare the clocks of both sites"


@lru_cache(maxsize=_REMEMBERED)
def _body(packed: str, checksum: str, of_image: bool) -> ImageRecord | VmRecord | None:
    """A body; None when its SHA-256 is another one. Each disk of a VM carries the same one, and a keeper
    reads it in each pass.
    """
    body = _unpack(packed)
    if hashlib.sha256(body).hexdigest() != checksum:
        return None
    return record_fields.image(parsed(body)) if of_image else record_fields.vm(parsed(body))


def _unpack(packed: str) -> bytes:
    inflate = zlib.decompressobj()
    body = inflate.decompress(base64.b64decode(packed, validate=True), BODY_LIMIT)
    if not inflate.eof:
        raise RecordError(f"record body is incomplete or larger than {BODY_LIMIT} bytes")
    return body


def _body_json(body: ImageRecord | VmRecord) -> bytes:
    fields = {key: value for key, value in asdict(body).items() if value or key not in _SINCE_LEDGER}
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()


def metadata(image: rbd.Image) -> dict[str, str]:
    """OneDR's metadata on an image."""
    return {str(key): str(value) for key, value in image.metadata_list() if str(key).startswith(_PREFIX)}


def write_record(image: rbd.Image, key: str, envelope: Envelope, signer: Signer | None = None) -> bool:
    """Write a record, signed by `signer`, unless what is there says the same or is newer. Returns whether it
    was written.

    Reads back. The head is written last, so that a reader never sees a new head with old parts.
    """
    present = metadata(image)
    if is_current(key, present, envelope, signer):
        return False
    values = encode(envelope, signer, key)
    names = [key, *(f"{key}.part{part}" for part in range(1, len(values)))]
    for name, value in reversed(list(zip(names, values))):
        image.metadata_set(name, value)
    for stale in present.keys() - set(names):
        if stale.startswith(f"{key}.part"):
            image.metadata_remove(stale)
    written = decode(key, metadata(image), signer)
    if (
        written is None
        or written.doubt
        or (written.body != envelope.body and written.generation <= envelope.generation)
    ):
        raise RecordError(f"record {key} of {image.get_name()} was written but reads back different")
    return True


def is_current(
    key: str, present: Mapping[str, str], envelope: Envelope, signer: Signer | None
) -> bool:
    """Is the record in an image's metadata the same, or newer? Hooks run in any order
    (docs/opennebula-facts.md O21).

    What lacks a good signature is replaced, and so is what is dated ahead by more than clocks differ.
    Raises SchemaError for a newer release's record.
    """
    try:
        there = decode(key, present, signer, envelope.generation / 1e6)
    except SchemaError:
        raise  # a newer release wrote it, during an upgrade
    except RecordError:
        return False  # a damaged record is replaced
    if there is None or there.fsid != envelope.fsid or there.doubt:
        return False
    return there.generation > envelope.generation or (there.body, there.mon_host) == (
        envelope.body,
        envelope.mon_host,
    )


def sign_for_mirroring(image: rbd.Image, record_key: RecordKey) -> None:
    """Sign the records of an image that was just mirrored for its mirroring id: it had none before.

    What was not signed for this image stays as it is, for the next turn of reconcile to replace.
    """
    before, now = signature.unmirrored(record_key, image), signature.signer(record_key, image)
    values = metadata(image)
    for key in (VM_KEY, IMAGE_KEY, *(reader.key for reader in readers(values))):
        try:
            found = decode(key, values, before)
        except RecordError:
            continue  # reconcile replaces it
        if found is not None and found.proof is Proof.AUTHENTIC:
            write_record(image, key, found, now)


def remove_records(image: rbd.Image, key: str) -> bool:
    """Remove a record from an image. Returns whether there was one."""
    names = [name for name in metadata(image) if name == key or name.startswith(f"{key}.part")]
    for name in names:
        image.metadata_remove(name)
    return bool(names)


def write_mark(image: rbd.Image, mark: Mark) -> str:
    """Write the time mark. Returns it as written: no other mark has the same text (quiet_marks)."""
    text = json.dumps({"at": round(mark.at, 3), "replaying": mark.replaying, "id": os.urandom(6).hex()})
    image.metadata_set(MARK_KEY, text)
    return text


def read_mark(values: Mapping[str, str]) -> Mark | None:
    """The time mark in an image's metadata. Raises RecordError for a damaged one."""
    if MARK_KEY not in values:
        return None
    try:
        return record_fields.mark(parsed(values[MARK_KEY]))
    except _DAMAGE as error:
        raise RecordError(f"time mark is damaged: {error!r}") from error
