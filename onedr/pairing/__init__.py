"""`onedr setup` and `onedr teardown`: pairing two pools."""
