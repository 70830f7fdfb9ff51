"""Definitions of VMs and images that oned changes or refuses: NIC names, aliases, security groups, variables,
restricted attributes, ports, snapshots. Texts and rules are those of OpenNebula's source, release 7.4.0."""
from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from contract_cases_ds import image
from contract_site import Site, running_site, until
from lxml import etree

AUTHORIZATION, ACTION, INTERNAL, ALLOCATE = 0x200, 0x800, 0x2000, 0x4000
BOB = "bob:secret"
APP = ('SANDBOX_MARKET_APP = [ ID=12, NAME="Alpine", SIZE="256", SOURCE="https://x/alpine", FORMAT=qcow2,'
       ' MD5=abc ]\n')
_numbers = itertools.count()


@pytest.fixture(scope="module")
def oned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with the ordinary user bob and an app of a marketplace."""
    folder = tmp_path_factory.mktemp("definitions")
    with running_site(folder) as site:
        conf = site.location / "etc" / "oned.conf"
        conf.write_text(conf.read_text() + APP)
        site.stop("frontend")
        site.start("frontend")
        site.ids["bob"] = site.must("one.user.allocate", "bob", "secret", "core")
        yield site


def definition(text: str = "") -> str:
    return f"NAME=vm{next(_numbers)}\nCPU=0.1\nMEMORY=8\n{text}"


def held(site: Site, text: str, session: str = "oneadmin:SECRET") -> int:
    """A VM on hold."""
    return int(site.must("one.vm.allocate", definition(text), True, session=session))


def refused(site: Site, text: str, session: str = "oneadmin:SECRET") -> list[Any]:
    """Text and code with which a VM is refused."""
    answer = site.call("one.vm.allocate", definition(text), True, session=session)
    assert answer[0] is False, answer
    return answer[1:3]


PLACE = 'SCHED_REQUIREMENTS="NAME=rechost1"\nSCHED_DS_REQUIREMENTS="ID=103"\n'


def running(site: Site, text: str = "") -> int:
    """A VM with the recording drivers."""
    return site.wait_vm(site.must("one.vm.allocate", definition(text + PLACE), False), 3, 3)


def part(site: Site, vm: int, path: str) -> str | None:
    found: str | None = site.xml("vm", vm).findtext(path)
    return found


# NICs

@pytest.mark.parametrize(("given", "kept"), [
    ("NIC0", "_NIC0"), ("NIC17", "_NIC17"), ("NIC0_ALIAS1", "_NIC0_ALIAS1"), ("web", "web"),
    ("_NIC0", "_NIC0"), ("NICE", "NICE"), ("", "NIC0"),
])
def test_a_nic_name_like_those_of_oned_gets_an_underscore(oned: Site, given: str, kept: str) -> None:
    vm = held(oned, f'NIC=[NETWORK=net1,NAME="{given}"]\n')
    assert part(oned, vm, "TEMPLATE/NIC/NAME") == kept


def test_an_alias_of_a_renamed_nic_is_refused_and_takes_no_address(oned: Site) -> None:
    used = oned.xml("vn", 0).findtext("USED_LEASES")
    text = "NIC=[NETWORK=net1,NAME=NIC0]\nNIC_ALIAS=[NETWORK=net2,PARENT=NIC0]\n"
    assert refused(oned, text) == ["[one.vm.allocate] NIC named NIC0 not found for alias", INTERNAL]
    assert oned.xml("vn", 0).findtext("USED_LEASES") == used


def test_an_alias_is_another_address_of_its_nic(oned: Site) -> None:
    vm = held(oned, "NIC=[NETWORK=net1]\nNIC=[NETWORK=net1,NAME=web]\nNIC_ALIAS=[NETWORK=net2,PARENT=web]\n"
                    "NIC_ALIAS=[NETWORK=net2,PARENT=web,NAME=NIC1_ALIAS0]\nCONTEXT=[NETWORK=YES]\n")
    shown = oned.xml("vm", vm)
    aliases = shown.findall("TEMPLATE/NIC_ALIAS")
    keys = ("NIC_ID", "PARENT_ID", "ALIAS_ID", "NAME")
    assert [[one.findtext(key) for key in keys] for one in aliases] == [
        ["2", "1", "0", "NIC1_ALIAS2"], ["3", "1", "1", "_NIC1_ALIAS0"]]
    assert [nic.findtext("ALIAS_IDS") for nic in shown.findall("TEMPLATE/NIC")] == [None, "2,3"]
    assert shown.findtext("TEMPLATE/CONTEXT/ETH1_ALIAS1_IP") == aliases[1].findtext("IP")
    assert shown.findtext("TEMPLATE/CONTEXT/ETH1_ALIAS1_GATEWAY") == "10.2.0.1"
    oned.must("one.vm.action", "terminate-hard", vm)
    leases = oned.xml("vn", 1).findall("AR_POOL/AR/LEASES/LEASE")
    assert str(vm) not in [lease.findtext("VM") for lease in leases]


def test_an_alias_comes_to_a_running_vm_and_goes_with_its_nic(oned: Site) -> None:
    vm = running(oned, "NIC=[NETWORK=net1]\nCONTEXT=[NETWORK=YES]\n")
    answer = oned.call("one.vm.attachnic", vm, "NIC_ALIAS=[NETWORK=net2,PARENT=NIC1]\n")
    assert answer[1:3] == ["[one.vm.attachnic] Alias not found.", ACTION]
    oned.must("one.vm.attachnic", vm, "NIC_ALIAS=[NETWORK=net2,PARENT=NIC0]\n")
    oned.wait_vm(vm, 3, 3)
    assert part(oned, vm, "TEMPLATE/NIC/ALIAS_IDS") == "1"
    assert part(oned, vm, "TEMPLATE/CONTEXT/ETH0_ALIAS0_IP") == part(oned, vm, "TEMPLATE/NIC_ALIAS/IP")
    oned.must("one.vm.detachnic", vm, 0)
    oned.wait_vm(vm, 3, 3)
    assert part(oned, vm, "TEMPLATE/NIC_ALIAS/IP") is None
    assert part(oned, vm, "TEMPLATE/CONTEXT/ETH0_ALIAS0_IP") is None
    actions = [record.findtext("ACTION") for record in oned.xml("vm", vm).iter("HISTORY")]
    assert actions == ["46", "24", "0"]


def test_ip_and_mac_together_are_refused(oned: Site) -> None:
    text = "NIC=[NETWORK=net1,IP=10.1.0.40,MAC=02:00:0a:01:00:28]\n"
    assert refused(oned, text) == [
        "[one.vm.allocate] Cannot get IP/MAC lease from virtual network 0.", INTERNAL]


@pytest.mark.parametrize(("nic", "text"), [
    ("NETWORK=nosuch", "User 0 does not own a network with name: nosuch . Set NETWORK_UNAME or NETWORK_UID of"
                       " owner in NIC."),
    ("NETWORK=net1,NETWORK_UNAME=nosuch", "User set in NETWORK_UNAME does not exist"),
    ("NETWORK_ID=4711", "Virtual network with ID: 4711 does not exist"),
])
def test_a_network_that_is_not_found(oned: Site, nic: str, text: str) -> None:
    assert refused(oned, f"NIC=[{nic}]\n") == [f"[one.vm.allocate] {text}", INTERNAL]


# Security groups

WEB = ('NAME={name}\nRULE=[PROTOCOL=TCP,RULE_TYPE=INBOUND,RANGE="80,443"]\n'
       "RULE=[PROTOCOL=ALL,RULE_TYPE=OUTBOUND]\n")


def rules(site: Site, vm: int) -> list[tuple[str | None, ...]]:
    keys = ("SECURITY_GROUP_ID", "SECURITY_GROUP_NAME", "PROTOCOL", "RULE_TYPE")
    return [tuple(rule.findtext(key) for key in keys)
            for rule in site.xml("vm", vm).findall("TEMPLATE/SECURITY_GROUP_RULE")]


def test_a_nic_has_the_groups_of_its_template_and_of_its_network(oned: Site) -> None:
    group = oned.must("one.secgroup.allocate", WEB.format(name="web"))
    assert group >= 100
    vm = held(oned, f'NIC=[NETWORK=net1,SECURITY_GROUPS="{group}"]\nNIC=[NETWORK=net2]\n')
    found = [nic.findtext("SECURITY_GROUPS") for nic in oned.xml("vm", vm).findall("TEMPLATE/NIC")]
    assert found == [f"0,{group}", "0"]
    name = str(group)
    assert rules(oned, vm) == [("0", "default", "ALL", "OUTBOUND"), ("0", "default", "ALL", "INBOUND"),
                               (name, "web", "TCP", "INBOUND"), (name, "web", "ALL", "OUTBOUND")]
    assert oned.xml("secgroup", group).findtext("UPDATED_VMS/ID") == str(vm)
    answer = oned.call("one.secgroup.delete", group)
    text = "Cannot delete security group. The security group has VMs using it"
    assert answer[1:3] == [f"[one.secgroup.delete] {text}", ACTION]
    oned.must("one.secgroup.update", group, "RULE=[PROTOCOL=ICMP,RULE_TYPE=INBOUND]\n", 0)
    assert rules(oned, vm)[2:] == [(name, "web", "ICMP", "INBOUND")]
    oned.must("one.vm.action", "terminate-hard", vm)
    oned.must("one.secgroup.delete", group)


def test_a_group_that_does_not_exist_stays_named_and_has_no_rules(oned: Site) -> None:
    vm = held(oned, 'NIC=[NETWORK=net1,SECURITY_GROUPS="4711"]\n')
    assert part(oned, vm, "TEMPLATE/NIC/SECURITY_GROUPS") == "0,4711"
    assert {rule[0] for rule in rules(oned, vm)} == {"0"}


def test_a_group_of_another_user_is_refused(oned: Site) -> None:
    group = oned.must("one.secgroup.allocate", WEB.format(name="admins"))
    text = f'NIC=[NETWORK=net1,NETWORK_UNAME=oneadmin,SECURITY_GROUPS="{group}"]\n'
    bob = oned.ids["bob"]
    assert refused(oned, text, BOB) == [
        f"[one.vm.allocate] User [{bob}] : Not authorized to perform USE SECGROUP [{group}].", AUTHORIZATION]
    own = oned.must("one.secgroup.allocate", WEB.format(name="admins"), session=BOB)
    vm = held(oned, text.replace(str(group), str(own)), BOB)
    assert part(oned, vm, "TEMPLATE/NIC/SECURITY_GROUPS") == f"0,{own}"


def test_a_network_gets_the_default_group_and_keeps_it_last(oned: Site) -> None:
    group = oned.must("one.secgroup.allocate", WEB.format(name="of-net"))
    text = (f"NAME=guarded\nVN_MAD=dummy\nBRIDGE=br0\nSECURITY_GROUPS={group}\n"
            "AR=[TYPE=IP4,IP=10.3.0.1,SIZE=3]\n")
    network = oned.must("one.vn.allocate", text, -1)
    assert oned.xml("vn", network).findtext("TEMPLATE/SECURITY_GROUPS") == f"0,{group}"
    oned.must("one.vn.update", network, f"SECURITY_GROUPS={group}\n", 1)
    vm = held(oned, f"NIC=[NETWORK_ID={network}]\n")
    assert part(oned, vm, "TEMPLATE/NIC/SECURITY_GROUPS") == str(group)


def test_a_rule_for_a_network_is_one_for_each_of_its_ranges(oned: Site) -> None:
    text = "NAME=inside\nRULE=[PROTOCOL=ALL,RULE_TYPE=INBOUND,NETWORK_ID=1]\n"
    group = oned.must("one.secgroup.allocate", text)
    vm = held(oned, f'NIC=[NETWORK=net1,SECURITY_GROUPS="{group}"]\n')
    rule = oned.xml("vm", vm).findall("TEMPLATE/SECURITY_GROUP_RULE")[-1]
    keys = ("NETWORK_ID", "IP", "SIZE", "TYPE")
    assert [rule.findtext(key) for key in keys] == ["1", "10.2.0.10", "50", "IP4"]


@pytest.mark.parametrize(("rule", "text"), [
    ("PROTOCOL=FTP", "Wrong PROTOCOL in rule. Valid options: TCP, UDP, ICMP, ICMPV6, IPSEC, ALL."),
    ("PROTOCOL=ALL,RANGE=80", "RANGE is supported only for TCP and UDP protocols."),
    ("PROTOCOL=TCP,RANGE=80:", "Invalid RANGE specification."),
    ("PROTOCOL=TCP,RANGE=90:80", "RANGE BEGIN value is greater than RANGE END value"),
    ("PROTOCOL=TCP", "Wrong RULE_TYPE in rule. Valid options: INBOUND, OUTBOUND."),
    ("PROTOCOL=TCP,RULE_TYPE=INBOUND,IP=10.0.0.1", "Wrong or empty SIZE."),
    ("PROTOCOL=TCP,RULE_TYPE=INBOUND,IP=x,SIZE=1", "Wrong format for IP value."),
])
def test_a_rule_that_is_refused(oned: Site, rule: str, text: str) -> None:
    answer = oned.call("one.secgroup.allocate", f"NAME=bad\nRULE=[{rule}]\n")
    assert answer[1:3] == [f"[one.secgroup.allocate] {text}", INTERNAL]


def test_the_default_group_stays(oned: Site) -> None:
    answer = oned.call("one.secgroup.delete", 0)
    text = "Cannot delete security group. The default security group (ID 0) cannot be deleted."
    assert answer[1:3] == [f"[one.secgroup.delete] {text}", ACTION]


# Images

@pytest.mark.parametrize(("text", "answer"), [
    ('SOURCE="one/one-9"\nPATH=/etc/hostname\nSIZE=1\nFORMAT=raw\n',
     ["Error allocating a new image. PATH and SOURCE cannot be both set.", ALLOCATE]),
    ('SOURCE="one/one-9"\nSIZE=1\nFORMAT=raw\nFROM_APP=12\nFROM_APP_NAME=Alpine\n',
     ["Error allocating a new image. PATH and SOURCE cannot be both set.", ALLOCATE]),
    ('SOURCE="one/one-9"\nSIZE=1\nFORMAT=raw\nFROM_APP=13\n', ["Cannot determine image SIZE.", INTERNAL]),
])
def test_an_image_with_a_source_and_something_else(oned: Site, text: str, answer: list[Any]) -> None:
    found = oned.call("one.image.allocate", f"NAME=i\nTYPE=OS\n{text}", 102, True)
    assert found[1:3] == [f"[one.image.allocate] {answer[0]}", answer[1]]


# Variables

def test_context_variables_are_those_of_the_vm_and_of_its_owner(oned: Site) -> None:
    vm = held(oned, 'CONTEXT=[A="$USER[TOKEN_PASSWORD]",B="$NAME of $UNAME",C="x$NOSUCH.y",D="\\$X",'
                    'E="$NETWORK[GATEWAY, NIC_ID=0]",F="$NIC[IP, NAME=web]",G="$MY_ATTR"]\nMY_ATTR=mine\n'
                    "NIC=[NETWORK=net1,NETWORK_UNAME=oneadmin,NAME=web]\n", BOB)
    shown = oned.xml("vm", vm)
    token = oned.xml("user", oned.ids["bob"]).findtext("TEMPLATE/TOKEN_PASSWORD")
    assert token and token != oned.xml("user", 0).findtext("TEMPLATE/TOKEN_PASSWORD")
    assert [shown.findtext(f"TEMPLATE/CONTEXT/{key}") for key in "ABCDEFG"] == [
        token, f"{shown.findtext('NAME')} of bob", "x.y", "\\$X", "10.1.0.1",
        shown.findtext("TEMPLATE/NIC/IP"), "mine"]


def test_a_later_variable_is_read_as_the_owner_and_an_old_value_is_not_read_again(oned: Site) -> None:
    vm = held(oned, 'CONTEXT=[OLD="$MY_ATTR"]\nMY_ATTR="$UNAME"\n', BOB)
    assert part(oned, vm, "TEMPLATE/CONTEXT/OLD") == "$UNAME"
    oned.must("one.vm.updateconf", vm, 'CONTEXT=[OLD="$UNAME",NEW="$USER[TOKEN_PASSWORD]"]\n', 0)
    token = oned.xml("user", oned.ids["bob"]).findtext("TEMPLATE/TOKEN_PASSWORD")
    assert part(oned, vm, "TEMPLATE/CONTEXT/OLD") == "$UNAME"
    assert part(oned, vm, "TEMPLATE/CONTEXT/NEW") == token


def test_updateconf_adds_or_erases_what_it_knows_and_leaves_the_rest(oned: Site) -> None:
    vm = held(oned, 'OS=[ARCH=x86_64,FIRMWARE_SECURE=NO]\nFEATURES=[ACPI=YES,PAE=YES,OTHER=1]\nRAW=[TYPE=kvm,DATA="<x/>"]\n'
                    'CONTEXT=[A=1,B=2]\nHYPERV_OPTIONS=[DATA="<h/>"]\n')

    def shown(section: str) -> dict[str, str]:
        found = oned.xml("vm", vm).find(f"TEMPLATE/{section}")
        return {each.tag: each.text or "" for each in (found if found is not None else ())}

    oned.must("one.vm.updateconf", vm, "FEATURES=[APIC=NO,OTHER=2,PAE=\"\"]\nHYPERV_OPTIONS=[DATA=y]\nCONTEXT=[B=3]\n", 1)
    assert shown("FEATURES") == {"ACPI": "YES", "PAE": "YES", "OTHER": "1", "APIC": "NO"}
    assert shown("HYPERV_OPTIONS") == {"DATA": "<h/>"} and shown("RAW")["DATA"] == "<x/>"
    assert {key: shown("CONTEXT").get(key) for key in "AB"} == {"A": "1", "B": "3"}
    oned.must("one.vm.updateconf", vm, "FEATURES=[APIC=NO]\nOS=[ARCH=aarch64]\n", 0)
    assert shown("FEATURES") == {"OTHER": "1", "APIC": "NO"} and not shown("RAW")
    assert (shown("OS")["ARCH"], shown("OS")["FIRMWARE_SECURE"]) == ("aarch64", "NO")
    assert shown("CONTEXT")["A"] == "1", "it was not given"
    oned.must("one.vm.updateconf", vm, "CONTEXT=[B=3]\n", 0)
    assert "A" not in shown("CONTEXT") and shown("CONTEXT")["B"] == "3" and shown("CONTEXT")["DISK_ID"]
    assert not shown("FEATURES").get("APIC")


def test_a_dollar_that_begins_no_variable_is_refused(oned: Site) -> None:
    assert refused(oned, 'CONTEXT=[A=1,START_SCRIPT="echo $(date)"]\n') == [
        "[one.vm.allocate] Error parsing: A=1@^_^@DISK_ID=0@^_^@START_SCRIPT=echo $(date)@^_^@TARGET=sda."
        " syntax error, unexpected EOA, expecting $end or VARIABLE or RSTRING at line 1, columns 42:43",
        INTERNAL]


def test_files_are_images_and_no_paths(oned: Site) -> None:
    path = "/var/lib/one//datastores/2/0a1b2c:'prepare.sh' "
    assert refused(oned, f'CONTEXT=[FILES_DS="{path}",INIT_SCRIPTS=prepare.sh]\n') == [
        f"[one.vm.allocate] Error parsing: {path}. syntax error, unexpected RSTRING, expecting VARIABLE at"
        f" line 1, columns 1:{len(path) + 1}", INTERNAL]
    disk = image(oned, "nofile", "TYPE=DATABLOCK\nSIZE=1\n")
    assert refused(oned, f'CONTEXT=[FILES_DS="$FILE[IMAGE_ID={disk}]"]\n') == [
        "[one.vm.allocate] Only images of type CONTEXT can be used in FILE_DS attribute.", INTERNAL]
    assert refused(oned, 'CONTEXT=[FILES_DS="$FILE[IMAGE=nosuch]"]\n')[0].endswith(
        "User 0 does not own an image with name: nosuch . Set IMAGE_UNAME or IMAGE_UID of owner.")


def test_a_token_needs_an_address_of_onegate(oned: Site) -> None:
    assert refused(oned, "CONTEXT=[TOKEN=YES]\n") == [
        "[one.vm.allocate] TOKEN set, but onegate endpoint was not defined in oned.conf.", INTERNAL]


# Restricted attributes

@pytest.mark.parametrize(("text", "named"), [
    ("NIC=[NETWORK=net1,NETWORK_UNAME=oneadmin,MAC=02:00:0a:01:00:28]\n", "MAC"),
    ('RAW=[TYPE=kvm,DATA="<x/>"]\n', "DATA"), ("EMULATOR=/bin/sh\n", "EMULATOR"),
    ("CONTEXT=[FILES=/etc/passwd]\n", "FILES"),
    ("TOPOLOGY=[PIN_POLICY=CORE]\n", "PIN_POLICY"), ("DEPLOY_ID=x\n", "DEPLOY_ID"),
])
def test_an_ordinary_user_may_not_set_them(oned: Site, text: str, named: str) -> None:
    bob = oned.ids["bob"]
    assert refused(oned, text, BOB) == [
        f"[one.vm.allocate] User [{bob}] : VM Template includes a restricted attribute {named}.",
        AUTHORIZATION]


def test_an_ordinary_user_may_not_change_them_by_an_update(oned: Site) -> None:
    vm = held(oned, "", BOB)
    oned.must("one.vm.update", vm, "USER_PRIORITY=5\nRAW=[DATA=x]\n", 1)
    update = "[one.vm.update] Cannot update template."
    for text, way, named in (
            ("USER_PRIORITY=9\n", 1, f"{update} User Template includes a restricted attribute USER_PRIORITY"),
            ("USER_PRIORITY=9\n", 0, f"{update} Tried to change restricted attribute: RAW"),
            ("RAW=[DATA=x]\nUSER_PRIORITY=9\n", 0,
             f"{update} Tried to change restricted attribute: USER_PRIORITY"),
            ("RAW=[DATA=y]\n", 1, f"{update} User Template includes a restricted attribute RAW")):
        assert oned.call("one.vm.update", vm, text, way, session=BOB)[1:3] == [named, INTERNAL]
    oned.must("one.vm.update", vm, "NOTE=mine\nRAW=[DATA=x]\n", 0, session=BOB)
    shown = oned.xml("vm", vm).find("USER_TEMPLATE")
    assert [shown.findtext(key) for key in ("NOTE", "USER_PRIORITY", "RAW/DATA")] == ["mine", "5", "x"]


def test_an_ordinary_user_may_not_set_them_in_other_calls(oned: Site) -> None:
    vm = held(oned, "", BOB)
    bob = f"User [{oned.ids['bob']}] :"
    for call, text, named in (
            ("updateconf", "RAW=[DATA=x]\n", "Template includes a restricted attribute RAW"),
            ("attach", "DISK=[TYPE=fs,SIZE=1,TOTAL_IOPS_SEC=1]\n",
             "DISK includes a restricted attribute TOTAL_IOPS_SEC"),
            ("attachnic", "NIC=[NETWORK_ID=0,MAC=02:00:0a:01:00:29]\n",
             "NIC includes a restricted attribute MAC")):
        answer = oned.call(f"one.vm.{call}", vm, text, session=BOB)
        assert answer[1:3] == [f"[one.vm.{call}] {bob} {named}.", AUTHORIZATION]
    own = oned.must("one.image.allocate", "NAME=own\nTYPE=DATABLOCK\nSIZE=1\n", 102, False, session=BOB)
    oned.wait_image(own)
    answer = oned.call("one.image.update", own, 'SOURCE="one/other"\n', 1, session=BOB)
    text = "Cannot update template. User Template includes a restricted attribute SOURCE"
    assert answer[1:3] == [f"[one.image.update] {text}", INTERNAL]


def test_the_owner_of_a_restricted_section_may_repeat_it(oned: Site) -> None:
    vm = held(oned, 'RAW=[TYPE=kvm,DATA="<x/>"]\n')
    oned.must("one.vm.chown", vm, oned.ids["bob"], -1)
    oned.must("one.vm.updateconf", vm, 'RAW=[TYPE=kvm,DATA="<x/>"]\n', 0, session=BOB)
    assert not oned.call("one.vm.updateconf", vm, 'RAW=[TYPE=kvm,DATA="<y/>"]\n', 0, session=BOB)[0]


# Sections

NEW_VM = "Error allocating a new virtual machine."


@pytest.mark.parametrize(("text", "named", "code"), [
    ("OS=[ARCH=x86_64]\nOS=[BOOT=disk0]\n", "Only one OS attribute can be defined.", INTERNAL),
    ("TOPOLOGY=[SOCKETS=1]\n", f"{NEW_VM} Non-pinned VMs with a virtual topology needs to set  SOCKETS, CORES"
                               " and THREADS numbers.", ALLOCATE),
    ("VCPU=4\nTOPOLOGY=[SOCKETS=1,CORES=2,THREADS=1]\n",
     f"{NEW_VM} Total threads per core and socket needs to match VCPU", ALLOCATE),
    ("OS=[BOOT=disk2]\n", "Wrong OS/BOOT value. Device with DISK_ID 2 not found", INTERNAL),
    ('OS=[BOOT="hd"]\n', 'Wrong OS/BOOT value: "hd" should be a comma-separated list of disk# or nic#',
     INTERNAL),
    ("GRAPHICS=[TYPE=VNC,PORT=70000]\n", "Wrong PORT number in GRAPHICS attribute", INTERNAL),
    ('SCHED_REQUIREMENTS="ID=1"\nSCHED_REQUIREMENTS="ID=2"\n',
     "Only one SCHED_REQUIREMENTS attribute can be defined.", INTERNAL),
    ("NIC_DEFAULT=[NETWORK=net1]\n", "Attribute NETWORK is not allowed inside NIC_DEFAULT.", INTERNAL),
])
def test_a_section_that_is_refused(oned: Site, text: str, named: str, code: int) -> None:
    assert refused(oned, text) == [f"[one.vm.allocate] {named}", code]


def test_of_two_topologies_the_first_counts_and_vcpu_is_added(oned: Site) -> None:
    vm = held(oned, "TOPOLOGY=[NODE_AFFINITY=x]\nTOPOLOGY=[SOCKETS=1]\n")
    found = oned.xml("vm", vm).find("TEMPLATE/TOPOLOGY")
    assert {node.tag: node.text for node in found} == {
        "SOCKETS": "1", "CORES": "1", "THREADS": "1", "PIN_POLICY": "NONE"}
    assert part(oned, vm, "TEMPLATE/VCPU") == "1"


def test_the_boot_order_names_disks_and_nics(oned: Site) -> None:
    disk = image(oned, "boot", "TYPE=OS\nPATH=/etc/hostname\n")
    vm = held(oned, f'DISK=[IMAGE_ID={disk}]\nNIC=[NETWORK=net1]\nOS=[BOOT="nic0,disk0"]\n')
    assert (part(oned, vm, "TEMPLATE/NIC/ORDER"), part(oned, vm, "TEMPLATE/DISK/ORDER")) == ("1", "2")


def test_a_port_belongs_to_one_vm_at_a_time(oned: Site) -> None:
    first = running(oned, "GRAPHICS=[TYPE=VNC,PORT=6100]\n")
    second = oned.must("one.vm.allocate", definition("GRAPHICS=[TYPE=VNC,PORT=6100]\n" + PLACE), False)
    reason = "Requested VNC port already assigned to a VM"
    until("the reason of the second VM",
          lambda: (part(oned, second, "USER_TEMPLATE/SCHED_MESSAGE") or "").endswith(reason))
    assert oned.vm_state(second) == (1, 0)
    oned.must("one.vm.action", "terminate-hard", first)
    oned.wait_vm(second, 3, 3)


def test_a_vm_without_a_port_gets_5900_and_its_id_or_the_first_free_one(oned: Site) -> None:
    vm = running(oned, "GRAPHICS=[TYPE=VNC]\n")
    assert part(oned, vm, "TEMPLATE/GRAPHICS/PORT") == str(5900 + vm)
    oned.must("one.vm.action", "undeploy-hard", vm)
    oned.wait_vm(vm, 9)
    assert part(oned, vm, "TEMPLATE/GRAPHICS/PORT") is None
    taken = running(oned, f"GRAPHICS=[TYPE=VNC,PORT={5900 + vm}]\n")
    oned.must("one.vm.action", "resume", vm)
    oned.wait_vm(vm, 3, 3)
    assert part(oned, vm, "TEMPLATE/GRAPHICS/PORT") == "5900"
    oned.must("one.vm.action", "terminate-hard", taken)


def test_attributes_oned_does_not_know_stay_with_the_user(oned: Site) -> None:
    vm = held(oned, "AUTOMATIC_REQUIREMENTS=x\nSECURITY_GROUP_RULE=[PROTOCOL=ALL]\nDR_PRIORITY=1\n")
    (shown,) = etree.fromstring(oned.must("one.vm.info", vm)).iterfind("USER_TEMPLATE")
    assert {node.tag for node in shown} == {"AUTOMATIC_REQUIREMENTS", "SECURITY_GROUP_RULE", "DR_PRIORITY"}


# Snapshots

TREE = (
    "<SNAPSHOTS><DISK_ID>0</DISK_ID><NEXT_SNAPSHOT>4</NEXT_SNAPSHOT><SNAPSHOT><ID>3</ID><NAME>x</NAME></SNAPSHOT>"
    "</SNAPSHOTS>"
)


def listed(site: Site, kind: str, oid: int) -> list[tuple[str | None, str | None]]:
    found = site.xml(kind, oid).iterfind("SNAPSHOTS/SNAPSHOT")
    return [(each.findtext("ID"), each.findtext("NAME")) for each in found]


def test_no_definition_takes_a_list_of_snapshots(oned: Site) -> None:
    text = f"<TEMPLATE><NAME>given</NAME><SIZE>8</SIZE><FORMAT>raw</FORMAT><SOURCE>one/x</SOURCE>{TREE}</TEMPLATE>"
    given = oned.wait_image(oned.must("one.image.allocate", text, 102, True))
    assert listed(oned, "image", given) == []
    disk = f"<DISK><IMAGE_ID>{given}</IMAGE_ID></DISK>"
    vm = oned.must("one.vm.allocate", f"<TEMPLATE><CPU>0.1</CPU><MEMORY>8</MEMORY>{disk}{TREE}</TEMPLATE>", True)
    assert listed(oned, "vm", vm) == []


def test_a_list_goes_with_its_persistent_image_from_vm_to_vm_and_counts_on(oned: Site) -> None:
    data = image(oned, "listed", 'SOURCE="one/y"\nSIZE=8\nFORMAT=raw\nPERSISTENT=YES\n', unchecked=True)
    first = running(oned)
    oned.must("one.vm.action", "poweroff-hard", first)
    oned.wait_vm(first, 8)
    oned.must("one.vm.attach", first, f"DISK=[IMAGE_ID={data}]")
    oned.wait_vm(first, 8)
    for number, name in enumerate(("a", "b")):
        assert oned.must("one.vm.disksnapshotcreate", first, 0, name) == number
        oned.wait_vm(first, 8)
    oned.must("one.vm.disksnapshotdelete", first, 0, 0)
    oned.wait_vm(first, 8)
    assert oned.must("one.vm.disksnapshotrename", first, 0, 1, "c") == first
    assert listed(oned, "vm", first) == [("1", "c")] and listed(oned, "image", data) == [("1", "b")]
    oned.must("one.vm.detach", first, 0)
    oned.wait_vm(first, 8)
    oned.wait_image(data)
    assert listed(oned, "image", data) == [("1", "c")]
    second = held(oned, f"DISK=[IMAGE_ID={data}]\n")
    assert listed(oned, "vm", second) == [("1", "c")]
    assert oned.xml("vm", second).findtext("SNAPSHOTS/NEXT_SNAPSHOT") == "2"
    answer = oned.call("one.vm.disksnapshotcreate", second, 0, "d")
    assert answer[0] is False and "wrong state HOLD" in answer[1] and answer[2] == ACTION


# Quotas

def test_a_quota_is_checked_when_an_object_gets_its_owner(oned: Site) -> None:
    user = oned.must("one.user.allocate", "quentin", "secret", "core")
    oned.must("one.user.quota", user, 'VM=[VMS="1",MEMORY="-2"]\nDATASTORE=[ID="102",SIZE="-2",IMAGES="1"]\n')
    first, second = held(oned, ""), held(oned, "")
    oned.must("one.vm.chown", first, user, -1)
    refused = oned.call("one.vm.chown", second, user, -1)
    text = f"[one.vm.chown] User [0] : user [{user}] limit of 1 reached for VMS quota in VM."
    assert refused[1:3] == [text, AUTHORIZATION]
    assert oned.xml("vm", second).findtext("UID") == "0"
    used = oned.xml("user", user).findtext("VM_QUOTA/VM/VMS_USED")
    oned.must("one.vm.action", "terminate-hard", first)
    assert float(used or 0) == 1 and not float(oned.xml("user", user).findtext("VM_QUOTA/VM/VMS_USED") or 0)
    oned.must("one.vm.chown", second, user, -1)
    oned.must("one.vm.action", "terminate-hard", second)
