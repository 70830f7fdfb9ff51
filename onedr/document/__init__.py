"""The OpenNebula document of a protected datastore, for Sunstone and other clients (docs/document.md)."""
