"""Kernels, ramdisks and files of the context: named at the site of the VM, found by name at the other."""
from __future__ import annotations

from dataclasses import replace

import pytest

from onedr.model.errors import RefusedError
from onedr.opennebula import files
from onedr.opennebula.files import FileImage
from onedr.opennebula.nics import Counterparts, Owned

HERE = Counterparts(files={
    "vmlinuz": (Owned(4, "alice"), Owned(5, "bob")), "initrd": (Owned(6, "bob"),), "prepare.sh": (Owned(7, "oneadmin"),),
    "its own": (Owned(8, "alice"),), "rescue": (Owned(9, "bob"), Owned(10, "oneadmin")),
})
OS = (("OS", (("KERNEL_DS", "$FILE[IMAGE_ID=5]"), ("KERNEL", "/var/x"), ("INITRD_DS", '$FILE[ IMAGE_ID = "6" ]'), ("BOOT", ""))),)


def test_an_id_is_recorded_as_name_and_owner() -> None:
    assert files.ids(OS) == {5, 6}
    named = files.with_names((*OS, ("CPU", "1")), {5: FileImage("vmlinuz", "bob"), 6: FileImage('a "b"', "bob")})
    assert named == (
        ("OS", (("KERNEL_DS", '$FILE[IMAGE="vmlinuz",IMAGE_UNAME="bob"]'), ("KERNEL", "/var/x"),
                ("INITRD_DS", '$FILE[ IMAGE_ID = "6" ]'), ("BOOT", ""))),
        ("CPU", "1"),
    )


@pytest.mark.parametrize(("text", "image_id"), [
    ('$FILE[IMAGE="vmlinuz",IMAGE_UNAME="bob"]', 5), ("$FILE[IMAGE=vmlinuz, IMAGE_UNAME=alice]", 4),
    ("$FILE[IMAGE=vmlinuz]", 4), ("$FILE[IMAGE=rescue]", 10), ('$FILE[IMAGE = "its own"]', 8),
])
def test_it_is_the_image_of_that_name_and_owner_here(text: str, image_id: int) -> None:
    assert files.of_os(text, "KERNEL_DS", HERE, "alice") == f"$FILE[IMAGE_ID={image_id}]"


@pytest.mark.parametrize(("text", "owner", "words"), [
    ('$FILE[IMAGE="initrd",IMAGE_UNAME="alice"]', "alice", "'initrd here and give it to alice'"),
    ("$FILE[IMAGE=vmlinuz]", "carol", "'named vmlinuz here'"), ('$FILE[IMAGE="initrd"]', "alice", "'named initrd here'"),
    ("$FILE[IMAGE=none]", "alice", "'named none here'"),
    ("$FILE[IMAGE_ID=5]", "bob", "'refer to it as'"), ("/boot/vmlinuz", "bob", "'refer to it as'"),
])
def test_without_it_the_vm_is_left_out_and_it_is_said_what_to_do(text: str, owner: str, words: str) -> None:
    with pytest.raises(RefusedError, match=words.strip("'")):
        files.of_os(text, "KERNEL_DS", HERE, owner)


def test_files_of_the_context_are_the_vm_owners_or_oneadmins_and_no_other_users() -> None:
    text = "/var/lib/one//datastores/2/0a:'prepare.sh' /var/lib/one//datastores/2/0b:'its own' /var/x:'initrd'"
    warnings: list[str] = []
    assert files.of_context(text, HERE, "alice", "users", warnings) == "$FILE[IMAGE_ID=7] $FILE[IMAGE_ID=8]"
    assert len(warnings) == 1 and "'initrd' is left out" in warnings[0]


PRIVATE = Owned(20, "oneadmin", group="ops", for_all=False)


@pytest.mark.parametrize(("image", "group", "may"), [
    (PRIVATE, "users", False), (PRIVATE, "ops", True), (replace(PRIVATE, for_group=False), "ops", False),
    (replace(PRIVATE, for_all=True), "users", True), (replace(PRIVATE, owner="mallory"), "users", True),
])
def test_a_private_file_is_no_ones_who_called_one_of_his_own_like_it(image: Owned, group: str, may: bool) -> None:
    here, warnings = Counterparts(files={"keys.sh": (image,)}), list[str]()
    found = files.of_context("/var/x/0a:'keys.sh'", here, "mallory", group, warnings)
    assert (found, bool(warnings)) == (("$FILE[IMAGE_ID=20]", False) if may else ("", True))
    if may:
        assert files.of_os("$FILE[IMAGE=keys.sh]", "INITRD_DS", here, "mallory", group) == "$FILE[IMAGE_ID=20]"
    else:
        with pytest.raises(RefusedError, match="without a counterpart"):
            files.of_os("$FILE[IMAGE=keys.sh]", "INITRD_DS", here, "mallory", group)
