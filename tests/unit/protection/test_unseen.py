"""What counts as not seen of the peer: copies that should be readable and are not."""
from __future__ import annotations

import pytest

from onedr.ceph.peer_access import PeerAccess
from onedr.model.types import CephAccess, PeerState
from onedr.protection import status
from onedr.replication.peer_ceph import PeerStatus
from onedr.replication.peer_copies import Copies

KEY = PeerAccess("192.0.2.1", "", "client.peer")
CONFIGURED = CephAccess("one", "", "/etc/ceph/peer.conf")


@pytest.mark.parametrize(("access", "configured", "peer", "proven", "unseen"), [
    (KEY, None, PeerState.GONE, False, True), (KEY, None, PeerState.ANSWERS, False, True),  # its OSDs are down
    (None, CONFIGURED, PeerState.UNKNOWN, False, True), (KEY, None, PeerState.ANSWERS, True, False),
    (None, None, PeerState.ANSWERS, False, False),  # who left the right out has rbd-mirror's word
    (None, None, PeerState.UNKNOWN, False, False),
])
def test_a_way_in_that_leads_nowhere_is_what_is_not_seen(
    access: PeerAccess | None, configured: CephAccess | None, peer: PeerState, proven: bool, unseen: bool,
) -> None:
    assert status.is_unseen(Copies({}, PeerStatus(peer, "", access, configured), proven)) is unseen
