"""Day-to-day protection: enable, disable, reconcile, keeper, status, flatten, delete."""
