"""The two-site bed: two real Ceph clusters, two stand-in front-ends, real guests. Never imported by onedr/."""
