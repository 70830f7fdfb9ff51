"""Creating OneDR's hooks in the running oned, and removing them.

The templates (`hooks/ceph_dr/templates/*.hook`) are in oned's own template grammar, so `onehook create` takes
them too. Here COMMAND becomes an absolute path: the default hook folder of a self-contained install has a
typing error in it (ONED-FACTS §4, last line). NAME is what makes a second run an update. What oned keeps of a
template: src/hm/Hook.cc:insert takes NAME and TYPE out, HookStateVM.cc takes ON out.
"""

from __future__ import annotations

import re
import xmlrpc.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

from onedr.errors import FrontEndError, InputError
from onedr.setup.lens import parse
from onedr.setup.oned_conf import DRIVER, LENS
from onedr.setup.paths import Paths

PREFIX = "onedr-"
ENDPOINT = "http://localhost:2633/RPC2"
LIMIT_S = 30
APPEND = 1
NOT_KEPT = ("NAME", "TYPE", "ON")
# What fixes the kind of a hook; oned cannot change these of a hook that exists.
KIND = ("TYPE", "RESOURCE")


@dataclass(frozen=True)
class Hook:
    """One hook as it should be."""

    name: str
    attributes: Mapping[str, str]

    def text(self, without: tuple[str, ...] = ()) -> str:
        return "".join(f'{k} = "{v}"\n' for k, v in self.attributes.items() if k not in without)

    def is_held_by(self, held: Any) -> bool:
        template = {**held.TEMPLATE, "TYPE": held.TYPE}
        return all(
            str(template.get(key, "")).casefold() == value.casefold()
            for key, value in self.attributes.items()
            if key not in ("NAME", "ON")
        )

    def is_kind_of(self, held: Any) -> bool:
        template = {**held.TEMPLATE, "TYPE": held.TYPE}
        return all(
            str(template.get(key) or "").casefold() == self.attributes.get(key, "").casefold() for key in KIND
        )


@dataclass
class Outcome:
    """What became of each hook, by name."""

    created: list[str]
    updated: list[str]
    unchanged: list[str]
    removed: list[str]
    unsupported: list[str]

    def __str__(self) -> str:
        counts = {k: len(v) for k, v in vars(self).items() if v and k != "unsupported"}
        text = "Hooks: " + (", ".join(f"{n} {k}" for k, n in counts.items()) or "none") + "."
        if self.unsupported:
            text += " This oned does not know the call of: " + ", ".join(self.unsupported) + "."
        return text


def load(folder: Path, hooks_folder: Path, lenses: Path) -> list[Hook]:
    """The templates of a folder, with their commands as absolute paths."""
    hooks = []
    for file in sorted(folder.glob("*.hook")):
        nodes = parse(file.read_bytes(), LENS, str(file), str(lenses))
        attributes = {node.name.upper(): node.value for node in nodes}
        command = str(hooks_folder / attributes.get("COMMAND", ""))
        # onehem hands a command with any shell character in it to a shell (ONED-FACTS §4).
        if not re.fullmatch(r"[\w./+@:-]+", command):
            raise InputError(f"{file}: the command {command!r} has blanks or shell characters in its path.")
        hooks.append(Hook(attributes["NAME"], {**attributes, "COMMAND": command}))
    return hooks


def connect(paths: Paths, environment: Mapping[str, str]) -> Any:
    """A client of the front-end, by ONE_XMLRPC and the first credential file found."""
    try:
        import pyone
    except ImportError as error:
        raise FrontEndError(f"Python cannot load pyone ({error}), so oned cannot be asked.") from error
    home = Path(environment.get("HOME", "/nonexistent"))
    named = environment.get("ONE_AUTH")
    candidates = [Path(named)] if named else [paths.var / ".one/one_auth", home / ".one/one_auth"]
    for file in candidates:
        if file.is_file():
            endpoint = environment.get("ONE_XMLRPC") or ENDPOINT
            session = file.read_text().strip()
            return pyone.OneServer(endpoint, session, timeout=LIMIT_S, protocol="xmlrpc")
    raise FrontEndError(f"There are no credentials: looked for {', '.join(map(str, candidates))}. Set ONE_AUTH.")


@contextmanager
def answered(what: str) -> Iterator[None]:
    """Every way in which oned may fail to answer, as one error."""
    import pyone

    try:
        yield
    except pyone.OneException as error:
        raise FrontEndError(f"oned refused to {what}: {error}", getattr(error, "code", 0) or 0) from error
    except (OSError, xmlrpc.client.Error, ExpatError) as error:
        raise FrontEndError(f"oned did not answer when asked to {what} ({type(error).__name__}).") from error


def register(server: Any, hooks: list[Hook]) -> Outcome:
    """Create what is missing, update what differs, remove what an earlier release had."""
    outcome = Outcome([], [], [], [], [])
    held = _held(server)
    for hook in hooks:
        _register_one(server, hook, held.pop(hook.name, None), outcome)
    _delete(server, held, outcome)
    return outcome


def unregister(server: Any) -> Outcome:
    """Remove every hook of ours."""
    outcome = Outcome([], [], [], [], [])
    _delete(server, _held(server), outcome)
    return outcome


def _held(server: Any) -> dict[str, Any]:
    """Our hooks in oned: by name, and by command, so that a hook somebody else named onedr-… is safe."""
    with answered("list the hooks"):
        pool = server.hookpool.info(-2, -1, -1)
    return {
        hook.NAME: hook
        for hook in pool.HOOK
        if hook.NAME.startswith(PREFIX) and f"/{DRIVER}/" in str(hook.TEMPLATE.get("COMMAND", ""))
    }


def _register_one(server: Any, hook: Hook, held: Any, outcome: Outcome) -> None:
    if held is not None and hook.is_held_by(held):
        outcome.unchanged.append(hook.name)
        return
    if held is not None and hook.is_kind_of(held):
        with answered(f"update the hook {hook.name}"):
            server.hook.update(held.ID, hook.text(NOT_KEPT), APPEND)
        outcome.updated.append(hook.name)
        return
    if held is not None:
        _delete(server, {hook.name: held}, outcome)
    try:
        with answered(f"create the hook {hook.name}"):
            server.hook.allocate(hook.text())
    except FrontEndError as error:
        if "does not exist or is not supported" not in str(error):
            raise
        outcome.unsupported.append(hook.name)
        return
    outcome.created.append(hook.name)


def _delete(server: Any, held: Mapping[str, Any], outcome: Outcome) -> None:
    for name, hook in held.items():
        with answered(f"delete the hook {name}"):
            server.hook.delete(hook.ID)
        outcome.removed.append(name)


def datastores_in_use(server: Any) -> list[str]:
    """The datastores of the running oned that name our driver."""
    with answered("list the datastores"):
        pool = server.datastorepool.info()
    return [f"{ds.ID} ({ds.NAME})" for ds in pool.DATASTORE if DRIVER in (ds.DS_MAD, ds.TM_MAD)]
