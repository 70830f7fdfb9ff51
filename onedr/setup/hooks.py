"""Creating OneDR's hooks in the running oned, and removing them.

The templates (`hooks/ceph_dr/templates/*.hook`) are in oned's own template grammar, so `onehook create` takes
them too. Here COMMAND becomes an absolute path: the default hook folder of a self-contained install has a
typing error in it (ONED-FACTS §4, last line). NAME is what makes a second run an update. What oned keeps of a
template: src/hm/Hook.cc:insert takes NAME and TYPE out, HookStateVM.cc takes ON out.
"""

from __future__ import annotations

import re
import xmlrpc.client
from collections import Counter
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
DONE = {"create": "created", "update": "updated", "replace": "replaced", "delete": "deleted", "keep": "unchanged"}


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
        return all(str(template.get(key) or "").casefold() == self.attributes.get(key, "").casefold() for key in KIND)


@dataclass(frozen=True)
class Step:
    """What is to be done with one hook: create, update, replace, delete, or nothing. `held` is what oned has."""

    verb: str
    name: str
    hook: Hook | None = None
    held: Any = None


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


def compare(server: Any, hooks: list[Hook]) -> list[Step]:
    """What makes oned have exactly `hooks` of ours; none means that all of ours go."""
    held = _held(server)
    steps = [_for_hook(hook, held.pop(hook.name, None)) for hook in hooks]
    return [*steps, *(Step("delete", name, held=other) for name, other in held.items())]


def _held(server: Any) -> dict[str, Any]:
    """Our hooks in oned: by name and by command, so that a hook somebody else named onedr-... is safe."""
    with answered("list the hooks"):
        pool = server.hookpool.info(-2, -1, -1)
    return {
        hook.NAME: hook
        for hook in pool.HOOK
        if hook.NAME.startswith(PREFIX) and f"/{DRIVER}/" in str(hook.TEMPLATE.get("COMMAND", ""))
    }


def _for_hook(hook: Hook, held: Any) -> Step:
    if held is None:
        return Step("create", hook.name, hook)
    if hook.is_held_by(held):
        return Step("keep", hook.name, hook, held)
    return Step("update" if hook.is_kind_of(held) else "replace", hook.name, hook, held)


def carry_out(server: Any, steps: list[Step]) -> list[str]:
    """Do it; returns the hooks whose API call this release of oned does not have."""
    unsupported = []
    for step in steps:
        if step.hook and step.verb == "update":
            with answered(f"update the hook {step.name}"):
                server.hook.update(step.held.ID, step.hook.text(NOT_KEPT), APPEND)
        if step.verb in ("delete", "replace"):
            with answered(f"delete the hook {step.name}"):
                server.hook.delete(step.held.ID)
        if step.hook and step.verb in ("create", "replace") and not _create(server, step.hook):
            unsupported.append(step.name)
    return unsupported


def _create(server: Any, hook: Hook) -> bool:
    try:
        with answered(f"create the hook {hook.name}"):
            server.hook.allocate(hook.text())
    except FrontEndError as error:
        if "does not exist or is not supported" not in str(error):
            raise
        return False
    return True


def summary(steps: list[Step], unsupported: list[str]) -> str:
    """One line: how many hooks of each kind of step, and those this oned does not know."""
    counts = Counter(DONE[step.verb] for step in steps if step.name not in unsupported)
    text = "Hooks: " + (", ".join(f"{n} {verb}" for verb, n in sorted(counts.items())) or "none") + "."
    if unsupported:
        text += " This release of oned does not have the calls of " + ", ".join(unsupported) + "."
    return text


def datastores_in_use(server: Any) -> list[str]:
    """The datastores of the running oned that name our driver."""
    with answered("list the datastores"):
        pool = server.datastorepool.info()
    return [f"{ds.ID} ({ds.NAME})" for ds in pool.DATASTORE if DRIVER in (ds.DS_MAD, ds.TM_MAD)]
