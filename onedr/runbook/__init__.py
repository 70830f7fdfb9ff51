"""`onedr runbook`: the commands of Ceph and OpenNebula that recover a datastore here without OneDR."""
