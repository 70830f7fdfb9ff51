"""The recorded XML-RPC requests, sent again byte by byte: answers of the same types, texts, codes and elements."""
from __future__ import annotations

import http.client
import re
import sqlite3
import xmlrpc.client
from collections.abc import Callable, Iterator

import pytest
from contract_shapes import WIRE, differences, paths, shape
from contract_site import Site, populate, until
from lxml import etree

from sandbox.frontend.objects.config import Config
from sandbox.frontend.objects.store import Store

COUNTERS = {"image": 48, "vm": 10, "hook": 137}
VM = 10
# The recorded VM was made from a VM template.
TEMPLATE = r'''NAME="web1"
TEMPLATE_ID="1"
CPU="0.5"
VCPU="2"
MEMORY="512"
DISK=[IMAGE="web-os",IMAGE_UNAME="oneadmin",DEV_PREFIX="vd",CACHE="none"]
DISK=[IMAGE="web-data",IMAGE_UNAME="oneadmin",DEV_PREFIX="vd"]
NIC=[NETWORK="net1",NETWORK_UNAME="oneadmin",SECURITY_GROUPS="0"]
NIC=[NETWORK="net2",IP="10.2.0.20"]
CONTEXT=[NETWORK="YES",SSH_PUBLIC_KEY="$USER[SSH_PUBLIC_KEY]",START_SCRIPT="echo 'a & b' > /tmp/x"]
GRAPHICS=[TYPE="VNC",LISTEN="0.0.0.0",KEYMAP="en-us"]
OS=[ARCH="x86_64",BOOT="disk0",MACHINE="q35"]
FEATURES=[ACPI="yes",GUEST_AGENT="yes"]
LABELS="prod,web"
MY_ATTR="user value <1>"
SCHED_REQUIREMENTS="HYPERVISOR=\"dummy\" & NAME=\"rechost1\""
SCHED_DS_REQUIREMENTS="ID=\"103\""
SCHED_RANK="FREE_CPU"
USER_INPUTS=[PW="M|password|pw"]
HOT_RESIZE=[CPU_HOT_ADD_ENABLED="NO",MEMORY_HOT_ADD_ENABLED="NO"]
MEMORY_UNIT_COST="MB"
PW="x"
'''

# Elements that differ for a reason. Hosts of the recording had probes of the dummy driver, with PCI devices and NUMA.
PROBES = ("/HOST/HOST_SHARE/PCI_DEVICES", "/HOST/HOST_SHARE/NUMA_NODES", "/HOST/TEMPLATE", "/HOST/MONITORING/NUMA_NODE")
IGNORED = {
    "one.host.info": PROBES,
    "one.datastore.info": ("/DATASTORE/TEMPLATE",),
    "one.zonepool.info": ("/ZONE_POOL/ZONE/TEMPLATE/ENDPOINT_GRPC",),
}
# Pools held objects of earlier cases: the kinds of elements are compared, their number is not.
POOLS = ("pool.info", "poolinfo", "vmpool.infoextended")
# Attributes that only objects of earlier cases had.
POOL_EXTRAS = re.compile(r"/(TEMPLATE|USER_TEMPLATE|SNAPSHOT|HISTORY)(/|$)|/LOCK|/ID$")

# oned's scheduler takes up to ten seconds to say why a VM stays pending.
SCHEDULED = "/VM_POOL/VM/USER_TEMPLATE/SCHED_MESSAGE"

ORDER = [
    "one.system.version", "one.user.info-self", "one.zonepool.info", "error-badauth", "error-badtype",
    "error-missing-arg", "error-nosuchmethod", "one.image.allocate-path", "one.image.allocate-source",
    "one.image.allocate-source-dupname-error", "one.image.allocate-source-nosize-error", "one.image.info",
    "one.image.info-error", "one.imagepool.info-all", "one.imagepool.info-range",
    "one.image.persistent-true", "one.image.persistent-false", "one.host.info", "one.vn.info",
    "one.datastore.info", "one.datastorepool.info", "MAKE_VM", "one.vm.info-hold",
    "one.vm.allocate-hold-true", "one.vm.allocate-hold-false", "one.vm.allocate-error-nocpu",
    "one.vm.allocate-error-noimage", "one.vm.allocate-error-pers-in-use", "one.vm.action-release",
    "WAIT_RUNNING", "one.vm.info-running", "one.vm.info-decrypt", "one.vmpool.info-active",
    "one.vmpool.info-all-notdone", "one.vmpool.info-all-incl-done", "one.vmpool.infoextended",
    "one.vmpool.info-filter", "one.vmpool.info-filter-name", "one.vm.lock",
    "one.vm.action-while-locked", "one.vm.unlock", "one.vm.recover-success-wrongstate",
    "one.vm.action-poweroff-hard", "WAIT_POWEROFF", "one.vm.info-poweroff",
    "one.vm.action-poweroff-hard-wrongstate", "one.vm.update-append", "one.vm.updateconf",
    "one.vm.action-resume", "WAIT_RUNNING", "one.vm.recover-delete", "one.vm.action-terminate-hard",
    "WAIT_DONE", "one.vm.info-done", "one.document.allocate", "one.document.allocate-dupname",
    "one.document.info", "one.documentpool.info", "one.document.lock", "one.document.lock-test-again",
    "one.document.update-while-locked", "one.document.unlock", "one.document.update-append",
    "one.document.update-replace", "one.document.rename", "one.document.chmod", "one.document.delete",
    "one.hook.allocate-error-state", "one.hook.allocate-state", "one.hook.allocate-api", "one.hook.info",
    "one.hook.update", "one.hook.delete", "one.image.update-append", "one.image.rename",
    "one.image.chmod", "one.image.chown", "one.image.lock", "one.image.unlock", "one.image.enable-false",
    "one.image.enable-true", "one.image.delete", "one.datastore.update-append",
    "one.datastore.enable-false", "one.datastore.enable-true", "one.datastore.allocate",
    "one.clusterpool.info",
]
CONFIG = "one.system.config"


@pytest.fixture(scope="module")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A front-end that gives the recorded ids to new objects."""
    made = Site(tmp_path_factory.mktemp("xmlrpc"))
    store = Store(made.var / "one.db", [])
    for counter, number in COUNTERS.items():
        for _ in range(number if counter != "datastore" else 0):
            store.next_id(counter)
    store.close()
    try:
        made.start("frontend")
        populate(made)
        for number in (105, 106):
            made.must("one.datastore.allocate", f"NAME=spare{number}\nTM_MAD=dummy\nTYPE=SYSTEM_DS\n", -1)
        _renumber_documents(made)
        yield made
    finally:
        made.close()


def _renumber_documents(site: Site) -> None:
    """The first document of the recording had the id 0, which the barrier's has here: make room."""
    site.must("one.document.delete", site.ids["barrier"])
    site.stop("frontend", kill=True)
    with sqlite3.connect(site.var / "one.db") as database:
        database.execute("UPDATE counters SET next = 0 WHERE name = 'document'")
    site.start("frontend")


def _waits() -> dict[str, tuple[int, int]]:
    return {"WAIT_RUNNING": (3, 3), "WAIT_POWEROFF": (8, 0), "WAIT_DONE": (6, 0)}


def _post(site: Site, body: bytes) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=20)
    try:
        connection.request("POST", "/RPC2", body, {"Content-Type": "text/xml"})
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("Content-Type")) == (200, "text/xml; charset=utf-8")
        return answer.read()
    finally:
        connection.close()


def test_the_requests(numbered: Site, subtests: pytest.Subtests) -> None:
    """All in one life, in an order in which each finds what it found when it was recorded."""
    for name in ORDER:
        if name.startswith("WAIT"):
            numbered.wait_vm(VM, *_waits()[name])
            continue
        if name == "MAKE_VM":
            assert numbered.must("one.vm.allocate", TEMPLATE, True) == VM
            continue
        with subtests.test(name):
            request = (WIRE / "xmlrpc" / name / "request.xml").read_bytes()
            recorded = (WIRE / "xmlrpc" / name / "response.xml").read_bytes()
            answer = _post(numbered, request)
            _same_types(recorded, answer)
            _same_content(name, recorded, answer)
        if name == "one.image.allocate-path":
            numbered.wait_image(48)


def _types(body: bytes) -> list[str]:
    return [str(node.tag) for node in etree.fromstring(body).iter()]


def _same_types(recorded: bytes, answer: bytes) -> None:
    """The same structure, i4 for i4 and i8 for i8."""
    assert _types(answer) == _types(recorded), answer


def _decode(body: bytes) -> object:
    try:
        return xmlrpc.client.loads(body)[0][0]
    except xmlrpc.client.Fault as fault:
        return (fault.faultCode, fault.faultString)


def _same_content(name: str, recorded: bytes, answer: bytes) -> None:
    expected, actual = _decode(recorded), _decode(answer)
    if not isinstance(expected, list) or not str(expected[1]).startswith("<"):
        assert _timeless(actual) == _timeless(expected)
        return
    assert isinstance(actual, list)
    assert actual[0] == expected[0]
    if any(mark in name for mark in POOLS):
        added = _kinds(actual[1]) - _kinds(expected[1]) - {SCHEDULED}
        assert added == set(), "elements the recorded pool does not have"
        missing = _kinds(expected[1]) - _kinds(actual[1]) - set(IGNORED.get(name, ()))
        assert {path for path in missing if not POOL_EXTRAS.search(path)} == set()
    else:
        assert differences(expected[1], actual[1], IGNORED.get(name, ())) == []
        assert _top(actual[1]) == _top(expected[1])


def _timeless(value: object) -> str:
    return re.sub(r"\b1[0-9]{9}\b", "TIME", repr(value))


def _kinds(xml: str) -> set[str]:
    return set(paths(shape(xml)))


def _top(xml: str) -> list[str]:
    """Elements of an object in their order."""
    names: list[str] = []
    for node in etree.fromstring(xml):
        if node.tag not in names:
            names.append(str(node.tag))
    return names


def test_system_config_has_the_recorded_attributes(numbered: Site) -> None:
    """Drivers differ; how each is described does not."""
    recorded = (WIRE / "xmlrpc" / CONFIG / "decoded.txt").read_text()
    found = numbered.must("one.system.config")
    for attribute in ("DS_MAD_CONF", "TM_MAD_CONF", "HOOK_LOG_CONF", "HM_MAD", "IMAGE_RESTRICTED_ATTR"):
        assert f"<{attribute}>" in recorded
        assert f"<{attribute}>" in found
    line = next(line for line in recorded.splitlines() if "<NAME><![CDATA[ceph]]>" in line and "TM_MAD_CONF" in line)
    conf = Config(numbered.location).driver_conf("TM_MAD_CONF", "ceph")
    assert conf == {node.tag: node.text or "" for node in etree.fromstring(line)}


def test_every_recorded_pair_is_sent() -> None:
    recorded = {path.name for path in (WIRE / "xmlrpc").iterdir()}
    assert recorded == {name for name in ORDER if name.startswith(("one.", "error-"))} | {CONFIG}


@pytest.mark.parametrize("ask", [lambda site: site.call("one.vm.backup", 0, 1, False, -1, -1),
                                 lambda site: site.call("one.image.restore", 0, 1, "")])
def test_what_is_not_supported_says_so(numbered: Site, ask: Callable[[Site], list[object]]) -> None:
    answer = ask(numbered)
    assert answer[0] is False
    assert "not supported by the stand-in front-end" in str(answer[1])


def test_broken_xml_is_a_fault(numbered: Site) -> None:
    answer = _decode(_post(numbered, b"<methodCall><methodName>x"))
    assert isinstance(answer, tuple)
    assert answer[0] == -503
    until("still serving", lambda: numbered.must("one.system.version") == "7.4.0")
