"""Kernels, ramdisks and files of the context: images that a VM names, by id at its site, by name elsewhere.
Pure.

oned keeps `$FILE[IMAGE_ID=…]` in OS as it was given. In CONTEXT it replaces it by the file's path and the
name of its image, `/var/…/0a1b2c:'prepare.sh'`, and refuses that form when it is given again
(docs/opennebula-facts.md O35).
"""
from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from onedr.model import template
from onedr.model.errors import RefusedError
from onedr.model.site_map import Name, UnmappedError
from onedr.model.template import Pairs
from onedr.opennebula.nics import Counterparts, Owned, choose

OS_FILES = ("KERNEL_DS", "INITRD_DS")
_STANDS_IN = "oneadmin"
_BY_ID = re.compile(r'\$FILE\[\s*IMAGE_ID\s*=\s*"?(?P<id>[0-9]{1,9})"?\s*\]')
_BY_NAME = re.compile(
    r'\$FILE\[\s*IMAGE\s*=\s*"?(?P<name>[^",\]]+)"?\s*(?:,\s*IMAGE_UNAME\s*=\s*"?(?P<owner>[^",\]]+)"?\s*)?[^\]]*\]'
)
_OF_CONTEXT = re.compile(r":'([^']*)'")
_UNWRITABLE = set('",]')


class FileImage(NamedTuple):
    """A file image at the site of the VM."""

    name: str
    owner: str


def ids(vm_template: Pairs) -> set[int]:
    """Ids of the images that OS of a VM names."""
    found = (_BY_ID.fullmatch(text.strip()) for text in _os_files(vm_template))
    return {int(match["id"]) for match in found if match}


def _os_files(vm_template: Pairs) -> Iterator[str]:
    for os in template.vectors(vm_template, "OS"):
        yield from (value for key, value in os if key in OS_FILES and isinstance(value, str))


def names_in(vm_template: Pairs) -> list[str]:
    """Names of the images that OS and CONTEXT of a VM name."""
    of_os = (_BY_NAME.fullmatch(text.strip()) for text in _os_files(vm_template))
    in_context = [template.get(found, "FILES_DS") for found in template.vectors(vm_template, "CONTEXT")]
    return [
        *(match["name"].strip() for match in of_os if match),
        *(name for text in in_context for name in _OF_CONTEXT.findall(text)),
    ]


def with_names(vm_template: Pairs, known: Mapping[int, FileImage]) -> Pairs:
    """The template with these images named: an id means nothing at the other site."""
    return tuple(
        (key, tuple((part, _named(part, text, known)) for part, text in value))
        if key == "OS" and not isinstance(value, str) else (key, value)
        for key, value in vm_template
    )


def _named(key: str, text: template.Value, known: Mapping[int, FileImage]) -> template.Value:
    match = _BY_ID.fullmatch(text.strip()) if key in OS_FILES and isinstance(text, str) else None
    found = known.get(int(match["id"])) if match else None
    if found is None or _UNWRITABLE & set(found.name + found.owner):
        return text
    return f'$FILE[IMAGE="{found.name}",IMAGE_UNAME="{found.owner}"]'


def missing_in_context(vm_template: Pairs, here: Counterparts, owner: str, group: str) -> list[str]:
    """What of the files of its context a VM would not find here. Sentences."""
    found: list[str] = []
    for context in template.vectors(vm_template, "CONTEXT"):
        if template.get(context, "FILES_DS"):
            of_context(template.get(context, "FILES_DS"), here, owner, group, found)
    return found


def of_os(text: str, key: str, here: Counterparts, owner: str, group: str = "") -> str:
    """`$FILE[IMAGE_ID=…]` for the image of the same name and owner here, by the mapping; a name without an
    owner is the VM owner's, or an admins' one that he may use. Raises RefusedError.
    """
    match = _BY_NAME.fullmatch(text.strip())
    there, of = (match["name"].strip(), (match["owner"] or "").strip()) if match else ("", "")
    name = _called(there, here)
    if here.mapping is not None and of:
        of = str(here.mapping.one("users", of))
    named = _named_here(name, here)
    if isinstance(name, int) or not of:
        by_id = isinstance(name, int)
        known = named if by_id else [each for each in named if _may_use(each, owner, group)]
        found = choose(known, of or owner, by_id)
    else:
        found = next((each for each in named if each.owner == of), None)
    if found is None:
        raise RefusedError(
            f"its OS/{key} is a file image of the other site ({text}) without a counterpart here: register "
            f"an image named {name or '<name>'} here{f' and give it to {of}' if of else ''}"
            f"{'' if match else ', and refer to it as $FILE[IMAGE=<name>]'}."
        )
    return f"$FILE[IMAGE_ID={found.object_id}]"


def _may_use(image: Owned, owner: str, group: str) -> bool:
    """May the VM's owner? Its user may have called a file of his own there like a private one here."""
    return image.owner == owner or image.for_all or (image.for_group and image.group == group)


def _called(name: str, here: Counterparts) -> Name:
    """Name, or id, here of a file image of the other site."""
    return here.mapping.one("files", name) if here.mapping is not None and name else name


def _called_or_empty(name: str, here: Counterparts) -> Name:
    """The same; empty where the mapping is not clear."""
    try:
        return _called(name, here)
    except UnmappedError:
        return ""


def _named_here(name: Name, here: Counterparts) -> Sequence[Owned]:
    if isinstance(name, str):
        return here.files.get(name, ())
    return [each for images in here.files.values() for each in images if each.object_id == name]


def of_context(text: str, here: Counterparts, owner: str, group: str, warnings: list[str]) -> str:
    """FILES_DS for the images of the same names here, by the mapping; the VM owner's, or one of oneadmin's
    that he may use. What is not here is left out, and said.
    """
    found: list[str] = []
    names = _OF_CONTEXT.findall(text)
    for name in names:
        called = _called_or_empty(name, here)
        named = _named_here(called, here)
        of = {each.owner: each for each in named if isinstance(called, int) or _may_use(each, owner, group)}
        image = of.get(owner) or of.get(_STANDS_IN)
        if image is None:
            warnings.append(
                f"CONTEXT/FILES_DS: the file {name!r} is left out: {owner} and {_STANDS_IN} have no image "
                f"{called or name!r} here that {owner} may use (oneimage chmod, or its id in onedr map)"
            )
            continue
        found.append(f"$FILE[IMAGE_ID={image.object_id}]")
    if not names:
        warnings.append(f"CONTEXT/FILES_DS was left out: its files belong to the other site ({text})")
    return " ".join(found)
