"""Cases in which a driver fails, answers badly, or a call is refused."""
from __future__ import annotations

from contract_cases import case
from contract_cases_ds import field, image, refused
from contract_site import Site

FRAME = "ERROR MESSAGE --8<------"
END = "ERROR MESSAGE ------>8--"


def framed(*lines: str) -> str:
    """Shell text that prints lines in the frame older releases knew, and fails."""
    text = "\\n".join((FRAME, *lines, END))
    return f"printf '{text}\\n' >&2; exit 1"


def error_of(site: Site, oid: int) -> str | None:
    """ERROR of an image without its time stamp."""
    text = site.xml("image", oid).findtext("TEMPLATE/ERROR")
    return text.split(" : ", 1)[1] if text else None


def _cp(name: str, script: str, state: str, source: str, form: str, error: str | None = None) -> None:
    @case(f"errors/{name}", before=lambda site: site.answer("datastore-cp", script))
    def play(site: Site) -> None:
        oid = image(site, name, "TYPE=OS\nPATH=/etc/hostname\n", state=state)
        site.answer("datastore-cp", None)
        assert (field(site, oid, "SOURCE"), field(site, oid, "FORMAT"), error_of(site, oid)) == (source, form, error)


COPY = "Error copying image in the datastore"
NO_FORMAT = "CP operation succeeded but image FORMAT was not returned."

_cp("err-cp-exit1-silent", "exit 1", "ERROR", "", "", COPY)
_cp("err-cp-exit1-stderr", "echo some error text >&2; exit 1", "ERROR", "", "", f"{COPY}: some error text")
_cp("err-cp-exit1-errmsg", framed('Cannot reach peer cluster <B> & "quoted"', "second line"), "ERROR", "", "",
    f'{COPY}: {FRAME}Cannot reach peer cluster <B> & "quoted"second line{END}')
_cp("err-cp-exit1-errorfmt",
    'echo "INFO: an info line" >&2; echo "ERROR: an error line" >&2; echo "plain line" >&2; ' + framed("the message"),
    "ERROR", "", "", f"{COPY}: plain line{FRAME}the message{END}")
_cp("err-cp-exit1-stdout", "echo something on stdout; exit 1", "ERROR", "", "", COPY)
_cp("err-cp-exit255", "exit 255", "ERROR", "", "", COPY)
# The recorded script killed its parent as well, a shell of one_datastore; here that would be the front-end.
_cp("err-cp-killed", "kill -9 $$", "ERROR", "", "", COPY)
_cp("err-cp-exit0-empty", "exit 0", "ERROR", "-", "", NO_FORMAT)
_cp("err-cp-exit0-oneword", "echo pool/one-x", "ERROR", "pool/one-x", "", NO_FORMAT)
_cp("err-cp-exit0-twowords", "echo pool/one-x qcow2", "READY", "pool/one-x", "qcow2")
_cp("err-cp-exit0-threewords", "echo pool/one-x raw extra", "READY", "pool/one-x", "raw")
_cp("err-cp-exit0-twolines", "echo first line; echo pool/one-x raw", "READY", "first", "line")
_cp("err-cp-exit0-spaces", 'echo "  pool/one-x   raw  "', "READY", "pool/one-x", "raw")
_cp("err-cp-exit0-stderr", 'echo "pool/one-x raw"; echo "WARN something" >&2', "READY", "pool/one-x", "raw")
_cp("err-cp-exit0-xmlish", 'echo "pool/<b>&amp; raw"', "READY", "pool/<b>&amp;", "raw")


def _stat(name: str, script: str, size: str) -> None:
    @case(f"errors/{name}", before=lambda site: site.answer("datastore-stat", script))
    def play(site: Site) -> None:
        oid = image(site, name, "TYPE=OS\nPATH=/etc/hostname\n")
        site.answer("datastore-stat", None)
        assert field(site, oid, "SIZE") == size


_stat("err-stat-float", "echo 12.5", "12")
_stat("err-stat-zero", "echo 0", "0")
_stat("err-stat-neg", "echo -5", "-5")
_stat("err-stat-two", 'echo "77 extra"', "77")


def _bad_stat(name: str, script: str, text: str) -> None:
    @case(f"errors/{name}", before=lambda site: site.answer("datastore-stat", script))
    def play(site: Site) -> None:
        refused(site, "one.image.allocate", f"NAME={name}\nPATH=/etc/hostname\nTYPE=OS\n", 102, False,
                text=f"Cannot parse image SIZE: {text}", code=8192)
        site.answer("datastore-stat", None)


_bad_stat("err-stat-empty", "exit 0", "")
_bad_stat("err-stat-text", "echo notanumber", "notanumber")
_bad_stat("err-stat-exit1", framed("stat failed msg"), f"{FRAME}stat failed msg{END}")


def _mkfs(name: str, script: str, state: str, source: str, error: str | None = None) -> None:
    @case(f"errors/{name}", before=lambda site: site.answer("datastore-mkfs", script))
    def play(site: Site) -> None:
        oid = image(site, name, "TYPE=DATABLOCK\nSIZE=10\n", state=state)
        site.answer("datastore-mkfs", None)
        assert (field(site, oid, "SOURCE"), field(site, oid, "FORMAT"), error_of(site, oid)) == (source, "raw", error)


_mkfs("err-mkfs-exit1", framed("mkfs failed msg"), "ERROR", "", f"Error creating datablock: {FRAME}mkfs failed msg{END}")
_mkfs("err-mkfs-empty", "exit 0", "READY", "-")
_mkfs("err-mkfs-twowords", 'echo "pool/one-m qcow2"', "READY", "pool/one-m qcow2")


def _clone(site: Site, name: str, state: str) -> int:
    oid = site.must("one.image.clone", site.ids["cp1"], name, -1)
    site.wait_image(oid, state)
    site.wait_image(site.ids["cp1"])
    site.answer("datastore-clone", None)
    return int(oid)


@case("errors/err-clone-exit1", before=lambda site: site.answer("datastore-clone", framed("clone failed msg")))
def clone_fails(site: Site) -> None:
    oid = _clone(site, "clone-fails", "ERROR")
    assert error_of(site, oid) == f"Error cloning from Image {site.ids['cp1']}: {FRAME}clone failed msg{END}"


@case("errors/err-clone-empty", before=lambda site: site.answer("datastore-clone", "exit 0"))
def clone_empty(site: Site) -> None:
    assert field(site, _clone(site, "clone-empty", "READY"), "SOURCE") == "-"


REMOVE = ("Error removing image from datastore. Retry the operation or manually remove image source  and run the delete"
          " --force operation to completely delete the image")


def _refused_rm(site: Site) -> None:
    oid = site.ids["err-mkfs-twowords"]
    assert site.must("one.image.delete", oid, False) == oid
    site.wait_image(oid, "ERROR")
    assert error_of(site, oid) == REMOVE


@case("errors/err-rm-exit1",
      before=lambda site: site.answer("datastore-rm", framed("rm refused: image is protected by DR")))
def rm_refused(site: Site) -> None:
    _refused_rm(site)


@case("errors/err-rm-exit1-again")
def rm_refused_again(site: Site) -> None:
    _refused_rm(site)


@case("errors/err-rm-exit1-force")
def rm_forced(site: Site) -> None:
    site.must("one.image.delete", site.ids["err-mkfs-twowords"], True)
    site.wait_image(site.ids["err-mkfs-twowords"], "GONE")
    site.answer("datastore-rm", None)


@case("errors/err-rm-after")
def rm_gone(site: Site) -> None:
    oid = site.ids["err-mkfs-twowords"]
    refused(site, "one.image.delete", oid, False, text=f"Error getting image [{oid}].", code=1024, oid=oid)


@case("errors/err-ds-delete-notempty")
def datastore_in_use(site: Site) -> None:
    refused(site, "one.datastore.delete", 102, text="Cannot delete datastore. Datastore 102 is not empty.", code=2048)
