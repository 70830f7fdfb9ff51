"""Root works as the front-end's user: what it leaves behind then shuts that user out of nothing, and what
that user put in its way gives away nothing of root's.
"""
from __future__ import annotations

import os
import pwd

from onedr.host.paths import front_end_paths
from onedr.model.errors import InputError


def become_front_end_user() -> None:
    """Where root runs this process and the front-end is another user's: become that user, for good.

    Who that is says the owner of the front-end's data (/var/lib/one). Raises InputError.
    """
    if os.geteuid() != 0:
        return
    try:
        found = os.stat(front_end_paths().var)
    except FileNotFoundError:
        return  # there is no front-end here; whoever needs one says so
    if found.st_uid == 0:
        return
    try:
        user = pwd.getpwuid(found.st_uid)
    except KeyError as error:
        raise InputError(
            f"{front_end_paths().var} belongs to user id {found.st_uid}, which this machine does not know; "
            "give it to the front-end's user."
        ) from error
    os.environ.setdefault("SUDO_USER", "root")  # whom the log and the history name (start_action.caller)
    os.environ.update(HOME=user.pw_dir, USER=user.pw_name, LOGNAME=user.pw_name)
    os.initgroups(user.pw_name, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
