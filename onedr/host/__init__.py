"""This machine and the programs on it: processes, paths, configuration, systemd, secret files."""
