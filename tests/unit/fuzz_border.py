"""What stands at the drivers' border for the fuzz suite: no Ceph, no front-end, no program; names that go
out are looked at.
"""
from __future__ import annotations

import functools
import io
import itertools
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, SimpleNamespace
from typing import Any
from unittest import mock

import rados
import rbd

from onedr.host import log, paths, process
from onedr.host.process import ProcessError
from onedr.model.errors import FrontEndError
from onedr.opennebula import api

REPO = Path(__file__).parents[2]
EXECUTABLES = sorted(path for path in REPO.glob("drivers/*/ceph_dr/*") if path.is_file())
# What may reach Ceph as the name of a pool, user, image or snapshot; written down here anew, not taken from
# the product.
SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
PROGRAMS = {"ssh", "rm", "mkfs", "mkfs.xfs", "mkswap", "qemu-img", "mkdir", "stat", "tar", "timeout"}
ENDS_OTHERWISE = {"tar", "timeout"}  # not with a path
HOST = SAFE | frozenset(":@")


@dataclass
class Outcome:
    """How an action ended, and what it did that it must never do."""

    code: int | None
    out: str
    err: str
    violations: list[str]


@dataclass
class World:
    """Answers of a canned front-end (texts by method), whether images exist, and violations seen."""

    answers: dict[str, str] = field(default_factory=dict)
    images_exist: bool = False
    violations: list[str] = field(default_factory=list)

    def name(self, what: str, *names: object) -> None:
        for name in names:
            if isinstance(name, str) and (
                not name or name[0] in "-." or not set(name) <= SAFE or len(name) > 200
            ):
                self.violations.append(f"{what}: {name!r}")

    def call(self, method: str, *arguments: Any) -> Any:
        """Instead of FrontEnd.call."""
        if method not in self.answers:
            raise FrontEndError(f"[one.{method}] Error getting object [{arguments}].", api.NO_SUCH_OBJECT)
        return self.answers[method]

    def rados(self, name: str = "", **_: object) -> Any:
        """Instead of rados.Rados: a cluster that holds nothing, or anything, and takes nothing."""
        self.name("user", name.removeprefix("client."))
        return SimpleNamespace(
            connect=lambda **_: None,
            shutdown=lambda: None,
            get_fsid=lambda: "fsid",
            list_pools=lambda: [],
            open_ioctx=self.open_ioctx,
            pool_exists=self.pool_exists,
            mon_command=lambda *_, **__: (-22, b"", "refused"),
            mgr_command=lambda *_, **__: (-22, b"", "refused"),
            conf_set=lambda *_: None,
            conf_get=lambda _: "3",
        )

    def pool_exists(self, name: str) -> bool:
        self.name("data pool", name)
        return True

    def open_ioctx(self, name: str) -> Any:
        self.name("pool", name)
        return _refused_pool()

    def rbd(self) -> Any:
        """Instead of rbd.RBD: looks at every name, refuses every call."""
        return _Refusing(self, "rbd")

    @contextmanager
    def image(
        self, _: object, name: str | None = None, snapshot: str | None = None, **more: object
    ) -> Iterator[Any]:
        """Instead of rbd.Image."""
        self.name("image", name, snapshot)
        if not self.images_exist:
            raise rbd.ImageNotFound(f"no image {name}", errno=2)
        yield _Refusing(self, f"image {name}")

    def program(self, argv: Sequence[str], *_: object, **__: object) -> str:
        """Instead of process.run: nothing starts; a word from outside must never be an option or a shell
        word.
        """
        words = list(argv)
        if words[0] not in PROGRAMS or not all(isinstance(word, str) and "\0" not in word for word in words):
            self.violations.append(f"program {words!r}")
        if words[0] == "ssh":
            host = words[words.index("--") + 1] if "--" in words else words[-2]
            if host.startswith("-") or not set(host) <= HOST:
                self.violations.append(f"host {host!r}")
        elif (
            not words[-1].startswith("/")
            and words[0] not in ENDS_OTHERWISE
            and words[:2] != ["qemu-img", "resize"]
        ):
            self.violations.append(f"program {words!r}")
        raise ProcessError(f"{words[0]} is not installed on this machine.")


@functools.cache
def _refused_pool() -> Any:
    """One for all examples: to make a MagicMock costs more than to play an action."""
    refused = mock.MagicMock()
    refused.__enter__.return_value = refused
    refused.__exit__.return_value = False
    for method in ("get_omap_vals", "get_omap_vals_by_keys"):
        getattr(refused, method).return_value = (iter(()), 0)
    for method in (
        "operate_write_op",
        "operate_read_op",
        "write_full",
        "remove_object",
        "lock_exclusive",
        "set_xattr",
    ):
        getattr(refused, method).side_effect = rados.Error("refused")
    return refused


class _Refusing:
    def __init__(self, world: World, what: str):
        self._world, self._what = world, what

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def refuse(*arguments: object, **more: object) -> Any:
            if not method.startswith("metadata_"):
                self._world.name(f"{self._what} {method}", *arguments, *more.values())
            raise rbd.InvalidArgument(f"{method} refused", errno=22)

        return refuse


class _Ended(BaseException):
    def __init__(self, code: int | None):
        self.code = code


def _end(code: int) -> None:
    raise _Ended(code)


@functools.cache
def _code(executable: Path) -> CodeType:
    return compile(executable.read_text(), executable, "exec")


def play(executable: Path, argv: Sequence[str], stdin: bytes, world: World) -> Outcome:
    """Run an executable's own text in this process, between the borders above."""
    out, err, code = io.StringIO(), io.StringIO(), None
    with _borders(world), redirect_stdout(out), redirect_stderr(err), mock.patch.multiple(
        sys, argv=[str(executable), *argv], stdin=SimpleNamespace(buffer=io.BytesIO(stdin), fileno=lambda: 0)
    ), mock.patch.object(os, "_exit", _end):
        try:
            exec(_code(executable), {"__name__": "__main__", "__file__": str(executable)})
        except _Ended as end:
            code = end.code
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(bool(end.code))
    return Outcome(code, out.getvalue(), err.getvalue(), world.violations)


@contextmanager
def _borders(world: World) -> Iterator[None]:
    def no_program(*arguments: object, **_: object) -> None:
        world.violations.append(f"a program past the gate: {arguments!r}")
        raise FileNotFoundError("no programs here")

    clock = itertools.count()  # a second passes between two looks: every wait comes to its end

    cluster = functools.partial(world.rados)
    cluster.DEFAULT_CONF_FILES = "/etc/ceph/ceph.conf"  # type: ignore[attr-defined]

    def nothing(*_: object) -> None:
        pass

    def no_address(*_: object, **__: object) -> None:
        raise socket.gaierror("no names here")

    @contextmanager
    def no_conversation(argv: Sequence[str], *_: object) -> Iterator[None]:
        world.program(argv)
        yield

    def no_network(*arguments: object, **_: object) -> None:
        raise ConnectionRefusedError("no network here")

    with (
        mock.patch.object(api.FrontEnd, "call", world.call),
        mock.patch.object(log, "_write", lambda *_: None),
        mock.patch.object(paths, "credentials", lambda: "oneadmin:x"),
        mock.patch.object(rados, "Rados", cluster),
        mock.patch.object(rbd, "Image", world.image),
        mock.patch.object(rbd, "RBD", world.rbd),
        mock.patch.object(process, "run_program", world.program),
        mock.patch.object(process, "detach", lambda *_: 1),
        mock.patch.object(process, "conversation", no_conversation),
        mock.patch.object(process, "stream", no_conversation),
        mock.patch("socket.getaddrinfo", no_address),
        mock.patch("subprocess.Popen", no_program),
        mock.patch("os.posix_spawn", no_program),
        mock.patch("socket.create_connection", no_network),
        mock.patch("urllib.request.urlopen", no_network),
        mock.patch("signal.signal", nothing),
        mock.patch("time.sleep", nothing),
        mock.patch("time.monotonic", clock.__next__),
    ):
        yield
