"""Asking the running oned what it knows: it reads oned.conf only when it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onedr.install.oned_conf import INHERIT, INHERITED, LISTS, SECTIONS, driver_list
from onedr.model.errors import FrontEndError
from onedr.model.types import DRIVER

if TYPE_CHECKING:
    from lxml import etree

    from onedr.opennebula.api import FrontEnd


def running(frontend: FrontEnd, installed: str) -> list[str]:
    """What is to be said of the running oned, a line each, the last one of `ceph_dr`.

    Raises FrontEndError without an answer.
    """
    lines = []
    release = frontend.release()
    if installed and release != installed:
        lines.append(
            f"The running oned is {release}, the files are those of {installed}. To do: restart oned."
        )
    try:
        missing = unknown(frontend.configuration())
    except FrontEndError as error:
        return [*lines, f"Whether the running oned knows {DRIVER} could not be told: {error}"]
    if missing:
        return [
            *lines,
            f"The running oned does not know {DRIVER} yet ({', '.join(missing)}). To do: restart oned.",
        ]
    return [*lines, f"The running oned ({release}) knows {DRIVER}."]


def unknown(configuration: etree._Element) -> list[str]:
    """The parts of our registration that are not in the configuration oned runs with."""
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
    inherited = {item.text for item in configuration.iterfind(INHERIT)}
    return missing + [f"{INHERIT} {name}" for name in INHERITED if name not in inherited]
