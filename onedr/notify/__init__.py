"""Telling people of what changed: by mail, webhook or a program of theirs."""
