"""Files that commands write, each whole or not at all: the new content is written beside the former, then renamed.

Where nothing can be put in a file's place, as with a device, a pipe or a mounted file, it is written itself.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from promo_sandbox.base.errors import SandboxError

_NOT_BESIDE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY)  # a folder where only this file may be written
_LIVE = ("/dev/", "/proc/")  # what their links lead to is open already, and would no longer be what the shell opened
WRITE_ERRORS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EIO,
)  # what is written cannot be taken; no socket says so
_NAME = 100  # characters of the file's name in that of the file beside it


def write_file(path: Path, content: bytes) -> None:
    """Give a file this content. Raises `SandboxError`, and then it is as it was before."""
    try:
        if not _replaceable(path):
            path.write_bytes(content)
            return
        target = Path(os.path.realpath(path))  # a symbolic link stays one
        try:
            _replace(target, content)
        except OSError as error:
            if error.errno not in _NOT_BESIDE or not target.exists():
                raise
            target.write_bytes(content)
    except OSError as error:
        raise _unwritable(path, error) from None


def check_writable(path: Path) -> None:
    """Raises `SandboxError` now, not after minutes of work, if a file cannot be written. It stays as it is."""
    try:
        if path.exists():
            path.open("ab").close()
        else:
            target = Path(os.path.realpath(path))
            os.close(_created(target))
            target.unlink()
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> SandboxError:
    return SandboxError(f"cannot write {path}: {error.strerror or error}")


def _replaceable(path: Path) -> bool:
    if os.path.abspath(path).startswith(_LIVE):  # noqa: PTH100 - without following links
        return False
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return True


def _replace(target: Path, content: bytes) -> None:
    beside = target.with_name(f".{target.name[:_NAME]}.{secrets.token_hex(4)}")
    handle = _created(beside)
    try:
        with os.fdopen(handle, "wb") as file:
            with suppress(FileNotFoundError):
                former = target.stat()
                with suppress(PermissionError):  # somebody else's file becomes ours
                    os.fchown(handle, former.st_uid, former.st_gid)
                os.fchmod(handle, stat.S_IMODE(former.st_mode))
            file.write(content)
            file.flush()
            os.fsync(handle)
        beside.replace(target)
    except BaseException:  # an interrupt too
        beside.unlink(missing_ok=True)
        raise


def _created(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
