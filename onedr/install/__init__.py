"""Putting OneDR into an OpenNebula front-end and taking it out again.

`install.sh` prepares an interpreter and calls `python -m onedr.install`; everything that
decides or writes is here, so that it can be tested without a shell.
"""
