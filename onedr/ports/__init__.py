"""The outside world: Ceph (rados/rbd), the front-end (XML-RPC), records on images, journals, processes."""
