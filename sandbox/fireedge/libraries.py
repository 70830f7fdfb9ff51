"""React and MUI in the versions of Sunstone 7.0 to 7.4, for tests only: by npm, with their digests.

`python -m sandbox.fireedge.libraries FOLDER` puts their builds for a page there, once.
"""
from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

# Package, file in it, and npm's digest (dist.integrity) of the package.
_WANTED = (
    ("react@17.0.2", "umd/react.production.min.js",
     "gnhPt75i/dq/z3/6q/0asP78D0u592D5L1pd7M8P+dck6Fu/jJeL6iVVK23fptSUZj8Vjf++7wXA8UNclGQcbA=="),
    ("react-dom@17.0.2", "umd/react-dom.production.min.js",
     "s4h96KtLDUQlsENhMn1ar8t2bEa+q/YAtj8pPPdIjPDGBDIVNsrD9aXNWqspUe6AzKCIG0C1HZZLqLV7qpOBGA=="),
    ("@mui/material@5.4.1", "umd/material-ui.production.min.js",
     "SxAT43UAjFTBBpJrN+oGrv40xP1uCa5Z49NfHt3m93xYeFzbxKOk0V9IKU7zlUjbsaVQ0i+o24yF5GULZmynlA=="),
)
_LIMIT_S = 300


def fetch(folder: Path) -> None:
    """Put the files into the folder unless they are there. Raises ValueError for other content."""
    folder.mkdir(parents=True, exist_ok=True)
    for package, name, digest in _WANTED:
        target = folder / Path(name).name
        if target.exists():
            continue
        with tempfile.TemporaryDirectory(dir=folder) as work:
            subprocess.run(["npm", "pack", "--silent", package], cwd=work, check=True, timeout=_LIMIT_S)
            (archive,) = Path(work).iterdir()
            content = archive.read_bytes()
            if base64.b64encode(hashlib.sha512(content).digest()).decode() != digest:
                raise ValueError(f"{package} is not what it was: its digest differs")
            with tarfile.open(archive) as packed:
                member = packed.extractfile(f"package/{name}")
                assert member is not None
                (Path(work) / "file").write_bytes(member.read())
            (Path(work) / "file").replace(target)


if __name__ == "__main__":
    fetch(Path(sys.argv[1]))
