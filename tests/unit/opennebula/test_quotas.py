"""Quotas and access rules, as oned's pools show them."""
from __future__ import annotations

from lxml import etree

from onedr.model.site_map import Entry, SiteMap
from onedr.opennebula import acls
from onedr.opennebula.quotas import Admission, Key, Quotas, Usage, read_quotas

# Pools of OpenNebula 7.4.0, shortened: quotas stand beside the objects.
USERS = etree.fromstring("""<USER_POOL>
<USER><ID>3</ID><NAME>bob</NAME></USER>
<QUOTAS><ID>3</ID><DATASTORE_QUOTA><DATASTORE><ID>100</ID><IMAGES>2</IMAGES><IMAGES_USED>1</IMAGES_USED><SIZE>-1</SIZE>
<SIZE_USED>10</SIZE_USED></DATASTORE></DATASTORE_QUOTA><NETWORK_QUOTA><NETWORK><ID>5</ID><LEASES>1</LEASES>
<LEASES_USED>1</LEASES_USED></NETWORK></NETWORK_QUOTA><VM_QUOTA><VM><CPU>-1</CPU><CPU_USED>1.5</CPU_USED>
<MEMORY>-2</MEMORY><MEMORY_USED>512</MEMORY_USED><VMS>0</VMS><VMS_USED>0</VMS_USED></VM>
<VM><CLUSTER_IDS>7</CLUSTER_IDS><VMS>0</VMS></VM></VM_QUOTA><IMAGE_QUOTA></IMAGE_QUOTA></QUOTAS>
<USER><ID>2</ID><NAME>ann</NAME></USER><QUOTAS><ID>2</ID></QUOTAS>
<USER><ID>0</ID><NAME>oneadmin</NAME></USER><QUOTAS><ID>0</ID></QUOTAS>
<DEFAULT_USER_QUOTAS><VM_QUOTA><VM><CPU>2</CPU><MEMORY>1024</MEMORY></VM></VM_QUOTA></DEFAULT_USER_QUOTAS></USER_POOL>""")
GROUPS = etree.fromstring("<GROUP_POOL><GROUP><ID>1</ID><NAME>users</NAME></GROUP><QUOTAS><ID>1</ID></QUOTAS></GROUP_POOL>")
CPU = Key("VM", "", "CPU")


def quotas_of(inner: str) -> Quotas:
    return read_quotas(etree.fromstring(
        f"<USER_POOL><USER><ID>3</ID><NAME>bob</NAME></USER><QUOTAS><ID>3</ID>{inner}</QUOTAS></USER_POOL>"), GROUPS)


def test_every_metric_is_read_also_of_other_attributes_images_and_pci_devices() -> None:
    """7.x: QUOTA_VM_ATTRIBUTE of oned.conf adds metrics, each with its RUNNING_ form."""
    found = quotas_of(
        "<VM_QUOTA><VM><VCPU>8</VCPU><VCPU_USED>2</VCPU_USED><RUNNING_VCPU>4</RUNNING_VCPU>"
        "<RUNNING_VCPU_USED>2</RUNNING_VCPU_USED><PCI_DEV>1</PCI_DEV><PCI_DEV_USED>0</PCI_DEV_USED><CPU>-1</CPU></VM></VM_QUOTA>"
        "<IMAGE_QUOTA><IMAGE><ID>7</ID><RVMS>1</RVMS><RVMS_USED>1</RVMS_USED></IMAGE></IMAGE_QUOTA>"
    )
    assert found.limits[("user", "bob")] == {
        Key("VM", "", "VCPU"): Usage(8, 2), Key("VM", "", "RUNNING_VCPU"): Usage(4, 2), Key("VM", "", "PCI_DEV"): Usage(1, 0),
        Key("IMAGE", "7", "RVMS"): Usage(1, 1),
    }
    assert found.own_attributes == {"VCPU"} and found.clusters == {}


def test_quotas_of_clusters_count_in_their_clusters_only() -> None:
    found = quotas_of(
        "<VM_QUOTA><VM><CLUSTER_IDS>100, 101</CLUSTER_IDS><CPU>2</CPU><CPU_USED>1.5</CPU_USED><VMS>-1</VMS></VM></VM_QUOTA>")
    (limit,) = found.clusters[("user", "bob")]
    assert found.limits == {} and limit.clusters == {100, 101}
    assert limit.admits(100, {CPU: 0.5}) and not limit.admits(101, {CPU: 1.0}) and limit.admits(102, {CPU: 9.0})


def test_limits_with_the_defaults_where_they_count() -> None:
    found = read_quotas(USERS, GROUPS).limits
    assert found[("user", "bob")] == {
        Key("DATASTORE", "100", "IMAGES"): Usage(2, 1), Key("NETWORK", "5", "LEASES"): Usage(1, 1), CPU: Usage(2, 1.5),
        Key("VM", "", "VMS"): Usage(0, 0),
    }
    assert found[("user", "ann")] == {CPU: Usage(2, 0), Key("VM", "", "MEMORY"): Usage(1024, 0)}
    assert ("user", "oneadmin") not in found and ("group", "users") not in found


def test_what_is_admitted_counts_for_the_next_and_what_is_not_does_not() -> None:
    quotas = Quotas({("user", "ann"): {CPU: Usage(2, 0.5)}, ("group", "users"): {Key("VM", "", "VMS"): Usage(2, 0)}})
    admission = Admission(quotas)

    def asked(cpu: float) -> str:
        return admission.refusal([("user", "ann", {CPU: cpu}), ("group", "users", {Key("VM", "", "VMS"): 1.0})])

    assert asked(1.0) == ""
    assert asked(1.0) == (
        "the quota of user 'ann' here does not admit it: CPU is limited to 2, 1.5 are used and it needs 1; raise it "
        "with oneuser quota ann"
    )
    assert asked(0.5) == ""
    assert "the quota of group 'users'" in asked(0.0) and "onegroup quota users" in asked(0.0)
    assert admission.refusal([("user", "carl", {CPU: 99.0})]) == ""


RULES = etree.fromstring("<ACL_POOL>" + "".join(f"<ACL><STRING>{text}</STRING></ACL>" for text in (
    "#2 NET+HOST/* USE+MANAGE *", "@1 VM/@100 USE *", "* ZONE/* USE *", "#9 VM/* USE *", "garbage",
)) + "</ACL_POOL>")


def test_rules_that_the_other_site_lacks() -> None:
    there = acls.read_rules(RULES, {"ann": 2}, {"users": 1})
    assert [(rule.who, rule.name, rule.scope) for rule in there] == [("user", "ann", "*"), ("group", "users", "@")]
    owners = [("user", "ann"), ("group", "users")]
    here = etree.fromstring("<ACL_POOL><ACL><STRING>#5 NET+HOST+VM/* USE+MANAGE+ADMIN *</STRING></ACL></ACL_POOL>")
    named = SiteMap(("a", "b"), {"users": (Entry((("ann",), ("ann-dr",))),)}).towards("b")
    (missing,) = acls.missing(there, acls.read_rules(here, {"ann-dr": 5}, {}), owners, named)
    assert missing == "group users has '@1 VM/@100 USE *' there, and users has nothing like it here"
    assert len(acls.missing(there, acls.read_rules(here, {"ann-dr": 5}, {}), owners, None)) == 2
    assert acls.missing(there, there, [], None) == [] == acls.missing(there, there, owners, None)
