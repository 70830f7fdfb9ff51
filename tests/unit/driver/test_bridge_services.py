"""What a bridge host gets and may ask for: real ends of the pipe, a oned that is a table, every byte looked at."""
from __future__ import annotations

import base64
import inspect
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from pathlib import Path
from typing import IO, Any

import pytest
from lxml import etree

from onedr.drill import report as drill_report
from onedr.driver import actions, bridge_policy, datastore, local, snapshot, tm, verbs
from onedr.driver.bridge_services import Services, work_item
from onedr.host import bridge, process
from onedr.host import config as host_config
from onedr.host.bridge import BridgeRefusedError, BridgeSession, Pipe, Work
from onedr.host.paths import front_end_paths
from onedr.model import errors, template
from onedr.model.errors import FrontEndError, OneDRError
from onedr.opennebula import xmlrpc
from onedr.opennebula.api import FrontEnd, attributes
from onedr.replication import encryption, records, signature
from onedr.replication.signature import Signer
from onedr.replication.write_records import encrypt_secrets

STORE = (("POOL_NAME", "one"), ("DR_PROTECT", "YES"), ("CEPH_KEY", "/etc/ceph/key"))
KEY = bytes(range(64))
ONEADMIN, PEER = "oneadmin:Pa55-of-oneadmin", "oneadmin:Pa55-of-the-peer"
GUEST, DOLLAR, HASH, S3 = "Pa55-of-a-guest", "Pa55$USER[NAME]", "hash-of-a-users-password", "Pa55-of-a-bucket"
SECRETS = (ONEADMIN.split(":")[1], PEER.split(":")[1], GUEST, DOLLAR, HASH, S3)
PERMISSIONS = "".join(f"<{who}_{what}>0</{who}_{what}>" for who in ("OWNER", "GROUP", "OTHER") for what in "UMA")


def vm_xml(vm_id: int, datastore_id: int, user: str = "", pool: str = "one", tag: str = "") -> str:
    disk = f"<DISK><DISK_ID>0</DISK_ID><DATASTORE_ID>{datastore_id}</DATASTORE_ID><IMAGE_ID>{vm_id}</IMAGE_ID>" \
        f"<SOURCE>{pool}/{tag}one-{vm_id}</SOURCE><TYPE>RBD</TYPE></DISK>"
    context = f"<CONTEXT><PASSWORD>{GUEST}</PASSWORD><ROOT_PASSWORD>{DOLLAR}</ROOT_PASSWORD><SET>x</SET></CONTEXT>"
    return (
        f"<VM><ID>{vm_id}</ID><NAME>vm-{vm_id}</NAME><UNAME>u</UNAME><GNAME>g</GNAME><STATE>3</STATE>"
        f"<PERMISSIONS>{PERMISSIONS}</PERMISSIONS><TEMPLATE>{disk}{context}</TEMPLATE>"
        f"<USER_TEMPLATE><API_TOKEN>{GUEST}</API_TOKEN>{user}</USER_TEMPLATE></VM>"
    )


def image_xml(image_id: int, datastore_id: int, own: str = "", tag: str = "") -> str:
    return (
        f"<IMAGE><ID>{image_id}</ID><NAME>i</NAME><UNAME>u</UNAME><DATASTORE_ID>{datastore_id}</DATASTORE_ID>"
        f"<SOURCE>one/{tag}one-{image_id}</SOURCE><TEMPLATE>{own}</TEMPLATE></IMAGE>"
    )


TAG, TURN = "onedr-drill-0123abcd-1-1", "onedr-rehearsal-0a1b"
DRILL = f"<DR_DRILL>{TAG}</DR_DRILL>"
REHEARSAL = "<DR_REHEARSAL>0a1b</DR_REHEARSAL>"
# number 9 is a drill's, number 10 a rehearsal's; number 11 was marked by whoever may write attributes
ALL_MARKS = f"{DRILL}{REHEARSAL}<DR_SNAPSHOT_CARRIER>YES</DR_SNAPSHOT_CARRIER>"
VMS = {
    7: vm_xml(7, 100), 8: vm_xml(8, 101, pool="other"), 9: vm_xml(9, 100, DRILL, tag=f"{TAG}-"),
    10: vm_xml(10, 100, REHEARSAL, tag=f"{TURN}-"), 11: vm_xml(11, 100, ALL_MARKS),
}
IMAGES = {
    7: image_xml(7, 100), 8: image_xml(8, 101), 9: image_xml(9, 100, DRILL, f"{TAG}-"),
    10: image_xml(10, 100, REHEARSAL, f"{TURN}-"), 11: image_xml(11, 100, ALL_MARKS),
}
DOCUMENTS = {
    17: "<DOCUMENT><ID>17</ID><NAME>onedr-100</NAME><TYPE>1042</TYPE></DOCUMENT>",
    18: "<DOCUMENT><ID>18</ID><NAME>onedr-101</NAME><TYPE>1042</TYPE></DOCUMENT>",
    19: "<DOCUMENT><ID>19</ID><NAME>onedr-100</NAME><TYPE>100</TYPE></DOCUMENT>",
}
DATASTORE = (
    "<DATASTORE><ID>100</ID><UID>0</UID><GID>0</GID><NAME>d</NAME><TEMPLATE><POOL_NAME>one</POOL_NAME><DR_PROTECT>YES</DR_PROTECT>"
    f"<SAFE_DIRS>/var/tmp</SAFE_DIRS><CEPH_KEY>/etc/ceph/key</CEPH_KEY><ACCESS_SECRET>{S3}</ACCESS_SECRET>"
    "</TEMPLATE></DATASTORE>"
)
USERS = f"<USER_POOL><USER><ID>3</ID><NAME>ann</NAME><PASSWORD>{HASH}</PASSWORD></USER></USER_POOL>"


class Oned:
    """Answers like oned, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def call(self, url: str, method: str, arguments: tuple[Any, ...], _: float) -> Any:
        assert arguments[0] == (PEER if "peer" in url else ONEADMIN)
        self.asked.append((method, *arguments[1:]))
        return [True, self._answer(method, *arguments[1:]), 0]

    def _answer(self, method: str, *arguments: Any) -> Any:
        pools = {
            "one.vmpool.infoextended": f"<VM_POOL>{''.join(VMS.values())}</VM_POOL>",
            "one.imagepool.info": f"<IMAGE_POOL>{''.join(IMAGES.values())}</IMAGE_POOL>",
            "one.userpool.info": USERS, "one.datastore.info": DATASTORE, "one.user.info": USERS,
            "one.datastorepool.info": f"<DATASTORE_POOL>{DATASTORE}</DATASTORE_POOL>",
        }
        if method == "one.document.info":
            return DOCUMENTS[arguments[0]]
        if method in ("one.vm.info", "one.image.info"):
            return (VMS if "vm" in method else IMAGES)[arguments[0]]
        return pools.get(method, 41)


class Tee:
    """A pipe's writing end that remembers all that went through it."""

    def __init__(self, writer: IO[bytes]):
        self.sent, self._writer = b"", writer

    def write(self, data: bytes) -> None:
        self.sent += data
        self._writer.write(data)

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


@pytest.fixture
def oned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Oned:
    """A front-end with all its secrets."""
    folder = tmp_path / "etc/onedr"
    folder.mkdir(parents=True)
    for path, text in (
        (folder / "record.key", base64.b64encode(KEY).decode()), (folder / "peer.auth", PEER),
        (tmp_path / "one_auth", ONEADMIN),
        (folder / "onedr.conf", f"[peer]\nendpoint = https://peer:2633/RPC2\nauth = {folder / 'peer.auth'}\n"),
    ):
        path.write_text(text)
        path.chmod(0o600)
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    monkeypatch.setenv("ONE_AUTH", str(tmp_path / "one_auth"))
    made = Oned()
    monkeypatch.setattr(xmlrpc, "call", made.call)
    return made


def work_of(entry: str, *argv: str, image: int | None = None) -> Work:
    """`entry`: a verb, or `module:function`."""
    if ":" not in entry:
        return Work("onedr.driver.actions:perform", (entry, "100"), stdin())
    return Work(f"onedr.driver.{entry}", argv or ("100",), stdin() if image is None else stdin(image))


def stdin(image: int | None = None) -> bytes:
    own = IMAGES[image].replace("<SOURCE>", "<PATH>http://u:Pa55-of-an-address@h/i</PATH><SOURCE>") if image else ""
    return base64.b64encode(f"<DS_DRIVER_ACTION_DATA>{own}{DATASTORE}</DS_DRIVER_ACTION_DATA>".encode())


def on_bridge(work: Work, do: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> tuple[str, bytes]:
    """Do something as that work on a bridge host. Returns its result, and all bytes that the host was sent."""
    (bridge_end, front_end), (answers, answering) = os.pipe(), os.pipe()
    writer, bridge_in = Tee(os.fdopen(front_end, "wb", buffering=0)), os.fdopen(bridge_end, "rb")
    reader, bridge_out = os.fdopen(answers, "rb"), os.fdopen(answering, "wb", buffering=0)

    def host() -> None:
        pipe = Pipe(bridge_in, bridge_out)
        assert pipe.receive() is not None
        pipe.send({"ready": True})
        bridge.serve_session(BridgeSession(pipe, lambda: None))
        try:
            pipe.send({"done": str(do())})
        except OneDRError as error:
            with suppress(OSError):  # the front-end is gone
                pipe.send({"failed": errors.to_wire(error)})

    @contextmanager
    def conversation(_: list[str], __: float) -> Iterator[process.Conversation]:
        thread = threading.Thread(target=copy_context().run, args=(host,), daemon=True)
        thread.start()
        try:
            yield process.Conversation(reader, writer, reader)  # type: ignore[arg-type]
        finally:
            writer.close()
            thread.join(10)
            assert not thread.is_alive()

    monkeypatch.setattr(process, "conversation", conversation)
    services = Services(work, STORE, {})
    return bridge.run_on_bridge(["b-1"], services.hidden(work), services.all), writer.sent


def test_nothing_secret_is_sent_and_all_is_sealed_as_at_home(
    oned: Oned, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keep() -> str:
        frontend = FrontEnd()
        frontend.datastores(), frontend.vms(), frontend.users(), frontend.images()
        assert not host_config.load_config().peer_session
        vm = frontend.vm(7)
        key = encryption.load_key(front_end_paths().record_key)
        encryption.fingerprint(key)
        assert key is not None
        sealed = encrypt_secrets(attributes(vm), key, "c:7", "template")
        head = {"generation": 1, "sha256": "aa"}
        mac = signature.sign(Signer(key, "g/one-7"), records.VM_KEY, head)
        assert signature.proof(Signer(key, "g/one-7"), records.VM_KEY, {**head, "mac": mac}).name == "AUTHENTIC"
        assert signature.proof(Signer(key, "g/one-7"), records.IMAGE_KEY, {**head, "mac": mac}).name == "FORGED"
        return f"{template.get(sealed, 'ONEDR_SEALED')} {mac}"

    done, sent = on_bridge(work_of("keeper_process:keep"), keep, monkeypatch)
    own = attributes(template.parse_xml(VMS[7]))
    sealed = encrypt_secrets(own, KEY, "c:7", "template")
    mac = signature.sign(
        Signer(signature.derived(KEY), "g/one-7"), records.VM_KEY, {"generation": 1, "sha256": "aa"}
    )
    assert done == f"{template.get(sealed, 'ONEDR_SEALED')} {mac}"
    assert b"/etc/ceph/key" in sent and b"vm-8" in sent  # it did get what it needs
    for secret in (*SECRETS, base64.b64encode(KEY).decode()[:40]):
        assert secret.encode() not in sent
    assert KEY not in sent and signature.derived(KEY) not in sent


def test_a_recovered_vm_has_its_secrets_though_the_bridge_never_saw_them(
    oned: Oned, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = encryption.encrypt(KEY, (("0/PASSWORD", GUEST), ("0/ROOT_PASSWORD", DOLLAR)), "c:7", "template")

    def recover() -> int:
        key = encryption.load_key(front_end_paths().record_key)
        assert key is not None
        opened = dict(encryption.decrypt(key, sealed, "c:7", "template"))
        assert "$" in opened["0/ROOT_PASSWORD"] and "$" not in opened["0/PASSWORD"]
        context = (("PASSWORD", opened["0/PASSWORD"]), ("ROOT_PASSWORD", "$ONEDR_VALUE_0"))
        return FrontEnd().allocate_vm(
            (("DISK", (("IMAGE_ID", "7"),)), ("ONEDR_VALUE_0", opened["0/ROOT_PASSWORD"]), ("CONTEXT", context))
        )

    done, sent = on_bridge(work_of("failover"), recover, monkeypatch)
    assert done == "41" and not any(secret.encode() in sent for secret in SECRETS)
    made = template.parse_xml(next(call[1] for call in oned.asked if call[0] == "one.vm.allocate"))
    assert made.findtext("CONTEXT/PASSWORD") == GUEST
    assert made.findtext("ONEDR_VALUE_0") == DOLLAR


def test_a_vm_that_comes_home_keeps_its_secrets_though_the_bridge_never_saw_them(
    oned: Oned, monkeypatch: pytest.MonkeyPatch
) -> None:
    def update() -> str:
        shown = {key: value for key, value in next(template.vectors(attributes(FrontEnd().vm(7)), "CONTEXT"))}
        assert "$" in shown["ROOT_PASSWORD"]
        FrontEnd().update_vm(7, (("ONEDR_VALUE_0", shown["ROOT_PASSWORD"]),))
        asked = (("CONTEXT", (*shown.items(), ("NEW_PASSWORD", "$ONEDR_VALUE_0"))),)
        return str(FrontEnd().call("vm.updateconf", 7, xml(asked), 0))

    done, sent = on_bridge(work_of("failback"), update, monkeypatch)
    assert done == "41" and not any(secret.encode() in sent for secret in SECRETS)
    conf = template.parse_xml(next(call[2] for call in oned.asked if call[0] == "one.vm.updateconf"))
    stood_for = template.parse_xml(next(call[2] for call in oned.asked if call[0] == "one.vm.update"))
    assert [leaf.text for leaf in conf.iterfind("CONTEXT/*")] == [GUEST, DOLLAR, "x", "$ONEDR_VALUE_0"]
    assert stood_for.findtext("ONEDR_VALUE_0") == DOLLAR


def test_driver_data_is_sent_without_secrets(oned: Oned, monkeypatch: pytest.MonkeyPatch) -> None:
    work = work_of("datastore:cp", "7", image=7)
    _, sent = on_bridge(work, lambda: "", monkeypatch)
    data = base64.b64decode(sent[sent.rindex(b"}") + 1 :])
    assert S3.encode() not in data and b"Pa55-of-an-address" not in data and b"<ID>7</ID>" in data


def api(method: str, *arguments: Any) -> Callable[[], object]:
    return lambda: FrontEnd().call(method, *arguments)


def ask(name: str, **arguments: Any) -> Callable[[], object]:
    def do() -> object:
        session = bridge.bridge_session()
        assert session is not None
        return session.call(name, **arguments)

    return do


def peer(method: str, *arguments: Any) -> Callable[[], object]:
    return lambda: FrontEnd("https://peer:2633/RPC2", "").call(method, *arguments)


def moved_secret() -> None:
    """The word for a secret, put where it would be shown in plain text next time."""
    word = attributes(FrontEnd().vm(7), "USER_TEMPLATE")[0][1]
    FrontEnd().update_vm(7, (("SHOWN", word),))


LEAK = (("CONTEXT", (("LEAK", "$USER[TOKEN_PASSWORD]"),)),)
LEAKS = "<LEAK>$USER[TOKEN_PASSWORD]</LEAK>"
TWO = "<IMAGE_ID>7</IMAGE_ID><IMAGE_ID>8</IMAGE_ID>"
FUTURE = {"generation": 10**18, "sha256": "aa"}
COVERED = {"generation": 1, "sha256": "aa"}


def xml(pairs: template.Pairs) -> str:
    return template.to_xml(pairs)


@pytest.mark.parametrize(
    ("work", "asks", "named"),
    [
        ("failover", api("user.passwd", 0, "x"), "user.passwd"),
        ("status", api("vm.update", 7, "<T/>", 1), "vm.update"),
        ("keeper_process:keep", api("vm.action", "terminate-hard", 7), "vm.action"),
        ("failover", api("vm.action", "terminate-hard", 7), "vm.action"),
        ("failover", api("vm.action", "undeploy", 7), "undeploy"),
        ("failover", api("vm.update", 8, "<T/>", 1), "VM 8"),
        ("failover", api("vm.chown", 8, 0, 0), "VM 8"),
        ("failover", api("vm.info", 8, True), "VM 8"),
        ("failover", api("image.chown", 8, 0, 0), "image 8"),
        ("failover", api("image.delete", 7, False), "image 7"),
        ("status", api("image.delete", 9, False), "image.delete"),
        ("rehearse", api("image.delete", 7, False), "image 7"),
        ("rehearse", api("vm.action", "terminate-hard", 7), "VM 7"),
        ("rehearse", api("datastore.update", 100, "<T><DR_STATE>X</DR_STATE></T>", 1), "datastore.update"),
        ("rehearse", peer("vmpool.infoextended", -2, -1, -1, -1, ""), "vmpool.infoextended"),
        ("keeper_process:keep", ask("rehearse", datastore_id=101), "datastore 101"),
        ("reconcile", ask("rehearse", datastore_id=100), "rehearse"),
        ("keeper_process:keep", ask("report", datastore_id=101), "datastore 101"),
        ("reconcile", ask("report", datastore_id=100), "report"),
        ("report", api("datastore.update", 100, "<T><DR_STATE>X</DR_STATE></T>", 1), "datastore.update"),
        ("drill", api("image.delete", 7, False), "image 7"),
        ("drill", api("vm.action", "terminate-hard", 7), "VM 7"),
        ("drill", api("vm.recover", 9, 4), "operation"),
        ("keeper_process:keep", api("vm.update", 7, "<T><NOTE>x</NOTE></T>", 1), "NOTE of a vm"),
        ("reconcile", api("vm.update", 7, "<T><DR_LOCKED_STATE>A</DR_LOCKED_STATE></T>", 0), "DR_LOCKED_STATE"),
        ("keeper_process:keep", api("vm.update", 8, "<T><DR_STATE>PROTECTED</DR_STATE></T>", 1), "VM 8"),
        ("keeper_process:keep", api("vm.update", 7, "<T><DR_STATE>PROTECTED</DR_STATE></T>", 0), "DR_STATE of a vm"),
        ("disable", api("vm.update", 7, "<T><NOTE>x</NOTE></T>", 0), "other attributes of VM 7"),
        ("disable", api("vm.update", 7, "<T/>", 0), "other attributes of VM 7"),
        ("disable", api("vm.update", 7, "<T><DR_STATE/></T>", 1), "other attributes of VM 7"),
        ("keeper_process:keep", api("vm.lock", 8, 4, False), "VM 8"),
        ("failover", peer("vm.update", 7, "<T><DR_LOCKED_STATE>A</DR_LOCKED_STATE></T>", 0), "DR_LOCKED_STATE"),
        ("drill", api("image.delete", 11, False), "image 11"),
        ("rehearse", api("vm.action", "terminate-hard", 11), "VM 11"),
        ("failover", api("vm.recover", 11, 3), "VM 11"),
        ("rehearse", api("vm.update", 7, f"<T>{REHEARSAL}</T>", 1), "DR_REHEARSAL of vm 7"),
        ("drill", api("vm.update", 7, f"<T>{DRILL}</T>", 1), "DR_DRILL of vm 7"),
        ("drill", api("vm.update", 7, "<T><dr_drill>x</dr_drill></T>", 0), "DR_DRILL of vm 7"),
        ("failover", api("vm.update", 7, "<T><DR_SNAPSHOT_CARRIER>x</DR_SNAPSHOT_CARRIER></T>", 1), "of vm 7"),
        ("drill", api("image.update", 7, f"<T>{DRILL}</T>", 1), "DR_DRILL of image 7"),
        ("failover", api("vm.updateconf", 8, "<T/>", 1), "VM 8"),
        ("failover", api("vm.updateconf", 7, xml(LEAK), 1), "CONTEXT/LEAK"),
        ("failover", api("vm.updateconf", 7, "<T><context><A>$USER[X]</A></context></T>", 0), "'context'"),
        ("failover", api("vm.updateconf", 7, "<T><CONTEXT><FILES_DS>/etc/shadow:'x'</FILES_DS></CONTEXT></T>", 1), "FILES_DS"),
        ("drill", api("vm.updateconf", 7, "<T/>", 1), "vm.updateconf"),
        ("failover", api("vm.rename", 7, "onedr-snapshots"), "onedr-snapshots"),
        ("failover", api("vm.allocate", f"<T><context>{LEAKS}</context></T>", True), "'context'"),
        ("failover", api("vm.allocate", "<T><disk><IMAGE_ID>8</IMAGE_ID></disk></T>", True), "'disk'"),
        ("failover", api("vm.allocate", f"<T><DISK>{TWO}</DISK></T>", True), "IMAGE_ID given twice"),
        ("failover", api("vm.attach", 7, f"<T><DISK>{TWO}</DISK></T>"), "IMAGE_ID given twice"),
        ("failover", api("vm.allocate", "<T><CONTEXT><A>a</A><A>$USER[X]</A></CONTEXT></T>", True), "A given twice"),
        ("failover", api("image.allocate", "<T><SOURCE>one/x</SOURCE><SOURCE>other/x</SOURCE></T>", 100, True), "twice"),
        ("failover", api("image.allocate", "<T><SOURCE>one/x</SOURCE><path>/etc/x</path></T>", 100, True), "'path'"),
        ("failover", api("datastore.info", 101, False), "datastore 101"),
        ("failover", api("datastore.update", 101, "<T/>", 1), "datastore 101"),
        ("failover", api("datastore.update", 100, "<T><SAFE_DIRS>/</SAFE_DIRS></T>", 1), "SAFE_DIRS"),
        ("failover", api("datastore.update", 100, "<T><DR_STATE>X</DR_STATE></T>", 0), "SAFE_DIRS"),
        ("enable", api("datastore.update", 100, "<T><DS_MAD>x</DS_MAD><SAFE_DIRS>/</SAFE_DIRS></T>", 1), "SAFE_DIRS"),
        ("reconcile", api("datastore.update", 100, "<T><DS_MAD>x</DS_MAD></T>", 1), "other drivers"),
        ("failover", api("vm.allocate", xml(LEAK), True), "CONTEXT/LEAK"),
        ("failover", api("vm.allocate", xml((("DISK", (("SOURCE", "/etc/shadow"),)),)), True), "SOURCE"),
        ("failover", api("vm.allocate", xml((("DISK", (("IMAGE_ID", "8"),)),)), True), "image 8"),
        ("failover", api("vm.attach", 7, xml((("DISK", (("IMAGE", "x"),)),))), "IMAGE"),
        ("failover", api("image.allocate", xml((("PATH", "/etc/shadow"), ("SOURCE", "one/x"))), 100, True), "image"),
        ("failover", api("image.allocate", xml((("SOURCE", "one/x"),)), 101, True), "datastore 101"),
        ("failover", api("vm.update", "7; x", "<T/>", 1), "arguments"),
        ("failover", moved_secret, "SHOWN"),
        ("failover", peer("vm.allocate", "<T/>", True), "vm.allocate"),
        ("failover", peer("vm.action", "poweroff-hard", 8), "VM 8"),
        ("failover", peer("vm.update", 7, "<T><ANY>x</ANY></T>", 1), "ANY"),
        ("status", peer("vmpool.infoextended", -2, -1, -1, -1, ""), "vmpool.infoextended"),
        ("failover", ask("record_key"), "record_key"),
        ("keeper_process:keep", ask("stage"), "stage"),
        ("keeper_process:keep", ask("open", sealed="x", bound=[]), "open"),
        ("keeper_process:keep", ask("hold", datastore_id=101), "datastore 101"),
        ("keeper_process:keep", ask("wake", datastore_id=101), "datastore 101"),
        ("keeper_process:keep", ask("wake", other=1), "wake"),
        ("keeper_process:keep", ask("sign", kind="onedr.vm", image="g/one-55", covered=COVERED), "one-55"),
        ("keeper_process:keep", ask("sign", kind="onedr.vm", image="g/one-7", covered=FUTURE), "future"),
        ("keeper_process:keep", ask("sign", kind="other", image="g/one-7", covered=COVERED), "other"),
        ("map", ask("sign", kind="onedr.plan", image="/recovery-plan", covered=COVERED), "onedr.plan"),
        ("keeper_process:keep", ask("sign", kind="onedr.plan", image="/recovery-plan", covered=COVERED), "onedr.plan"),
        ("status", ask("sign", kind="onedr.vm", image="g/one-7", covered=COVERED), "sign"),
        ("drill", ask("sign", kind="onedr.vm", image="g/one-7", covered=COVERED), "sign"),
        ("check", ask("seal", secrets=[], bound=[]), "seal"),
        ("drill", ask("keep_drill", datastore_id=100, tag="../../x", report={}), "../../x"),
        ("drill", ask("amend_drill", datastore_id=100, tags=["/etc/x"], cleanup={}), "/etc/x"),
    ],
)
def test_what_the_work_does_not_need_ends_it_and_is_named(
    oned: Oned, monkeypatch: pytest.MonkeyPatch, work: str, asks: Callable[[], object], named: str
) -> None:
    with pytest.raises(BridgeRefusedError) as refused:
        on_bridge(work_of(work), asks, monkeypatch)
    assert named in str(refused.value) and "b-1" in str(refused.value)
    assert all(call[0].rpartition(".")[2].startswith("info") for call in oned.asked)


@pytest.mark.parametrize(
    ("work", "asks"),
    [
        ("failover", api("vm.action", "release", 7)),
        ("keeper_process:keep", ask("sign", kind="onedr.reader", image="g/one-7", covered=COVERED)),
        ("failover", api("datastore.update", 100, "<T><DR_STATE>X</DR_STATE></T>", 1)),
        ("drill", api("vm.action", "terminate-hard", 9)),
        ("drill", api("image.delete", 9, False)),
        ("rehearse", api("vm.action", "terminate-hard", 10)),
        ("rehearse", api("image.delete", 10, False)),
        ("failover", api("image.delete", 10, False)),
        ("failover", peer("vm.action", "poweroff", 7)),
        ("keeper_process:keep", api("vm.lock", 7, 4, False)),
        ("keeper_process:keep", api("vm.update", 7, "<T><DR_STATE>PROTECTED</DR_STATE></T>", 1)),
        ("reconcile", api("vm.update", 7, "<T><DR_LOCKED_STATE>ACTIVE</DR_LOCKED_STATE></T>", 1)),
        ("reconcile", api("vm.action", "poweroff-hard", 7)),
        ("keeper_process:keep", api("vm.unlock", 7)),
        ("failover", peer("vm.update", 7, "<T><DR_LOCKED_STATE>ACTIVE</DR_LOCKED_STATE></T>", 1)),
        ("enable", api("datastore.update", 100, "<T><TM_MAD>ceph_dr</TM_MAD></T>", 1)),
        ("take_request:take_request_here", api("datastore.update", 100, "<T><DS_MAD>ceph_dr</DS_MAD></T>", 1)),
        ("check", peer("user.info", -1)),
    ],
)
def test_what_it_needs_is_done(
    oned: Oned, monkeypatch: pytest.MonkeyPatch, work: str, asks: Callable[[], object]
) -> None:
    _, sent = on_bridge(work_of(work), asks, monkeypatch)
    assert oned.asked and HASH.encode() not in sent


@pytest.mark.parametrize(("work", "kind", "image"), [
    ("map", "onedr.map", "/mapping"), ("recovery_plan", "onedr.plan", "/recovery-plan"),
])
def test_a_document_is_signed_for_the_verb_that_sets_it(
    oned: Oned, monkeypatch: pytest.MonkeyPatch, work: str, kind: str, image: str
) -> None:
    on_bridge(work_of(work), ask("sign", kind=kind, image=image, covered=COVERED), monkeypatch)
    assert not oned.asked


def test_disable_replaces_with_the_secret_it_never_saw(oned: Oned, monkeypatch: pytest.MonkeyPatch) -> None:
    def clean() -> None:
        found = attributes(FrontEnd().datastore(100))
        FrontEnd().replace_datastore(100, tuple(pair for pair in found if not pair[0].startswith("DR_")))

    on_bridge(work_of("disable"), clean, monkeypatch)
    written = template.parse_xml(next(call[2] for call in oned.asked if call[0] == "one.datastore.update"))
    assert written.findtext("ACCESS_SECRET") == S3 and written.findtext("SAFE_DIRS") == "/var/tmp"


def test_disable_takes_its_display_off_a_vm_with_secrets_it_never_saw(
    oned: Oned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(VMS, 7, vm_xml(7, 100, "<DR_STATE>PROTECTED</DR_STATE><NOTE>x</NOTE>"))

    def clean() -> None:
        found = attributes(FrontEnd().vm(7), "USER_TEMPLATE")
        FrontEnd().replace_vm(7, template.without(found, "DR_STATE"))

    on_bridge(work_of("disable"), clean, monkeypatch)
    written = template.parse_xml(next(call[2] for call in oned.asked if call[0] == "one.vm.update"))
    assert template.from_element(written) == (("API_TOKEN", GUEST), ("NOTE", "x"))


@pytest.mark.parametrize("update", [
    lambda: FrontEnd().update_datastore(100, (("DR_ACTION", ""), ("DR_STATE", "X"))),
    lambda: FrontEnd().update_vm(7, (("DR_LOCKED_STATE", ""),)),
])
def test_an_attribute_that_is_cleared_reaches_oned_as_one(
    oned: Oned, monkeypatch: pytest.MonkeyPatch, update: Callable[[], object]
) -> None:
    """oned passes over `<DR_ACTION/>`: the action would stay, and never start."""
    on_bridge(work_of("reconcile"), update, monkeypatch)
    written = next(call[2] for call in oned.asked if call[0].endswith(".update"))
    assert "<![CDATA[]]>" in written and "/>" not in written


def test_of_other_datastores_it_sees_that_they_are_there(oned: Oned, monkeypatch: pytest.MonkeyPatch) -> None:
    def look() -> str:
        vms = {vm.findtext("ID"): vm for vm in FrontEnd().vms()}
        return etree.tostring(vms["8"], encoding="unicode")

    found, _ = on_bridge(work_of("status"), look, monkeypatch)
    assert "vm-8" in found and "other/one-8" in found
    assert "CONTEXT" not in found and "API_TOKEN" not in found


def test_a_vm_disks_work_sees_its_vm_only(oned: Oned, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("fe:one/one-8", "h:/var/lib/one/datastores/0/8/disk.0", "8", "101")
    work = work_of("tm:clone", *words)
    on_bridge(work, api("vm.info", 8, True), monkeypatch)
    with pytest.raises(BridgeRefusedError, match="VM 7"):
        on_bridge(work, api("vm.info", 7, True), monkeypatch)
    with pytest.raises(BridgeRefusedError, match="datastore 100"):
        on_bridge(work, api("datastore.info", 100, False), monkeypatch)


def test_garbage_of_a_bridge_is_a_refusal(oned: Oned, monkeypatch: pytest.MonkeyPatch) -> None:
    def garbage() -> None:
        session = bridge.bridge_session()
        assert session is not None
        session.pipe.send({"log": {"level": 5}})

    with pytest.raises(BridgeRefusedError, match="b-1"):
        on_bridge(work_of("status"), garbage, monkeypatch)


def test_ones_own_errors_still_come_back(oned: Oned, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any) -> Any:
        raise xmlrpc.Fault(1024, "no such VM")

    monkeypatch.setattr(xmlrpc, "call", failing)
    with pytest.raises(FrontEndError, match="no such VM") as found:
        on_bridge(work_of("status"), lambda: FrontEnd().vms(), monkeypatch)
    assert found.value.code == 1024


def document(known: int | None, create: bool = False, **parts: str) -> Callable[[], object]:
    return ask("document", datastore_id=100, known=known, parts=parts, create=create)


def test_a_bridge_host_writes_parts_of_its_datastores_document(oned: Oned, monkeypatch: pytest.MonkeyPatch) -> None:
    on_bridge(work_of("move"), document(17, RUN="null"), monkeypatch)
    (written,) = (call for call in oned.asked if call[0] == "one.document.update")
    assert written[1:] == (17, "<TEMPLATE><RUN>null</RUN></TEMPLATE>", 1)


def test_a_drill_there_gets_the_page_of_its_report_and_shows_it(
    oned: Oned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drill_report, "report_folder", lambda: tmp_path / "drills")
    monkeypatch.setattr("onedr.drill.report_html.page", lambda *_: b"<html>the page</html>")
    tag = "onedr-drill-0ad1c9f2-100-9"

    def drilled() -> None:
        saved = drill_report.save_report(100, tag, {"cleanup": None})
        amended = drill_report.amend(100, [tag], {"at": 1.0})
        assert amended is not None and saved.page == amended.page == b"<html>the page</html>"
        document(17, REPORT="null")()

    on_bridge(work_of("drill"), drilled, monkeypatch)
    (written,) = (call for call in oned.asked if call[0] == "one.document.update")
    assert written[1:] == (17, "<TEMPLATE><REPORT>null</REPORT></TEMPLATE>", 1)
    assert (tmp_path / "drills" / f"100-{tag}.html").read_bytes() == b"<html>the page</html>"


@pytest.mark.parametrize("known", [18, 19, None])
def test_it_writes_no_other_document(oned: Oned, monkeypatch: pytest.MonkeyPatch, known: int | None) -> None:
    on_bridge(work_of("move"), document(known, RUN="null"), monkeypatch)
    assert {call[0] for call in oned.asked} <= {"one.document.info"}


@pytest.mark.parametrize("known", [18, 19])
def test_it_removes_no_other_document(oned: Oned, monkeypatch: pytest.MonkeyPatch, known: int) -> None:
    on_bridge(work_of("disable"), ask("remove_document", datastore_id=100, known=known), monkeypatch)
    assert {call[0] for call in oned.asked} == {"one.document.info"}


@pytest.mark.parametrize(("what", "do"), [
    ("move", document(17, NAME="x")), ("move", document(17, RUN="x" * (1 << 20))), ("status", document(17, RUN="null")),
    ("move", ask("document", datastore_id=101, known=17, parts={"RUN": "null"}, create=True)),
    ("move", ask("document", datastore_id=100, known="x", parts={"RUN": "null"}, create=True)),
    ("move", ask("document", datastore_id=100, known=17, parts={"RUN": {"a": "b"}}, create=True)),
    ("move", ask("remove_document", datastore_id=100, known=17)),
    ("move", api("document.update", 17, "<TEMPLATE/>", 1)), ("plan", api("document.delete", 17)),
])
def test_nothing_else_of_documents(
    oned: Oned, monkeypatch: pytest.MonkeyPatch, what: str, do: Callable[[], object]
) -> None:
    with pytest.raises(BridgeRefusedError):
        on_bridge(work_of(what), do, monkeypatch)
    assert not [call for call in oned.asked if call[0].startswith("one.document")]


def test_every_action_that_may_be_handed_over_is_listed() -> None:
    dr_actions = set(verbs.VERBS) - set(actions._ON_THE_FRONT_END)
    drivers = {
        f"{module.__name__.rpartition('.')[2]}:{name}"
        for module in (datastore, snapshot, tm, local)
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and list(inspect.signature(function).parameters) == ["arguments"]
        and not name.startswith("_")
    }
    at_home = {"datastore:stat", "tm:mvds"}  # they need no Ceph
    others = {
        "monitor:monitor", "restore:restore", "keeper_process:keep", "take_request:take_request_here",
        "take_request:answer_here",
    }
    assert dr_actions | drivers - at_home | others == set(bridge_policy.ALLOWED)


@pytest.mark.parametrize("entry", sorted(each for each in bridge_policy.ALLOWED if each.startswith("datastore:")))
def test_work_on_an_image_is_about_that_image(entry: str) -> None:
    """`clone` is an action of datastores and of VM disks."""
    item = work_item(work_of(entry, "7", image=7), attributes(template.parse_xml(DATASTORE)))
    assert (item.datastore_id, item.images, item.vms) == (100, {7}, set())
