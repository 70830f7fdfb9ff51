"""Driver data as oned sends it: base64 of `<DS_DRIVER_ACTION_DATA>` on standard input
(docs/opennebula-facts.md O11).
"""
from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import NamedTuple

from lxml import etree

from onedr.model import parsing, template
from onedr.model import settings as model_settings
from onedr.model.errors import InputError
from onedr.model.template import Pairs
from onedr.model.types import CephAccess, Settings
from onedr.opennebula.ceph_access import ceph_access
from onedr.opennebula.datastores import Datastore

_DISK = re.compile(r"disk\.([0-9]{1,9})")


@dataclass(frozen=True)
class ActionData:
    """A decoded call. `image` is None for actions on a datastore (monitor, DR actions)."""

    root: etree._Element
    datastore: etree._Element
    image: etree._Element | None

    @property
    def datastore_id(self) -> int:
        return parsing.integer(self.datastore, "ID")

    @property
    def datastore_name(self) -> str:
        return self.datastore.findtext("NAME") or f"datastore {self.datastore.findtext('ID')}"

    @property
    def attributes(self) -> Pairs:
        """The datastore's template."""
        found = self.datastore.find("TEMPLATE")
        return () if found is None else template.from_element(found)

    @property
    def access(self) -> CephAccess:
        return ceph_access(self.attributes)

    @property
    def settings(self) -> Settings:
        return model_settings.read_settings(self.attributes, self.datastore_name)

    @property
    def target(self) -> Datastore:
        """The datastore of a DR action."""
        return Datastore(self.datastore_id, self.datastore_name, self.access, self.settings)

    def wanted_image(self) -> etree._Element:
        """The image; InputError when the call carries none."""
        if self.image is None:
            raise InputError("The driver data contains no IMAGE, but this action needs one.")
        return self.image


def action_data(text: str | bytes) -> ActionData:
    """Decode standard input. Raises InputError for garbled base64, XML with entities, or a wrong document."""
    try:
        data = text if isinstance(text, bytes) else text.encode()
        root = template.parse_xml(base64.b64decode(b"".join(data.split()), validate=True))
    except (binascii.Error, ValueError) as error:
        raise InputError(f"The driver data on standard input cannot be read: {error}") from error
    datastore = root.find("DATASTORE")
    if root.tag != "DS_DRIVER_ACTION_DATA" or datastore is None:
        raise InputError(f"The driver data is <{root.tag}> without a DATASTORE, not <DS_DRIVER_ACTION_DATA>.")
    return ActionData(root, datastore, root.find("IMAGE"))


class RemotePath(NamedTuple):
    """A TM argument `host:path`; `disk_id` None for the VM's folder."""

    host: str
    path: str
    disk_id: int | None


def remote_path(text: str) -> RemotePath:
    """`host:/…/datastores/<ds>/<vm>[/disk.N]`. Raises InputError."""
    host, separator, path = text.partition(":")
    if not separator or not host or host.startswith("-") or not path.startswith("/"):
        raise InputError(f"{text!r} is not of the form host:/path.")
    match = _DISK.fullmatch(path.rstrip("/").rsplit("/", 1)[-1])
    return RemotePath(host, path, int(match[1]) if match else None)


def disk_id(text: str) -> int:
    """The disk id in a path that must be a disk's. Raises InputError."""
    found = remote_path(text).disk_id
    if found is None:
        raise InputError(f"{text!r} does not end in disk.<number>.")
    return found


def words(arguments: list[str], *names: str) -> list[str]:
    """As many arguments as `names`. Raises InputError that names the missing one."""
    if len(arguments) < len(names):
        raise InputError(f"Missing argument {names[len(arguments)]}; expected: {' '.join(names)}.")
    return arguments[: len(names)]
