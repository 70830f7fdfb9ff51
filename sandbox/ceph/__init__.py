"""The Ceph cluster of a site: files, daemons, mirror peers."""
