"""Day to day: enable, disable, reconcile, keeper, status, flatten, delete."""
