"""New images: the record is made first, then the datastore driver fills it."""
from __future__ import annotations

import time

from sandbox.frontend.drivers import image_actions
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects import images
from sandbox.frontend.objects.datastores import FILE_DS, Datastore
from sandbox.frontend.objects.errors import ApiError, internal, not_allocated, unsupported
from sandbox.frontend.objects.images import Image
from sandbox.frontend.objects.pool_object import check_name
from sandbox.frontend.objects.templates import Template, leading_int
from sandbox.frontend.objects.users import Caller


def create(
    frontend: Frontend, who: Caller, template: Template, datastore: Datastore, cloning: int = -1
) -> Image:
    """Make the record and start the driver."""
    name = template.take("NAME")
    _check_new(frontend, who, name, template, datastore)
    now = int(time.time())
    image = Image(**who.owner_of(-1), name=name, regtime=now, modtime=now, cloning_id=cloning,
                  disk_type=datastore.disk_type, datastore_id=datastore.oid, datastore=datastore.name)
    if cloning != -1:
        image.path, image.format = template.take("PATH"), template.take("FORMAT")
        template.put("PATH", image.path)
        template.put("FORMAT", image.format)
    images.fill_new(image, template, datastore.template.text("DRIVER"),
                    frontend.config.default_prefix("DEFAULT_DEVICE_PREFIX"))
    image.oid = frontend.store.next_id("image")
    frontend.store.put(image)
    if cloning == -1:
        image_actions.register(frontend, image)
    else:
        image_actions.clone(frontend, image)
    datastore.images.append(image.oid)
    frontend.save(datastore)
    who.extra = image.to_xml()
    return image


def fill_from_app(frontend: Frontend, template: Template) -> str:
    """SIZE of an image whose template names a marketplace app by FROM_APP; the app replaces PATH and FORMAT.

    The stand-in knows the apps of the SANDBOX_MARKET_APP lines of oned.conf.
    """
    oid = template.number("FROM_APP")
    app = next((one for one in frontend.config.template.vectors("SANDBOX_MARKET_APP")
                if leading_int(one.get("ID", "")) == oid), None)
    if app is None:
        raise internal("Cannot determine image SIZE.")
    if not template.text("SOURCE"):
        raise unsupported("images from a marketplace")
    template.merge(Template.of(FROM_APP_NAME=app["NAME"], PATH=app["SOURCE"], FORMAT=app["FORMAT"],
                               FROM_APP_MD5=app["MD5"]))
    return app["SIZE"]


def _check_new(frontend: Frontend, who: Caller, name: str, template: Template, datastore: Datastore) -> None:
    try:
        check_name(name)
    except ApiError as failure:
        raise not_allocated("image", failure.text) from failure
    taken = frontend.store.by_name(Image, name, who.uid)
    if taken is not None:
        raise not_allocated("image", f"NAME is already taken by IMAGE {taken.oid}.")
    kind = template.text("TYPE", "OS").upper()
    if kind in images.FILE_TYPES and datastore.type != FILE_DS:
        raise not_allocated("image", f"IMAGES of type KERNEL, RAMDISK and CONTEXT cannot be registered in"
                                     f" {datastore.name}: it is not a file datastore.")
    if kind not in images.FILE_TYPES and datastore.type == FILE_DS:
        raise not_allocated("image", "FILE_DS datastores can only hold images of type KERNEL, RAMDISK and"
                                     " CONTEXT.")
