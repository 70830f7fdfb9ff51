"""From an image's record to the templates that register its RBD image at this site. Pure."""
from __future__ import annotations

from onedr.model import template
from onedr.model.template import Pairs
from onedr.opennebula import attributes
from onedr.opennebula.attributes import Rule, Treatment
from onedr.opennebula.own_marks import DISABLED
from onedr.opennebula.vm_template import FINISHED, ORIGIN, ORIGIN_SOURCE

IMAGE_TYPES = ("OS", "CDROM", "DATABLOCK", "KERNEL", "RAMDISK", "CONTEXT")
_LONGEST = 128  # bytes of a NAME (OpenNebula: src/pool/PoolObjectSQL.cc, name_is_valid)
_OF_ONE_SITE = (ORIGIN, ORIGIN_SOURCE, FINISHED)
_ANY = Rule(Treatment.KEPT)  # an attribute of the user's own


def fitting_name(name: str, ending: str = "") -> str:
    """A NAME as long as oned takes one, with the ending that tells it from others of the same beginning."""
    end = ending.encode()
    return name.encode()[: _LONGEST - len(end)].decode(errors="ignore") + ending


def image_type(number: int) -> str:
    """TYPE in the form that oned accepts."""
    return IMAGE_TYPES[number] if 0 <= number < len(IMAGE_TYPES) else "DATABLOCK"


def portable_image(pairs: Pairs) -> Pairs:
    """The user's attributes of an image, without those that belong to one site's object.

    They are written after the image was registered, as data: oned refuses a registration by SOURCE that also
    carries what a marketplace or a backup left on the image (docs/opennebula-facts.md).
    """
    return tuple(
        (key, value)
        for key, value in pairs
        if key not in _OF_ONE_SITE and key != DISABLED
        and attributes.rule(attributes.IMAGE, key, _ANY).treatment is Treatment.KEPT
    )


def is_disabled(pairs: Pairs) -> bool:
    """Was the image DISABLED, by the template of its record?"""
    return template.get(pairs, DISABLED) == "YES"


def image_description(
    name: str, kind: str, persistent: bool, source: str, size_mib: int, origin: str
) -> Pairs:
    """What registers an existing RBD image: SIZE and FORMAT are required with SOURCE."""
    return (
        ("NAME", name), ("TYPE", kind), ("SOURCE", source), ("SIZE", str(size_mib)), ("FORMAT", "raw"),
        ("PERSISTENT", "YES" if persistent else "NO"), *(((ORIGIN, origin),) if origin else ()),
    )
