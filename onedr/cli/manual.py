"""The man page of `onedr`, written from the commands' own help: `python -m onedr.cli.manual > onedr.1`."""
from __future__ import annotations

from collections.abc import Iterator
from inspect import cleandoc

import click

import onedr.cli

_ENDING = """\
.SH EXIT STATUS
0 done, 1 bad input, 2 refused, 3 Ceph, 4 front\\-end, 5 partly done,
6 a check found a problem, a status is degraded or worse.
.SH ENVIRONMENT
.TP
.B ONE_LOCATION
The folder of a self\\-contained front\\-end; unset: /etc/one, /var/lib/one, /usr/lib/one.
.TP
.BR ONE_XMLRPC ", " ONE_AUTH
The front\\-end's address and the file with the credentials, as for OpenNebula's own commands.
.SH FILES
.TP
.I /etc/one/onedr/onedr.conf
The site's own settings (below $ONE_LOCATION/etc in a self\\-contained front\\-end).
.TP
.I /etc/one/onedr/record.key
The key with which both sites encrypt secrets in records; mode 0600.
.TP
.I /var/lib/one/onedr
What OneDR keeps on the front\\-end: reports of drills, what the guard knows.
.TP
.I /var/log/one/onedr.log
The log; journald has the same under the name onedr.
.SH SEE ALSO
.BR onedatastore (1),
.BR oneimage (1),
.BR onevm (1),
.BR rbd (8)
"""


def page() -> str:
    """The whole page in the man macros of roff."""
    root = click.Context(onedr.cli.main, info_name="onedr")
    about, _, _ = cleandoc(onedr.cli.main.help or "").partition("\n\n")
    lines = [
        '.TH ONEDR 1 "" "OneDR" "User Commands"',
        ".SH NAME",
        "onedr \\- disaster recovery for OpenNebula datastores on Ceph",
        ".SH SYNOPSIS",
        ".B onedr",
        ".I command",
        "[options] [arguments]",
        ".SH DESCRIPTION",
        _text(about),
        ".SH COMMANDS",
    ]
    for context in _leaves(root):
        lines += _command(context)
    return "\n".join(lines) + "\n" + _ENDING


def _leaves(context: click.Context) -> Iterator[click.Context]:
    """A context for each command that does something, those of groups included."""
    command = context.command
    if not isinstance(command, click.Group):
        yield context
        return
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        if inner is not None and not inner.hidden:
            yield from _leaves(click.Context(inner, info_name=name, parent=context))


def _command(context: click.Context) -> Iterator[str]:
    command = context.command
    yield f".SS {_text(context.command_path)} {_text(' '.join(command.collect_usage_pieces(context)))}"
    for number, paragraph in enumerate(cleandoc(command.help or "").split("\n\n")):
        yield from (*([".PP"] if number else []), _text(paragraph.replace("\b", "")))
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if isinstance(parameter, click.Option) and record is not None:
            yield from (".TP", f".B {_text(record[0])}", _text(record[1]) or "\\&")


def _text(words: str) -> str:
    """As roff takes it: backslashes and hyphens are signs, a line may not begin with a control character."""
    escaped = words.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join(
        f"\\&{line}" if line[:1] in (".", "'") else line for line in map(str.strip, escaped.splitlines())
    )


if __name__ == "__main__":
    print(page(), end="")
