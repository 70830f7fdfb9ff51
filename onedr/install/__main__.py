"""`python -m onedr.install install|uninstall|hooks|sunstone`: called by install.sh."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from onedr.install import steps
from onedr.install.paths import Paths
from onedr.model.errors import OneDRError


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m onedr.install", description=__doc__)
    parser.add_argument("step", choices=("preflight", "install", "uninstall", "hooks", "sunstone"))
    parser.add_argument("--source", type=Path, required=True, help="OneDR's source tree")
    parser.add_argument(
        "--python", type=Path, required=True, help="the interpreter of the drivers"
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would change, change nothing")
    parser.add_argument("--force", action="store_true", help="uninstall although a datastore may use ceph_dr")
    parser.add_argument(
        "--force-version", action="store_true", help="install into a release that OneDR was not made for"
    )
    return parser


def main() -> int:
    given = arguments().parse_args()
    # Drivers run as oneadmin whatever umask the administrator's shell has.
    os.umask(0o022)
    try:
        target = steps.InstallTarget(
            Paths.from_environment(os.environ), given.source.resolve(), given.python, given.force_version
        )
        if given.step == "preflight":
            return steps.preflight(target)
        if given.step == "install":
            return steps.install(target, given.dry_run)
        if given.step == "hooks":
            return steps.hooks_only(target, given.dry_run)
        if given.step == "sunstone":
            return steps.sunstone(target, given.dry_run)
        return steps.uninstall(target, given.dry_run, given.force)
    except OneDRError as error:
        print(f"install.sh: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # `install.sh --dry-run | head` is not an error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        where = error.filename or "a file"
        print(
            f"install.sh: {where}: {error.strerror}. Run this as root, or as the owner of the front-end's "
            "folders. Running it again completes the installation.",
            file=sys.stderr,
        )
        return 1


if __name__ == "__main__":
    sys.exit(main())
