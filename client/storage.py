"""Files that are kept: private folders, files written whole, locks between processes.

Rule 1: a file is there whole or not at all: written beside its place, flushed
        to the disk, then moved or linked into it.
Rule 2: what we make is for its owner alone: folders 0700, files 0600.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

# Implementation
PRIVATE_FOLDER = 0o700
PRIVATE_FILE = 0o600


def private_folder(folder: Path) -> Path:
    """``folder``, made for its owner alone if it was missing; ``OSError`` if it cannot be."""
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    return folder


def read_bounded(path: Path, most: int) -> bytes:
    """At most ``most`` bytes; ``ValueError`` if there are more, ``OSError`` if unreadable."""
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"it is larger than {most} bytes")
    return data


def replace_whole(path: Path, data: bytes) -> None:
    """``path`` holds ``data`` now, or is unchanged and ``OSError`` tells why."""
    beside = _write_beside(path, data)
    try:
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)


def create_whole(path: Path, data: bytes) -> bool:
    """Whether this call made ``path``; False if another process was first."""
    beside = _write_beside(path, data)
    try:
        _appear(beside, path)
    except FileExistsError:
        return False
    finally:
        beside.unlink(missing_ok=True)
    _flush_folder(path.parent)
    return True


def _appear(beside: Path, path: Path) -> None:
    """Give ``path`` the content of ``beside``; ``FileExistsError`` if it is taken."""
    try:
        os.link(beside, path)
    except FileExistsError:
        raise
    except (OSError, NotImplementedError):  # no hard links here: FAT, some network folders
        data = beside.read_bytes()
        with _exclusive(path) as file:
            _write_through(file, data)


def _write_beside(path: Path, data: bytes) -> Path:
    beside = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        with _exclusive(beside) as file:
            _write_through(file, data)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    return beside


def _exclusive(path: Path) -> IO[bytes]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags, PRIVATE_FILE), "wb")


def _write_through(file: IO[bytes], data: bytes) -> None:
    file.write(data)
    file.flush()
    os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """The name itself survives a power cut; Windows has no such call."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems refuse; the file itself is safe
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Lock:
    """A lock that one process on this machine holds; it dies with its holder."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    @classmethod
    def take(cls, path: Path, *, wait: bool) -> Lock | None:
        """The lock of ``path``; None if somebody holds it and ``wait`` is false."""
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        file = os.fdopen(os.open(path, flags, PRIVATE_FILE), "r+b")
        try:
            _lock(file, wait=wait)
        except BlockingIOError:
            file.close()
            return None
        except OSError:
            file.close()
            raise
        return cls(file)

    def release(self) -> None:
        """Let others have it; twice is fine."""
        self._file.close()


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes], *, wait: bool) -> None:
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise BlockingIOError(*error.args) from error

else:
    import fcntl

    def _lock(file: IO[bytes], *, wait: bool) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Only one process at a time is inside; ``path`` is the lock's file."""
    lock = Lock.take(path, wait=True)
    try:
        yield
    finally:
        if lock:
            lock.release()
