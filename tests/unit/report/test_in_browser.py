"""The pages that are kept as evidence in a real browser, at the widths of a desk and of a telephone: nothing
sticks out, every text can be read on what is behind it, nothing is asked of a network.
"""
from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import reports
from drill_reports import DRILL_REPORT

from onedr.drill import report_html
from onedr.report.page import Section, page
from onedr.runbook import page_html

WIDTHS = (1280, 390)
# A page in a frame of each width. What sticks out: an element beyond the frame.
PROBE = """
function rgb(css) { var m = css.match(/[\\d.]+/g).map(Number); return m.length > 3 && m[3] === 0 ? null : m; }
function light(c) {
  var v = c.slice(0, 3).map(function (x) { x /= 255; return x <= .03928 ? x / 12.92 : Math.pow((x + .055) / 1.055, 2.4); });
  return .2126 * v[0] + .7152 * v[1] + .0722 * v[2];
}
function behind(view, e) {
  for (; e; e = e.parentElement) { var c = rgb(view.getComputedStyle(e).backgroundColor); if (c) return c; }
  return [255, 255, 255];
}
function probe(frame) {
  var view = frame.contentWindow, doc = frame.contentDocument, out = [], weak = [], small = [], texts = 0;
  doc.querySelectorAll('body *').forEach(function (e) {
    var box = e.getBoundingClientRect();
    if (box.right > frame.clientWidth + 1 || box.left < -1) out.push(e.outerHTML.slice(0, 90));
    if (!Array.from(e.childNodes).some(function (n) { return n.nodeType === 3 && n.data.trim(); })) return;
    texts += 1;
    var s = view.getComputedStyle(e), ink = rgb(e.closest('svg') ? s.fill : s.color), a = light(ink), b = light(behind(view, e));
    var ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) weak.push([e.textContent.slice(0, 60), ratio]);
    if (parseFloat(s.fontSize) < 11) small.push([e.textContent.slice(0, 60), s.fontSize]);
  });
  return { wide: doc.documentElement.scrollWidth, out: out, weak: weak, small: small, texts: texts };
}
window.onload = function () {
  var found = Array.from(document.querySelectorAll('iframe')).map(probe);
  document.getElementById('found').textContent = JSON.stringify(found);
};
"""


def looked_at(made: bytes, folder: Path) -> list[dict[str, Any]]:
    """What the browser says of a page at each width."""
    browser = shutil.which("chromium")
    assert browser, "chromium is in packages.apt: make setup"
    source = base64.b64encode(made).decode()
    frames = "".join(f'<iframe id="f{width}" style="border:0;width:{width}px;height:900px"></iframe>' for width in WIDTHS)
    fill = (
        f"var page = new TextDecoder().decode(Uint8Array.from(atob('{source}'), function (c) {{ return c.charCodeAt(0); }}));"
        "document.querySelectorAll('iframe').forEach(function (f) { f.srcdoc = page; });"
    )
    wrapper = folder / "wrapper.html"
    wrapper.write_text(f'<meta charset="utf-8"><body>{frames}<pre id="found"></pre><script>{fill}{PROBE}</script>')
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}",
         "--window-size=1400,1000", "--dump-dom", wrapper.as_uri()],
        capture_output=True, text=True, timeout=110,
    )
    told = done.stdout.partition('<pre id="found">')[2].partition("</pre>")[0]
    assert told, done.stderr[-2000:]
    return list(json.loads(told.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")))


BOOK = (
    "# Run book: gold at south", "", "Recovers this datastore.", "", "## 1. Promote", "", f"- `{reports.WORD}`: it is late", "  and more",
    "- another", "", "```sh", f"rbd mirror image promote --force one/{reports.WORD}", "```", "", "### VM db", "", "```text", "poweroff", "```",
)
PAGES = {
    "report": page(
        [Section("gold", reports.report(), reports.report(status=reports.status(state="DEGRADED"))), Section("x", error=reports.WORD)],
        reports.NOW, "ada",
    ),
    "drill": report_html.page(DRILL_REPORT, "d" * 64, "x.json"),
    "runbook": page_html.page(BOOK),
}


@pytest.mark.timeout(150)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_a_desk_and_a_telephone_and_can_be_read(name: str, tmp_path: Path) -> None:
    found = looked_at(PAGES[name], tmp_path)
    assert len(found) == len(WIDTHS)
    for width, seen in zip(WIDTHS, found):
        assert seen["texts"] >= 6, "the browser showed the page"
        assert seen["wide"] <= width and not seen["out"], (width, seen["out"])
        assert not seen["weak"] and not seen["small"], (width, seen["weak"], seen["small"])


@pytest.mark.timeout(150)
def test_a_page_that_does_not_fit_or_is_pale_is_found(tmp_path: Path) -> None:
    bad = b'<!DOCTYPE html><body style="background:#fff"><p style="width:900px">wide</p><p style="color:#bbb">pale</p><p style="font-size:6px">s</p>'
    wide, phone = looked_at(bad, tmp_path)
    assert not wide["out"] and phone["out"] and phone["wide"] > WIDTHS[1]
    assert [words for words, _ in wide["weak"]] == ["pale"] and [words for words, _ in wide["small"]] == ["s"]
