"""This machine: processes, paths, configuration, waiting, systemd, secret files."""
