"""Atomic writes of files: the new content goes into a temporary file in the same folder, which is then renamed.

A file that cannot be replaced (a device, a pipe, a mounted file) is written in place.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from promo_sandbox.base.errors import SandboxError

_NOT_REPLACEABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY)  # only the file itself may be writable
_OPEN_FILES = ("/dev/", "/proc/")  # links here lead to files that are already open; replacing one would detach it
# Errors of a full or broken disk, which a socket does not have.
WRITE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_MAX_NAME = 100  # characters of the file's name in the name of the temporary file


def write_file(path: Path, content: bytes) -> None:
    """Write a file. If this raises `SandboxError`, a replaceable file is unchanged."""
    try:
        if not _replaceable(path):
            path.write_bytes(content)
            return
        target = Path(os.path.realpath(path))  # keeps a symbolic link
        try:
            _replace(target, content)
        except OSError as error:
            if error.errno not in _NOT_REPLACEABLE or not target.exists():
                raise
            target.write_bytes(content)
    except OSError as error:
        raise _write_error(path, error) from None


def check_writable(path: Path) -> None:
    """Raise `SandboxError` if a file cannot be written. The file does not change."""
    try:
        if path.exists():
            path.open("ab").close()
        else:
            target = Path(os.path.realpath(path))
            os.close(_create(target))
            target.unlink()
    except OSError as error:
        raise _write_error(path, error) from None


def _write_error(path: Path, error: OSError) -> SandboxError:
    return SandboxError(f"cannot write {path}: {error.strerror or error}")


def _replaceable(path: Path) -> bool:
    if os.path.abspath(path).startswith(_OPEN_FILES):  # noqa: PTH100 - without following links
        return False
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return True


def _replace(target: Path, content: bytes) -> None:
    temporary = target.with_name(f".{target.name[:_MAX_NAME]}.{secrets.token_hex(4)}")
    descriptor = _create(temporary)
    try:
        with os.fdopen(descriptor, "wb") as file:
            with suppress(FileNotFoundError):
                former = target.stat()
                with suppress(PermissionError):  # then the new file has our user as its owner
                    os.fchown(descriptor, former.st_uid, former.st_gid)
                os.fchmod(descriptor, stat.S_IMODE(former.st_mode))
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(target)
    except BaseException:  # also an interrupt
        temporary.unlink(missing_ok=True)
        raise


def _create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
