"""The two-site bed: two real Ceph clusters, stand-in front-ends, real guests. Never imported by onedr/."""
