"""The rehearsal: would this site accept each VM of the peer (docs/rehearsal.md)."""
