"""Names of the file images that a VM's OS section refers to by id: they are recorded instead of the ids."""
from __future__ import annotations

from lxml import etree

from onedr.model.errors import FrontEndError
from onedr.opennebula import files
from onedr.opennebula.api import NO_SUCH_OBJECT, FrontEnd, attributes


def file_names(frontend: FrontEnd, vm: etree._Element) -> dict[int, files.FileImage]:
    """By id. An image that is gone is left out: then the id stays in the record, and is a reason not to start
    the VM elsewhere. Raises FrontEndError.
    """
    found = {}
    for image_id in sorted(files.ids(attributes(vm))):
        try:
            image = frontend.image(image_id)
        except FrontEndError as error:
            if error.code != NO_SUCH_OBJECT:
                raise
            continue
        found[image_id] = files.FileImage(image.findtext("NAME") or "", image.findtext("UNAME") or "")
    return found
