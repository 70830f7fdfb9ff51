"""Objects of a front-end: how each is stored, shown as XML and checked. Nothing here calls a driver."""
