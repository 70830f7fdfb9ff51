"""What the shell offers after Tab: names as oned has them. Where oned does not answer, nothing."""
from __future__ import annotations

from collections.abc import Iterable

import click
from click.shell_completion import CompletionItem

from onedr.model.errors import OneDRError
from onedr.model.types import DRIVER, STOCK_DRIVER
from onedr.opennebula.api import FrontEnd

_LIMIT_S = 2.0
_IMAGE_DATASTORE = "0"


def datastores(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """Image datastores on Ceph."""
    try:
        found = FrontEnd(limit_s=_LIMIT_S).datastores()
    except OneDRError:
        return []
    return _items(begun, (
        str(each.findtext("NAME")) for each in found
        if each.findtext("DS_MAD") in (DRIVER, STOCK_DRIVER) and each.findtext("TYPE") == _IMAGE_DATASTORE
    ))


def vms(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """VMs that are not done."""
    try:
        return _items(begun, (str(vm.findtext("NAME")) for vm in FrontEnd(limit_s=_LIMIT_S).vms()))
    except OneDRError:
        return []


def _items(begun: str, names: Iterable[str]) -> list[CompletionItem]:
    # a name that a shell would read as more than a word is not offered
    return [
        CompletionItem(name) for name in sorted(set(names))
        if name.startswith(begun) and name.isprintable() and not set(name) & set(" \t'\"\\$`!;&|<>(){}*?[]#~")
    ]
