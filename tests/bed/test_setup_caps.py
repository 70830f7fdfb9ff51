"""Every right that `onedr setup` gives a Ceph user is needed: without it the thing that it is for fails, with it it works."""
from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import rbd
from test_setup import POOL, USER, Ground, start_mirror

from onedr.ceph import connection, images, mirror_schedule, peer_access
from onedr.model.errors import OneDRError, StorageError
from onedr.model.types import CephAccess
from onedr.pairing import ceph_caps, join_file
from onedr.pairing import join as pairing_join
from onedr.pairing.ceph_caps import Grant
from onedr.pairing.undo_log import UndoLog
from sandbox import processes
from sandbox.ceph.cluster import command, connect
from sandbox.cloud import Cloud, of_site
from sandbox.temporary import temporary
from sandbox.waiting import until

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
_ARRIVES_S, _NEVER_S = 60, 12  # with all rights it takes 2 to 5 s


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Two sites that mirror each other, set up by OneDR."""
    with temporary(frontends=False, bare=True) as bed:
        a, b = (of_site(site) for site in bed.sites.values())
        made = Ground(bed, a, b, tmp_path_factory.mktemp("carried") / "join")
        made.done(a, "setup", "--site", "site-a", "--ceph-user", USER, "--offer", str(made.file))
        made.done(b, "setup", "--site", "site-b", "--ceph-user", USER, "--join", str(made.file))
        for cloud in (a, b):
            start_mirror(bed, cloud)
        yield made


def less(grants: tuple[Grant, ...], grant: Grant) -> dict[str, str]:
    """The caps without one of them."""
    return ceph_caps.text(each for each in grants if each != grant)


@contextmanager
def rights(ground: Ground, cloud: Cloud, entity: str, given: dict[str, str]) -> Iterator[None]:
    """A user's caps for a while."""
    with connect(ground.bed.sites[cloud.name]) as cluster:
        before = command(cluster, prefix="auth get", entity=entity)[0]["caps"]
        command(cluster, prefix="auth caps", entity=entity, caps=[word for pair in given.items() for word in pair])
        try:
            yield
        finally:
            command(cluster, prefix="auth caps", entity=entity, caps=[word for pair in before.items() for word in pair])


def access(cloud: Cloud) -> CephAccess:
    return CephAccess(POOL, USER, str(cloud.ceph_conf))


def use_the_peers_key(pool: connection.Pool) -> None:
    if peer_access.peer_access(pool) is None:
        raise StorageError("the key may not be read")


def make_an_image(pool: connection.Pool) -> None:
    images.create_image(pool, "made", 4 << 20)
    pool.rbd.remove(pool.io, "made")


def schedule(pool: connection.Pool) -> None:
    name = f"scheduled-{time.monotonic_ns()}"
    images.create_image(pool, name, 4 << 20)
    with pool.image(name) as image:
        image.mirror_image_enable(rbd.RBD_MIRROR_IMAGE_MODE_SNAPSHOT)
    try:
        mirror_schedule.add_schedule(pool, name, "1h")
        mirror_schedule.remove_schedules(pool, name)
    finally:
        with pool.image(name) as image:
            image.mirror_image_disable(False)
        pool.rbd.remove(pool.io, name)


def look(pool: connection.Pool) -> None:
    pool.names()


_FOR = {"profile rbd": look, "allow command": use_the_peers_key, "profile rbd pool=one": make_an_image}
DATASTORE = ceph_caps.datastore_user([POOL])


@pytest.mark.parametrize("grant", DATASTORE, ids=lambda grant: f"{grant.service}-{grant.text[:20]}")
def test_the_datastores_user_needs(ground: Ground, grant: Grant) -> None:
    action = schedule if grant.service == "mgr" else next(_FOR[key] for key in _FOR if grant.text.startswith(key) and (
        key != "profile rbd" or grant.service == "mon"))
    with connection.connect(access(ground.a)) as pool:
        action(pool)
    with rights(ground, ground.a, f"client.{USER}", less(DATASTORE, grant)), \
            pytest.raises((OneDRError, rbd.Error)), connection.connect(access(ground.a), 5, 5) as pool:
        action(pool)


def arrives(ground: Ground, limit_s: float) -> bool:
    """Does a new image of site A come to site B within the limit? It is removed at both."""
    name = f"new-{time.monotonic_ns()}"
    with connect(ground.bed.sites["site-a"]) as a, a.open_ioctx(POOL) as io, \
            connect(ground.bed.sites["site-b"]) as b, b.open_ioctx(POOL) as copies:
        rbd.RBD().create(io, name, 4 << 20)
        with rbd.Image(io, name) as image:
            image.write(b"x" * 4096, 0)
            image.mirror_image_enable(rbd.RBD_MIRROR_IMAGE_MODE_JOURNAL)
        end = time.monotonic() + limit_s
        while not (there := _has(copies, name)) and time.monotonic() < end:
            time.sleep(0.2)
        with rbd.Image(io, name) as image:
            image.mirror_image_disable(True)
        until("its removal", lambda: _removed(io, name), 60, 1)
    return there


def _has(io: Any, name: str) -> bool:
    try:
        with rbd.Image(io, name, read_only=True) as image:
            return bool(image.read(0, 4) == b"xxxx")
    except rbd.ImageNotFound:
        return False


def _removed(io: Any, name: str) -> bool:
    try:
        rbd.RBD().remove(io, name)
    except rbd.ImageNotFound:
        return True
    except (rbd.ImageHasSnapshots, rbd.ImageBusy):  # rbd-mirror has not let go of it yet
        with rbd.Image(io, name) as image:
            for snapshot in list(image.list_snaps()):
                image.remove_snap(snapshot["name"])
        return False
    return True


def restart(ground: Ground, cloud: Cloud) -> None:
    processes.stop(ground.bed.sites[cloud.name], "mirror")
    start_mirror(ground.bed, cloud, wait=False)  # without a right it may never report


@pytest.mark.parametrize("grant", ceph_caps.daemon([POOL]), ids=lambda grant: grant.service)
def test_rbd_mirrors_user_needs(ground: Ground, grant: Grant) -> None:
    assert arrives(ground, _ARRIVES_S)
    with rights(ground, ground.b, "client.rbd-mirror.site-b", less(ceph_caps.daemon([POOL]), grant)):
        restart(ground, ground.b)
        assert not arrives(ground, _NEVER_S)
    restart(ground, ground.b)
    assert arrives(ground, _ARRIVES_S)


@pytest.mark.parametrize("grant", ceph_caps.peer([POOL]), ids=lambda grant: grant.service)
def test_the_peers_user_needs(ground: Ground, grant: Grant) -> None:
    """Site B comes to site A as this user."""
    with rights(ground, ground.a, ceph_caps.PEER, less(ceph_caps.peer([POOL]), grant)):
        restart(ground, ground.b)
        assert not arrives(ground, _NEVER_S)
    restart(ground, ground.b)
    assert arrives(ground, _ARRIVES_S)


@pytest.mark.parametrize("number", range(len(ceph_caps.joiner("0"))))
def test_a_join_files_user_needs(ground: Ground, tmp_path: Path, number: int) -> None:
    """Each of its rights, one after the other, on a file of another pool."""
    with connect(ground.bed.sites["site-a"]) as cluster:
        if not cluster.pool_exists("two"):
            command(cluster, prefix="osd pool create", pool="two", pg_num=8)
    path = tmp_path / "join"
    words = ["onedr", "setup", "--pool", "two", "--ceph-conf", str(ground.a.ceph_conf), "--offer", str(path)]
    ground.bed.run("site-a", words, env=ground.a.process_environment(), check=True, capture_output=True)
    file = join_file.read_join_file(path)
    grants = ceph_caps.joiner(file.join_id)
    entity = f"{ceph_caps.JOIN_PREFIX}{file.join_id}"

    def use() -> None:
        guest = pairing_join.open_join_file(path, UndoLog(), [], time.time())
        pairing_join.invalidate(guest)

    with rights(ground, ground.a, entity, less(grants, grants[number])), pytest.raises(OneDRError):
        use()
    if number != len(grants) - 1:  # the message is removed by then, and the file used
        use()


def test_a_user_of_one_pool_may_not_touch_another(ground: Ground) -> None:
    with connect(ground.bed.sites["site-b"]) as cluster:
        command(cluster, prefix="osd pool create", pool="other", pg_num=8)
        with cluster.open_ioctx("other") as io:
            rbd.RBD().pool_init(io, False)
    with pytest.raises((OneDRError, rbd.Error)), connection.connect(CephAccess("other", USER, str(ground.b.ceph_conf)), 5, 5) as pool:
        make_an_image(pool)
