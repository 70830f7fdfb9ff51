"""Which template attributes are secrets, and how they are taken out of a template and put back."""
from __future__ import annotations

import re
from collections.abc import Collection

from onedr.model.template import Pairs

# Attributes of a record's template. The first name is used in records of release 0.1 and is kept.
ENCRYPTED = "ONEDR_SEALED"  # the secrets, encrypted
WITHHELD = "ONEDR_WITHHELD"  # where secrets were left out because the site has no record key
# Rather one too many: it only travels encrypted.
_SECRET = re.compile(
    r"(?<!BY)(?<!COM)PASS(?!TH|AGE|IVE)|SECRET|TOKEN|PRIVATE|PRIV_?KEY|CREDENTIAL"
    r"|PSK|(^|_)(API|ENC|SSH)?KEYS?(_|$)|(^|_)(PW|PWD|PIN|OTP)$"
)
# LUKS_SECRET is the id of one, in libvirt of the hosts.
_PUBLIC = re.compile(r"PUBLIC|PUB_?KEY|AUTHORIZED|KEYMAP|^LUKS_SECRET$")


def is_secret(key: str, also: Collection[str] = ()) -> bool:
    """Does an attribute's name indicate that its value is secret, or is it one of those named (`also`)?"""
    name = key.upper()
    return name in also or (bool(_SECRET.search(name)) and not _PUBLIC.search(name))


def split_secrets(attributes: Pairs, also: Collection[str] = ()) -> tuple[Pairs, Pairs]:
    """(template without secrets, secrets). A secret's key is its position: `PASSWORD`, or `3/PASSWORD` in the
    vector at position 3. `also`: names of DR_SECRET_ATTRS.

    In a vector whose name indicates a secret, every value is one.
    """
    kept: list[tuple[str, object]] = []
    secrets: list[tuple[str, object]] = []
    for key, value in attributes:
        if isinstance(value, str):
            target = secrets if is_secret(key, also) and value else kept
            target.append((key, value))
            continue
        place = len(kept)
        hidden = [
            bool(text) and (is_secret(key, also) or is_secret(inner, also)) for inner, text in value
        ]
        secrets += [(f"{place}/{inner}", text) for (inner, text), hide in zip(value, hidden) if hide]
        kept.append((key, tuple(pair for pair, hide in zip(value, hidden) if not hide)))
    return tuple(kept), tuple(secrets)


def restore_secrets(attributes: Pairs, secrets: Pairs) -> Pairs:
    """Put secrets back where `split_secrets` took them from.

    Order within a vector is not restored; it has no meaning.
    """
    vectors: dict[int, list[tuple[str, object]]] = {}
    plain = []
    for place, value in secrets:
        position, separator, key = place.rpartition("/")
        if separator:
            vectors.setdefault(int(position), []).append((key, value))
        else:
            plain.append((place, value))
    joined = tuple(
        (key, (*value, *vectors[at]) if at in vectors else value)
        for at, (key, value) in enumerate(attributes)
    )
    return (*joined, *plain)


def places(attributes: Pairs, secrets: Pairs) -> tuple[str, ...]:
    """Where these secrets belong: `PASSWORD`, or `CONTEXT/PASSWORD` of a vector. Without a value."""
    found = []
    for place, _ in secrets:
        position, separator, key = place.rpartition("/")
        found.append(f"{attributes[int(position)][0]}/{key}" if separator else place)
    return tuple(found)
