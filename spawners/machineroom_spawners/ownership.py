"""Whose a folder is that a workspace writes in."""

import os
from contextlib import suppress
from pathlib import Path


def give(folder: Path, uid: int) -> None:
    """Make `uid` the owner of all that is in `folder`; links are not followed, even if made meanwhile."""
    os.chown(folder, uid, uid)
    for _, folders, names, fd in os.fwalk(folder):
        for name in folders + names:
            with suppress(FileNotFoundError):
                if os.stat(name, dir_fd=fd, follow_symlinks=False).st_uid != uid:
                    os.chown(name, uid, uid, dir_fd=fd, follow_symlinks=False)
