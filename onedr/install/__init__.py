"""Installing OneDR into an OpenNebula front-end, and uninstalling it.

`install.sh` prepares an interpreter and calls `python -m onedr.install`. All decisions and changes are made
here, so that they can be tested without a shell.
"""
