"""What pages that are kept as evidence are made of: one file each, no network, all text escaped by lxml.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lxml import etree
from lxml.builder import E  # type: ignore[import-not-found]

from onedr.model.text import printable
from onedr.runs.run import utc_text

_STYLE = """
body { font: 11pt/1.45 Georgia, "Times New Roman", serif; color: #111; background: #fff;
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere }
h1 { font-size: 1.6rem; margin-bottom: .2rem }
h2 { font-size: 1.15rem; margin-top: 1.8rem; border-bottom: 1px solid #999 }
h3 { font-size: 1rem; margin: 1.2rem 0 .2rem }
table { border-collapse: collapse; width: 100%; margin: .6rem 0; font-size: .9rem }
th, td { border: 1px solid #bbb; padding: .25rem .5rem; text-align: left;
  vertical-align: top; overflow-wrap: anywhere }
td { min-width: 5.4rem } th { background: #eee; overflow-wrap: normal }
.verdict { font-size: 1.3rem; font-weight: bold; border: 2px solid #111; padding: .4rem .8rem;
  display: inline-block }
.good { color: #0b5d1e } .bad { color: #9b0000; font-weight: bold }
.small { font-size: .85rem; color: #333 } code { font-size: .85rem; overflow-wrap: anywhere }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid #bbb; padding: .4rem .6rem;
  font-size: .8rem } .here { border-left: .4rem solid #1f4e8c }
svg { display: block; width: 100%; font: 12px sans-serif } svg text { fill: #222 }
@media screen and (max-width: 40rem) { .wide tr:first-child { display: none }
  .wide tr { display: block; border: 1px solid #bbb; margin: .5rem 0 } .wide td:empty { display: none }
  .wide td { display: block; border: 0 } .wide td:first-child { background: #eee; font-weight: bold }
  .wide td + td::before { content: attr(data-head) ": "; color: #444 } }
@media print { body { margin: 0; max-width: none }
  h2 { break-after: avoid } tr, svg { break-inside: avoid } }
"""
_NOTHING_FROM_OUTSIDE = "default-src 'none'; style-src 'unsafe-inline'"
_WIDE = 4  # so many columns a telephone cannot show side by side


def document(title: str, *parts: Any) -> bytes:
    """A whole page: its title as the heading, then `parts`."""
    root = E.html(
        {"lang": "en"},
        E.head(
            E.meta({"charset": "utf-8"}),
            E.meta({"name": "viewport", "content": "width=device-width, initial-scale=1"}),
            E.meta({"http-equiv": "Content-Security-Policy", "content": _NOTHING_FROM_OUTSIDE}),
            E.title(text(title)), E.style(_STYLE),
        ),
        E.body(E.h1(text(title)), *parts),
    )
    return bytes(
        etree.tostring(root, method="html", doctype="<!DOCTYPE html>", encoding="utf-8", pretty_print=True)
    )


def table(head: Sequence[str] | None, rows: Sequence[Sequence[Any]]) -> Any:
    """A table of texts, numbers or elements; without a head the first cell of each row is its heading. On a
    telephone each row of a wide one is a card.
    """
    made = E.table({"class": "wide"} if head is not None and len(head) >= _WIDE else {})
    if head is not None:
        made.append(E.tr(*(E.th(text(cell)) for cell in head)))
    for row in rows:
        cells = [E.td(cell if etree.iselement(cell) else text(cell)) for cell in row]
        if head is None:
            cells[0] = E.th(text(row[0]))
        for cell, title in zip(cells, head or ()):
            cell.set("data-head", text(title))
        made.append(E.tr(*cells))
    return made


def text(value: object) -> str:
    """Text without the control characters that HTML cannot contain."""
    return printable(str(value))


def moment(at: float | None) -> str:
    """Epoch seconds as UTC."""
    return "-" if at is None else utc_text(at)


def seconds(value: float | None) -> str:
    """A duration, to a tenth of a second."""
    return "-" if value is None else f"{value:.1f} s"
