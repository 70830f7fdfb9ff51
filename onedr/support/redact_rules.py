"""Secrets taken out of text of any form, before it leaves the site. Pure.

What is known to be secret is replaced wherever it stands; what has the name or the form of a secret, too.
Rather one too many.
"""
from __future__ import annotations

import base64
import re
from collections.abc import Iterable

from onedr.replication.secrets import is_secret

GONE = "[redacted]"
_SHORTEST = 4  # of a known secret: shorter ones would take ordinary words out
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?(-----END \1-----|\Z)", re.S)
_CEPH_KEY = re.compile(r"\bAQ[A-Za-z0-9+/]{36,60}={0,2}")
_IN_URL = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/:@]*:)[^\s/@]+(?=@)", re.I)
_BEARER = re.compile(r"\b(Bearer|Basic|Token)\s+[A-Za-z0-9._~+/=-]{8,}", re.I)
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_HASHED = re.compile(r"\$(?:1|2[aby]|5|6|y)\$[^\s\"'<>,;:]{8,}")
# NAME = value, "NAME": "value", ["NAME", "value"], NAME: value, --name value
_QUOTED = r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\''
_ESCAPED = r'\\+".*?\\+"'  # JSON in JSON
_PAIR = re.compile(
    r"(?P<name>[A-Za-z][A-Za-z0-9_.-]*)(?P<between>(?:\\*[\"'])?\s*[=:,]\s*)"
    rf"(?P<value>{_ESCAPED}|{_QUOTED}|[^\s\"',;<>\[\](){{}}]+)"
)
_LINE = re.compile(
    r"^(?P<name>[ \t]*[A-Za-z][\w.-]*)(?P<between>[ \t]*[=:][ \t]*)(?P<value>[^\"'\n]+)$", re.M
)
_OPTION = re.compile(rf"--(?P<name>[a-z][a-z0-9-]*)(?P<between>[ =])(?P<value>{_QUOTED}|\S+)")
_ELEMENT = re.compile(r"<(?P<name>[A-Za-z][\w.-]*)(?P<rest>[^<>]*)>(?P<value>.*?)</(?P=name)>", re.S)


def redact(text: str, known: Iterable[str] = ()) -> str:
    """The text without `known` secrets, and without what has the name or the form of one."""
    for secret in sorted(_forms(known), key=len, reverse=True):
        text = text.replace(secret, GONE)
    text = _PEM.sub(GONE, text)
    for form in (_CEPH_KEY, _JWT, _HASHED):
        text = form.sub(GONE, text)
    text = _IN_URL.sub(rf"\g<1>{GONE}", text)
    text = _BEARER.sub(rf"\g<1> {GONE}", text)
    text = _ELEMENT.sub(_element, text)
    return _PAIR.sub(_pair, _OPTION.sub(_pair, _LINE.sub(_line, text)))


def _forms(known: Iterable[str]) -> set[str]:
    """How secrets may be written: as they are, line by line, in JSON, in base64."""
    found: set[str] = set()
    for secret in known:
        for part in {secret.strip(), *secret.split()}:
            if len(part) >= _SHORTEST:
                found |= {part, part.replace("\\", "\\\\").replace('"', '\\"')}
                found.add(base64.b64encode(part.encode()).decode().rstrip("="))
    return found


def _line(found: re.Match[str]) -> str:
    """A line of a configuration file: its value may have blanks."""
    if not is_secret(found["name"].strip().replace("-", "_").replace(".", "_")):
        return found[0]
    return f"{found['name']}{found['between']}{GONE}"


def _pair(found: re.Match[str]) -> str:
    name, value = found["name"], found["value"]
    if not is_secret(name.replace("-", "_").replace(".", "_")) or value in ('""', "''"):
        # a quoted value may itself hold pairs, as JSON in JSON does
        if value[:1] in "\"'" and _PAIR.search(value[1:-1]):
            inner = _PAIR.sub(_pair, value[1:-1])
            return f"{found[0][: len(found[0]) - len(value)]}{value[0]}{inner}{value[-1]}"
        return found[0]
    quote = value[0] if value[:1] in "\"'" else ""
    return f"{found[0][: len(found[0]) - len(value)]}{quote}{GONE}{quote}"


def _element(found: re.Match[str]) -> str:
    name, rest, value = found["name"], found["rest"], found["value"]
    if is_secret(name) and value:
        return f"<{name}{rest}>{GONE}</{name}>"
    return f"<{name}{rest}>{_ELEMENT.sub(_element, value)}</{name}>"
