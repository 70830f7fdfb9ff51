"""Datastore objects: the attributes that oned.conf adds or demands, and those that a disk inherits."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from sandbox.frontend.objects.config import Config
from sandbox.frontend.objects.errors import internal
from sandbox.frontend.objects.pool_object import PoolObject, ids_xml
from sandbox.frontend.objects.states import DATASTORE_TYPES, DISK_TYPES
from sandbox.frontend.objects.templates import Template, Vector, cdata

IMAGE_DS, SYSTEM_DS, FILE_DS, BACKUP_DS = DATASTORE_TYPES.values()
_IMAGE_DISKS = {"FILE", "BLOCK", "ISCSI", "RBD", "GLUSTER", "SHEEPDOG", "FILE_SYSTEM"}
_SYSTEM_DISKS = {"FILE", "RBD", "BLOCK", "FILE_SYSTEM"}
_TARGETS = ("NONE", "SELF", "SYSTEM")


@dataclass
class Datastore(PoolObject):
    """A datastore."""

    KIND: ClassVar[str] = "datastore"
    ROOT: ClassVar[str] = "DATASTORE"
    LABEL: ClassVar[str] = "datastore"

    ds_mad: str = "-"
    tm_mad: str = "-"
    base_path: str = ""
    type: int = IMAGE_DS
    disk_type: int = 0
    state: int = 0
    clusters: list[int] = field(default_factory=list)
    total_mb: int = 0
    free_mb: int = 0
    used_mb: int = 0
    images: list[int] = field(default_factory=list)

    def to_xml(self) -> str:
        return (
            f"<DATASTORE>{self.head_xml()}<DS_MAD>{cdata(self.ds_mad)}</DS_MAD><TM_MAD>{cdata(self.tm_mad)}</TM_MAD>"
            f"<BASE_PATH>{cdata(self.base_path)}</BASE_PATH><TYPE>{self.type}</TYPE>"
            f"<DISK_TYPE>{self.disk_type}</DISK_TYPE><STATE>{self.state}</STATE>"
            f"{ids_xml('CLUSTERS', self.clusters)}"
            f"<TOTAL_MB>{self.total_mb}</TOTAL_MB><FREE_MB>{self.free_mb}</FREE_MB><USED_MB>{self.used_mb}</USED_MB>"
            f"{ids_xml('IMAGES', self.images)}{self.template.to_xml()}</DATASTORE>")

    @property
    def type_text(self) -> str:
        """Name of the type."""
        return next(name for name, number in DATASTORE_TYPES.items() if number == self.type)

    def available(self) -> int | None:
        """Free MB, or None when this datastore is not checked."""
        if self.template.text("DATASTORE_CAPACITY_CHECK").upper() == "NO":
            return None
        limit = self.template.number("LIMIT_MB")
        return self.free_mb if limit is None else min(self.free_mb, limit - self.used_mb)

    def fill_disk(self, disk: Vector, inherit: list[str]) -> None:
        """Copy what a DISK takes from the datastore of its image."""
        disk |= {"DATASTORE": self.name, "DATASTORE_ID": str(self.oid), "TM_MAD": self.tm_mad,
                 "CLUSTER_ID": ",".join(str(one) for one in sorted(self.clusters))}
        suffix = "_" + disk["TM_MAD_SYSTEM"].upper() if disk.get("TM_MAD_SYSTEM") else ""
        for name in ("CLONE_TARGET", "LN_TARGET"):
            value = self.template.text(name + suffix) or self.template.text(name)
            if value:
                disk[name] = value
        if self.template.text("DISK_TYPE" + suffix) and suffix:
            disk["DISK_TYPE"] = self.template.text("DISK_TYPE" + suffix)
        for name in inherit:
            if self.template.text(name):
                disk.setdefault(name, self.template.text(name))


def create(datastore: Datastore, template: Template, config: Config, location: str) -> None:
    """Fill a new datastore from the user's template."""
    datastore.template = template
    kind = template.text("TYPE", "IMAGE_DS").upper()
    datastore.type = DATASTORE_TYPES.get(kind, IMAGE_DS)
    datastore.ds_mad, datastore.tm_mad = template.text("DS_MAD"), template.text("TM_MAD")
    if datastore.type == SYSTEM_DS:
        if datastore.ds_mad:
            raise internal("SYSTEM datastores cannot have DS_MAD defined.")
        datastore.ds_mad = "-"
    elif not datastore.ds_mad:
        raise internal("No DS_MAD in template.")
    apply_ds_conf(datastore, config)
    if datastore.type == BACKUP_DS:
        datastore.tm_mad = "-"
    else:
        apply_tm_conf(datastore, datastore.tm_mad, config)
    template.pop("BASE_PATH", None)
    datastore.base_path = f"{location}/{datastore.oid}"
    set_disk_type(datastore, template.take("DISK_TYPE"))
    if not template.text("SAFE_DIRS") and not template.text("RESTRICTED_DIRS"):
        template.put("SAFE_DIRS", "/var/tmp")
        template.put("RESTRICTED_DIRS", "/")


def apply_ds_conf(datastore: Datastore, config: Config) -> None:
    """DS_MAD_CONF of the driver: required attributes."""
    if datastore.type == SYSTEM_DS:
        return
    conf = config.driver_conf("DS_MAD_CONF", datastore.ds_mad)
    if conf is None:
        raise internal(f'DS_MAD named "{datastore.ds_mad}" is not defined in oned.conf')
    if conf.get("DATASTORE_CAPACITY_CHECK"):
        datastore.template.put("DATASTORE_CAPACITY_CHECK", conf["DATASTORE_CAPACITY_CHECK"].upper())
    for name in conf.get("REQUIRED_ATTRS", "").split(","):
        wanted = name.strip().upper()
        if wanted and not datastore.template.text(wanted):
            raise internal(f'Datastore template is missing the "{wanted}" attribute or it\'s empty.')


def apply_tm_conf(datastore: Datastore, tm_mad: str, config: Config) -> None:
    """TM_MAD_CONF of the driver: attributes every datastore of it has."""
    if not tm_mad:
        raise internal("No TM_MAD in template.")
    conf = config.driver_conf("TM_MAD_CONF", tm_mad)
    if conf is None:
        raise internal(f'TM_MAD named "{tm_mad}" is not defined in oned.conf')
    template = datastore.template
    if datastore.type == SYSTEM_DS:
        template.put("SHARED", _needed(conf, "SHARED", tm_mad).upper())
        for name, default in (("DS_MIGRATE", "YES"), ("DS_LIVE_MIGRATE", "NO"), ("DS_MIGRATE_SNAP", "NO")):
            template.put(name, conf.get(name, default).upper())
        template.pop("LN_TARGET", None)
        template.pop("CLONE_TARGET", None)
    else:
        _apply_image_targets(template, conf, tm_mad)
    template.put("ALLOW_ORPHANS", conf.get("ALLOW_ORPHANS", "NO"))
    template.put("PERSISTENT_SNAPSHOTS", conf.get("PERSISTENT_SNAPSHOTS", "YES").upper())


def _apply_image_targets(template: Template, conf: Vector, tm_mad: str) -> None:
    if conf.get("TM_MAD_SYSTEM"):
        template.put("TM_MAD_SYSTEM", conf["TM_MAD_SYSTEM"])
        for mode in conf["TM_MAD_SYSTEM"].split(","):
            for name in ("LN_TARGET", "CLONE_TARGET", "DISK_TYPE"):
                key = f"{name}_{mode.strip().upper()}"
                template.put(key, _needed(conf, key, tm_mad))
    for name in ("LN_TARGET", "CLONE_TARGET"):
        value = _needed(conf, name, tm_mad).upper()
        if value not in _TARGETS:
            raise _bad_conf(tm_mad)
        template.put(name, value)
    for name in ("DRIVER", "DISK_TYPE"):
        if conf.get(name):
            template.put(name, conf[name])
    template.pop("SHARED", None)


def _needed(conf: Vector, name: str, tm_mad: str) -> str:
    if not conf.get(name):
        raise _bad_conf(tm_mad)
    return conf[name]


def _bad_conf(tm_mad: str) -> Exception:
    return internal(f"Attribute shared, ln_target or clone_target in TM_MAD_CONF for {tm_mad} is missing or"
                    " has wrong value in oned.conf")


def set_disk_type(datastore: Datastore, name: str) -> None:
    """Set DISK_TYPE, refusing what the type of datastore cannot hold."""
    chosen = name.upper() or "FILE"
    if datastore.type in (FILE_DS, BACKUP_DS):
        datastore.disk_type = 0
        return
    if chosen not in DISK_TYPES:
        raise internal("Unknown DISK_TYPE in template.")
    if datastore.type == IMAGE_DS and chosen not in _IMAGE_DISKS:
        raise internal("Invalid DISK_TYPE for an Image Datastore.")
    if datastore.type == SYSTEM_DS and chosen not in _SYSTEM_DISKS:
        raise internal("Invalid DISK_TYPE for a System Datastore.")
    datastore.disk_type = DISK_TYPES[chosen]
    datastore.template.put("DISK_TYPE", chosen)


def after_update(datastore: Datastore, config: Config) -> None:
    """What oned does to a datastore whose template was changed."""
    template = datastore.template
    kind = DATASTORE_TYPES.get(template.text("TYPE").upper())
    if datastore.oid != 0 and datastore.type != BACKUP_DS and kind is not None:
        datastore.type = kind
    template.put("TYPE", datastore.type_text)
    disk_type = template.take("DISK_TYPE")
    if disk_type:
        set_disk_type(datastore, disk_type)
    tm_mad = template.text("TM_MAD")
    if tm_mad and datastore.type != BACKUP_DS:
        if datastore.type == SYSTEM_DS and tm_mad != datastore.tm_mad:
            forget_size(datastore)
        apply_tm_conf(datastore, tm_mad, config)
        datastore.tm_mad = tm_mad
    else:
        template.put("TM_MAD", datastore.tm_mad)
    _update_ds_mad(datastore)
    apply_ds_conf(datastore, config)


def _update_ds_mad(datastore: Datastore) -> None:
    template = datastore.template
    if datastore.type == SYSTEM_DS:
        datastore.ds_mad = "-"
        template.pop("DS_MAD", None)
    elif not template.text("DS_MAD"):
        template.put("DS_MAD", datastore.ds_mad)
    elif template.text("DS_MAD") != datastore.ds_mad:
        datastore.ds_mad = template.text("DS_MAD")
        forget_size(datastore)


def forget_size(datastore: Datastore) -> None:
    """The next monitor turn brings new numbers."""
    datastore.total_mb = datastore.free_mb = datastore.used_mb = 0
