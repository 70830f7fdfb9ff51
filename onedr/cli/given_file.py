"""A text file that is given to a verb, or shown by one, and its versions."""
from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import click

from onedr.cli import output
from onedr.model.errors import InputError
from onedr.runs.answer_events import MapVersion

MAX_BYTES = 256 * 1024


def read(file: Path, too_large: str) -> str:
    """The file's text; `-` is standard input. `too_large`: what to do then. Raises InputError."""
    try:
        with click.open_file(str(file), "rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise InputError(f"{file} is larger than {MAX_BYTES >> 10} KiB; {too_large}.")
        text: str = content.decode()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8: {error.reason} at byte {error.start}") from error
    refuse_controls(text, str(file))
    return text


def refuse_controls(text: str, what: str) -> None:
    """Raises InputError for a control character in it."""
    bad = next(
        (place for place, letter in enumerate(text) if ord(letter) < 32 and letter not in "\t\n\r"), None
    )
    if bad is not None:
        raise InputError(f"{what} has a control character at position {bad}")


def show(text: str) -> None:
    """A file as it is, for a file; what a terminal would act on is shown as a ?."""
    if not sys.stdout.isatty():
        click.echo(text, nl=not text.endswith("\n"))
        return
    for line in text.removesuffix("\n").split("\n"):
        output.line(line.expandtabs())


def show_versions(versions: Iterable[MapVersion]) -> None:
    """When each was set, by whom, and which lines it changed."""
    for each in versions:
        output.line(f"version {each.number}  {output.moment(each.at)}  {each.by} at {each.site}")
        for line in each.changes:
            output.line(f"  {line}")
