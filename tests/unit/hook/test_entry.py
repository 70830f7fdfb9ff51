"""How a hook begins: what it loads decides what most of them cost."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from test_payload import OURS, decoded, sent, update_of_vm

ROOT = Path(__file__).parents[3]
SLOW = {"rados", "rbd", "lxml.etree", "inspect", "socket"}  # each takes longer than all that decides


def loaded(code: str, stdin: str = "") -> tuple[str, set[str]]:
    """What a fresh interpreter prints that runs `code`, and which of the slow modules it has loaded then."""
    told = "import sys\n" + code + "\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", told], cwd=ROOT, input=stdin, capture_output=True, text=True, check=True)
    return done.stdout.strip(), SLOW & set(done.stderr.split())


@pytest.mark.parametrize(("kind", "stdin", "said"), [
    ("vm", sent("one.vm.update", update_of_vm(OURS)), "VM 48: only what OneDR shows on it changed"),
    ("vm", sent("one.vm.update", update_of_vm(OURS).replace("<RESULT>1<", "<RESULT>0<", 1)), "nothing to do"),
    ("image", sent("one.image.update", decoded("api-one.image.update").replace("<RESULT>1<", "<RESULT>0<", 1)), "nothing to do"),
    ("datastore", sent("one.datastore.update", decoded("api-one.datastore.update__failed-call")), "nothing to do"),
])
def test_an_event_that_needs_nothing_loads_nothing(kind: str, stdin: str, said: str) -> None:
    assert loaded(f"from onedr.hook.entry import run_hook; run_hook({kind!r})", stdin) == (said, set())


@pytest.mark.parametrize("kind", ["datastore", "image", "vm"])
def test_what_decides_by_what_oned_shows_loads_nothing_of_ceph(kind: str) -> None:
    _, found = loaded(f"import onedr.driver.run, onedr.hook.{kind}")
    assert not found & {"rados", "rbd"}


@pytest.mark.parametrize("kind", ["datastore", "image", "vm"])
def test_garbage_ends_a_hook_with_one_sentence(kind: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "hooks" / "ceph_dr" / kind)], input=b"state %%%\xff", capture_output=True,
        env={"ONE_LOCATION": str(tmp_path), "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 1 and done.stderr.decode().startswith("The hook's data on standard input cannot be read")
