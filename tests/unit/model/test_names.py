"""RBD names: OpenNebula's own, and never the same at two sites."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onedr.model import names
from onedr.model.names import VmDisk
from onedr.model.types import INDEX_STRIDE

IDS = st.integers(min_value=0, max_value=2**31 - 1)
IMAGE_IDS = st.integers(min_value=0, max_value=INDEX_STRIDE - 1)


def test_site_zero_keeps_the_stock_names() -> None:
    assert names.image(12, 0) == "one-12"
    assert names.vm_disk("one-12", 3, 0) == "one-12-3-0"
    assert names.volatile(3, 1) == "one-sys-3-1"


@given(IMAGE_IDS, IMAGE_IDS, st.sampled_from([(0, 1), (0, 2), (1, 2)]))
def test_images_of_two_sites_never_share_a_name(one: int, other: int, sites: tuple[int, int]) -> None:
    assert names.image(one, sites[0]) != names.image(other, sites[1])


@given(IMAGE_IDS, IDS, st.integers(min_value=0, max_value=999), st.integers(min_value=0, max_value=2))
def test_a_vm_disk_tells_its_vm_and_an_image_does_not(
    image_id: int, vm_id: int, disk_id: int, site: int
) -> None:
    image = names.image(image_id, site)
    assert names.parse_vm_disk(image) is None
    assert names.parse_vm_disk(names.vm_disk(image, vm_id, disk_id)) == VmDisk(vm_id, disk_id)
    assert names.parse_vm_disk(names.volatile(vm_id, disk_id)) == VmDisk(vm_id, disk_id)
    for name in (image, names.vm_disk(image, vm_id, disk_id), names.volatile(vm_id, disk_id)):
        assert names.is_managed(name)


@given(IMAGE_IDS.map(lambda image_id: image_id // 2), st.permutations([0, 1, 2]))
def test_a_base_taken_over_gets_a_name_that_no_image_made_at_any_site_has(
    image_id: int, sites: list[int]
) -> None:
    taken = names.taken_base(names.image(image_id, sites[0]), sites[1])
    assert names.is_managed(taken) and names.parse_vm_disk(taken) is None
    assert taken not in {names.image(image_id, site) for site in sites}
    assert names.taken_base(names.image(image_id + 1, sites[0]), sites[1]) != taken


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("one-3-1", "one-3"),
        ("one-3-1:2:30", "one-3"),
        ("one-3-13-0-1", "one-3-13-0"),
        ("one-3-13-0-4:5", "one-3-13-0"),
        ("one-3", None),
        ("one-3-13-0", None),
        ("one-sys-3-1", None),
        ("one-sys-3-1-2", None),
    ],
)
def test_volumes_of_old_snapshots_tell_their_image(name: str, image: str | None) -> None:
    assert names.stock_volume_owner(name) == image
    assert image is None or (names.is_managed(name) and names.parse_vm_disk(name) is None)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "one",
        "one-",
        "one-x",
        "one-1-2-",
        "one-1:2",
        "one-1-:2",
        "one-1-2:",
        "one-1-2-3-4-5",
        "one-sys-1",
        "one-sys-1-2-3",
        "xone-1",
        "one-1.bak",
        "one-1\n",
        "One-1",
        "one-٣",
        "one--1",
        "vm-101-disk-0",
    ],
)
def test_what_opennebula_would_not_name_so_is_not_ours(name: str) -> None:
    assert not names.is_managed(name)
    assert names.parse_vm_disk(name) is None
