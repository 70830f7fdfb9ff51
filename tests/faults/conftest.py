"""The fixtures of tests/bed for the stories of this folder."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bed"))
from beds import REAL, Sites, bed, ceph_bed, here, site, sites, there

__all__ = ["REAL", "Sites", "bed", "ceph_bed", "here", "site", "sites", "there"]
