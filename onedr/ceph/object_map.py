"""What was written between snapshots, and how much only a snapshot still holds, from the object maps that
librbd keeps of an image and of each of its snapshots: two bits for each object (Ceph: src/common/
bit_vector.hpp, include/rbd/object_map_types.h).
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence

import rados
import rbd

from onedr.ceph.connection import Pool
from onedr.ceph.encoding import Decoder, UnknownFormatError

_MOST = 16 * 1024 * 1024  # bytes of a map; of 256 TiB


def count_held(held_map: bytes, next_map: bytes) -> int:
    """Objects that exist in a snapshot and were written or removed before the next snapshot, or since if it
    is the newest. `next_map`: of that snapshot, or of the image itself. Raises UnknownFormatError. Pure.
    """
    held, after = _states(held_map), _states(next_map)
    length = max(len(held), len(after))
    low = int.from_bytes(b"\x55" * length, "big")
    now = int.from_bytes(held.ljust(length, b"\0"), "big")
    then = int.from_bytes(after.ljust(length, b"\0"), "big")
    unchanged = then & then >> 1 & low  # 3: exists, and was not written since the snapshot before
    return bin(now & low & ~unchanged).count("1")  # 1 and 3: exists


def written_objects(held_map: bytes, later: Sequence[bytes]) -> list[int]:
    """Numbers of the objects that may differ from those of a snapshot with this map. `later`: the maps of one
    snapshot after another. An object is the same that all of them call unchanged since the snapshot before,
    or that is in none. Raises UnknownFormatError. Pure.
    """
    states = [_states(each) for each in (held_map, *later)]
    length = max(map(len, states))
    low = int.from_bytes(b"\x55" * length, "big")
    unchanged, absent = low, low
    for at, each in enumerate(states):
        found = int.from_bytes(each.ljust(length, b"\0"), "big")
        absent &= ~(found | found >> 1)
        unchanged &= found & found >> 1 if at else low
    bits = bin(low & ~unchanged & ~absent)[2:].zfill(8 * length)
    return [at for at in range(4 * length) if bits[2 * at + 1] == "1"]


def _states(data: bytes) -> bytes:
    """The bits of a map: four objects in each byte, the first in the highest bits."""
    head_bytes = Decoder(data).u32()
    count = Decoder(data[4:]).struct(1, 1).u64()
    found = data[4 + head_bytes:4 + head_bytes + (count + 3) // 4]
    if len(found) < (count + 3) // 4:
        raise UnknownFormatError("an object map is cut off")
    return found


def held_bytes(pool: Pool, image: rbd.Image, wanted: Sequence[str]) -> Mapping[str, int]:
    """By name of these snapshots of an open image, the bytes of whole objects that Ceph keeps for them, or
    for older ones, and no longer for newer ones. Those of which no map tells are left out. Raises rbd.Error.
    """
    if not _has_maps(image):
        return {}
    snapshots = sorted((int(each["id"]), str(each["name"])) for each in image.list_snaps())
    maps = [_map_of(image, number) for number, _ in snapshots] + [_map_of(image)]
    size, found = int(image.stat()["obj_size"]), {}
    for at, (_, name) in enumerate(snapshots):
        if name in wanted:
            try:
                found[name] = count_held(*(pool.io.read(each, _MOST) for each in maps[at:at + 2])) * size
            except (rados.ObjectNotFound, UnknownFormatError):
                continue
    return found


def written_since(pool: Pool, image: rbd.Image, number: int, until: str) -> list[tuple[int, int]] | None:
    """(offset, length) of what may have been written to an open image since its snapshot of this id, up to
    the user snapshot `until`, or until now. None when no maps tell. Raises rbd.Error.
    """
    found = [each for each in image.list_snaps() if int(each["id"]) > number]
    ends = [int(each["id"]) for each in found if until and each["name"] == until]
    if not _has_maps(image) or (until and not ends):
        return None
    later = sorted(int(each["id"]) for each in found)
    maps = [_map_of(image, each) for each in (number, *later) if not ends or each <= ends[0]]
    maps += [] if until else [_map_of(image)]
    size = int(image.stat()["obj_size"])
    try:
        held, *others = (pool.io.read(each, _MOST) for each in maps)
        return [(at * size, size) for at in written_objects(held, others)]
    except (rados.ObjectNotFound, UnknownFormatError):
        return None


def _has_maps(image: rbd.Image) -> bool:
    """Also of its snapshots; of an image whose data is striped, an object is no span of it."""
    wanted = rbd.RBD_FEATURE_OBJECT_MAP | rbd.RBD_FEATURE_FAST_DIFF
    invalid = rbd.RBD_FLAG_OBJECT_MAP_INVALID | rbd.RBD_FLAG_FAST_DIFF_INVALID
    return image.features() & wanted == wanted and not image.flags() & invalid and image.stripe_count() == 1


def _map_of(image: rbd.Image, number: int | None = None) -> str:
    """The object that has the map of a snapshot, or of the image as it is now."""
    return f"rbd_object_map.{image.id()}" + ("" if number is None else f".{number:016x}")
