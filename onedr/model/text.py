"""Sentences for people."""
from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable
from typing import TypeVar

_ON_A_DATASTORE = re.compile(
    r"\bonedr (?:drill (?:start|cleanup|report)|point (?:pin|unpin|recover)|"
    r"recovery-plan (?:show|edit|check|history)|status|check|move|failover|failback|resume|abort|cancel|"
    r"reconcile|history|enable|disable|reprotect|kept|snapshots|points|map|pause|resume-protection|runbook)\b"
    r"(?![-_])(?: DATASTORE\b)?"
)


def first_few(texts: Collection[str], shown: int = 3, separator: str = ", ") -> str:
    """The first few of many, and how many more there are."""
    more = len(texts) - shown
    return separator.join(list(texts)[:shown]) + (f" and {more} more" if more > 0 else "")


def closest(word: str, known: Iterable[str]) -> str:
    """`; do you mean …?` for the closest of the known words; a full stop when none is close."""
    import difflib  # in errors only

    found = difflib.get_close_matches(word, sorted(known), 1)
    return f"; do you mean {found[0]}?" if found else "."


def printable(text: str) -> str:
    """Text that users may have written, with a ? for each control character and line end in it: nothing that
    a terminal, a page or a reader of lines would act on.
    """
    return "".join(letter if letter.isprintable() else "?" for letter in text)


class Sentence(str):
    """A sentence for whoever runs a verb. `public` is what every user may read of it, on the datastore: other
    people's VMs and images are counted in it, not named. Without one the sentence names none.

    Text made from it is plain text again, which has nothing public.
    """

    public: str

    def __new__(cls, text: str, public: str | None = None) -> Sentence:
        made = super().__new__(cls, text)
        made.public = text if public is None else public
        return made

    def then(self, more: str) -> Sentence:
        """Both, one after the other."""
        return Sentence(f"{self}{more}", f"{self.public}{public_of(more, '')}")


NOTHING = Sentence("")


def named(found: Collection[str], kind: str = "image(s)", see: str = "onedr status") -> Sentence:
    """The first few names; for the public how many of which kind, and the command that names them."""
    return Sentence(first_few(found), f"{len(found)} {kind} (see {see})")


def filled(form: str, *parts: str) -> Sentence:
    """`form` with a part in place of each `{}`; of a part that has nothing public the public reads `…`."""
    first, *pieces = form.split("{}", len(parts))  # no format(): a form may contain text that users wrote
    made = Sentence(first)
    for part, piece in zip(parts, pieces):
        made = made.then(Sentence(part, public_of(part, "…"))).then(Sentence(piece))
    return made


def together(texts: Iterable[str]) -> Sentence:
    """Sentences as one; of those that have nothing public the public reads `…`."""
    found = list(texts)
    return filled(" ".join(["{}"] * len(found)), *found)


def public_of(text: str, otherwise: str) -> str:
    """What every user may read of a text; `otherwise` when nothing says so."""
    return (text.public if isinstance(text, Sentence) else "") or otherwise


Text = TypeVar("Text", bound=str)


def pasteable(text: Text, datastore: str) -> Text:
    """A sentence whose commands can be pasted: those that lack the datastore get its name, quoted for a
    shell. What is public of it, too.
    """
    if isinstance(text, Sentence):
        return type(text)(_with_name(text, datastore), _with_name(text.public, datastore))
    return type(text)(_with_name(text, datastore))


def _with_name(text: str, datastore: str) -> str:
    name = shlex.quote(datastore)
    named_already = (f" {name}", f" {datastore}")

    def one(found: re.Match[str]) -> str:
        rest, command = text[found.end():], found[0].removesuffix(" DATASTORE")
        return found[0] if not datastore or rest.startswith(named_already) else f"{command} {name}"

    return _ON_A_DATASTORE.sub(one, text)
