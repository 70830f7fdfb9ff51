"""Is what was put into Sunstone whole? Pure."""
from __future__ import annotations

from dataclasses import dataclass

from onedr.model.errors import InputError
from onedr.sunstone import yaml_edit_rules as yaml_text
from onedr.sunstone.wanted_rules import ENTRY, MODULE, REMOTES, STUB, Found, to_install


@dataclass(frozen=True)
class Wholeness:
    """`installed`: Sunstone loads our page. `blocking`: what keeps all of Sunstone from starting, for
    everybody; `lacking`: what is missing, old or switched off.
    """

    installed: bool
    blocking: str = ""
    lacking: tuple[str, ...] = ()


def judge_whole(found: Found, views: tuple[str, ...] = ("admin",)) -> Wholeness:
    """`views`: those in which the page is looked for."""
    try:
        remotes = yaml_text.parse(found.etc.get(REMOTES, b""), found.where(REMOTES)) or {}
    except InputError as error:
        return Wholeness(True, str(error))
    entry = yaml_text.value_at(remotes, (MODULE,))
    if entry is None:
        return Wholeness(False)
    if ENTRY not in found.module:
        return Wholeness(True, f"{found.where(REMOTES)} names {found.module_path}/{ENTRY}, which is missing")
    if found.module[ENTRY] == STUB:
        return Wholeness(True, lacking=(f"{found.module_path}/{ENTRY} is the stub of a removed page",))
    try:
        changes = to_install(found, views)
    except InputError as error:
        return Wholeness(True, lacking=(str(error),))
    return Wholeness(True, lacking=tuple(
        f"{found.module_path if change.module else found.etc_path}/{change.name} is "
        f"{'missing' if change.before is None else 'not as this OneDR has it'}" for change in changes
    ))
