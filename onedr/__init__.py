"""OneDR: disaster recovery for OpenNebula clouds whose disks live on Ceph."""
