"""Everything that calls rados or rbd."""
