"""Checking the configuration of the running oned, which reads oned.conf only at its start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onedr.install.oned_conf import LISTS, REPEATED, SECTIONS, driver_list
from onedr.model.errors import FrontEndError
from onedr.model.types import DRIVER

if TYPE_CHECKING:
    from lxml import etree

    from onedr.opennebula.api import FrontEnd


def running(frontend: FrontEnd, installed: str) -> list[str]:
    """Messages about the running oned, the last one about `ceph_dr`.

    Raises FrontEndError when it does not answer.
    """
    lines = []
    release = frontend.release()
    if installed and release != installed:
        lines.append(
            f"The running oned is {release}, but the installed files are of {installed}. To do: restart oned."
        )
    try:
        missing = unknown(frontend.configuration())
    except FrontEndError as error:
        return [*lines, f"Cannot determine whether the running oned knows {DRIVER}: {error}"]
    if missing:
        return [
            *lines,
            f"The running oned does not know {DRIVER} yet ({', '.join(missing)}). To do: restart oned.",
        ]
    return [*lines, f"The running oned ({release}) knows {DRIVER}."]


def unknown(configuration: etree._Element) -> list[str]:
    """The parts of our registration that are missing in the running oned's configuration."""
    missing = []
    for section, options in LISTS.items():
        arguments = configuration.findtext(f"{section}/ARGUMENTS") or ""
        for option, optional in options.items():
            found = driver_list(arguments, option)
            if DRIVER not in found[1].split(",") if found else not optional:
                missing.append(f"{section} {option.split('|')[0]}")
    for section, wanted in SECTIONS.items():
        current = [item for item in configuration.iterfind(section) if item.findtext("NAME") == DRIVER]
        if not any(all(item.findtext(key) == value for key, value in wanted.items()) for item in current):
            missing.append(section)
    for name, values in REPEATED.items():
        present = {item.text for item in configuration.iterfind(name)}
        missing += [f"{name} {value}" for value in values if value not in present]
    return missing
