"""The fixtures of beds.py for the tests of this folder."""
from beds import REAL, Sites, bed, ceph_bed, here, site, sites, there

__all__ = ["REAL", "Sites", "bed", "ceph_bed", "here", "site", "sites", "there"]
