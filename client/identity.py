"""Who we are on this machine: made at the first start, kept in one file.

    identity.json   {"vchat-identity": 1, "secret": 128 hex digits, "fingerprint": 32}
        or sealed   {"vchat-identity": 1, "salt": 32 hex digits, "box": hex}

``secret`` is the Ed25519 seed, then the X25519 secret. ``box`` is the same under
Argon2id of the passphrase (``vc_core.seal``), with version and salt as AAD.

Rule 1: a file that cannot be read is never written over.
Rule 2: two first starts at once agree on one identity.
Rule 3: one process at a time speaks with it. A second one on this machine (host
        and guest side by side, to try things) is somebody else for that time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client.refused import Refused
from client.storage import (
    PRIVATE_FILE,
    Lock,
    create_whole,
    private_folder,
    read_bounded,
    replace_whole,
)
from vc_core.errors import Ending, RemoteProtocolError, reason
from vc_core.ids import Rng
from vc_core.keys import KEY_SIZE, Identity
from vc_core.seal import SALT_SIZE, argon2id, open_box, seal_box
from vc_core.wire import fields

# Specification
VERSION = 1
LABEL = "vchat-1 identity file"
# Implementation
FILE = "identity.json"
LOCK = "identity.lock"
MAX_FILE = 4096  # bytes
PASSPHRASE_VARIABLE = "VCHAT_PASSPHRASE"


class IdentityError(Refused):
    """The identity cannot be had."""


@dataclass
class OpenIdentity:
    """An identity in use."""

    identity: Identity
    temporary: bool
    """Somebody else on this machine uses the kept one: say ``identity-in-use``."""
    lock: Lock | None = None

    def close(self) -> None:
        """Others may use it; twice is fine."""
        if self.lock:
            self.lock.release()


def open_identity(
    folder: Path, passphrase: str | None = None, rng: Rng = os.urandom
) -> OpenIdentity:
    """The identity for one running call; ``IdentityError``. May take a second (Argon2)."""
    try:
        private_folder(folder)
        lock = Lock.take(folder / LOCK, wait=False)
    except OSError as error:
        raise _no_folder(folder, error) from error
    if lock is None:
        return OpenIdentity(Identity.generate(rng), temporary=True)
    try:
        return OpenIdentity(kept_identity(folder, passphrase, rng), temporary=False, lock=lock)
    except BaseException:
        lock.release()
        raise


def kept_identity(folder: Path, passphrase: str | None = None, rng: Rng = os.urandom) -> Identity:
    """The identity of ``folder``, made if there is none; ``IdentityError``."""
    path = folder / FILE
    try:
        private_folder(folder)
        if not path.exists():
            create_whole(path, _write(Identity.generate(rng), None, rng))
        kept = _read(path)
        if os.name == "posix" and path.stat().st_mode & 0o077:
            path.chmod(PRIVATE_FILE)
    except OSError as error:
        raise _no_folder(folder, error) from error
    return _open(path, kept, passphrase)


def is_sealed(folder: Path) -> bool:
    """Whether opening needs a passphrase; False where nothing readable is kept."""
    try:
        return "box" in _read(folder / FILE)
    except (OSError, IdentityError):
        return False


def set_passphrase(folder: Path, before: str | None, after: str | None) -> None:
    """Seal the kept identity under ``after``, or keep it open with None."""
    identity = kept_identity(folder, before)
    try:
        replace_whole(folder / FILE, _write(identity, after, os.urandom))
    except OSError as error:
        raise _no_folder(folder, error) from error


def passphrase_given() -> str | None:
    """What the environment says."""
    return os.environ.get(PASSPHRASE_VARIABLE) or None


def _write(identity: Identity, passphrase: str | None, rng: Rng) -> bytes:
    secret = identity.seed + identity.dh_secret
    content: dict[str, Any] = {"vchat-identity": VERSION}
    if passphrase is None:
        content |= {"secret": secret.hex(), "fingerprint": identity.public.fingerprint}
    else:
        salt = rng(SALT_SIZE)
        box = seal_box(_slow_key(passphrase, salt), secret, _bound(salt), rng)
        content |= {"salt": salt.hex(), "box": box.hex()}
    return json.dumps(content, indent=1).encode() + b"\n"


def _read(path: Path) -> Mapping[str, Any]:
    """The file's object; ``IdentityError`` if it is none of ours."""
    try:
        kept = json.loads(read_bounded(path, MAX_FILE))
    except (ValueError, RecursionError) as error:
        raise _damaged(path) from error
    if not isinstance(kept, dict) or not isinstance(kept.get("vchat-identity"), int):
        raise _damaged(path)
    if kept["vchat-identity"] != VERSION:
        raise IdentityError(
            "identity-version",
            f"the identity in {path} is of another version of vchat",
            "install the newer vchat, or choose another folder with --config",
            Ending.VERIFICATION_FAILED,
        )
    return kept


def _open(path: Path, kept: Mapping[str, Any], passphrase: str | None) -> Identity:
    if "box" not in kept:
        identity = _split(path, _hex(path, kept, "secret"))
        if kept.get("fingerprint") != identity.public.fingerprint:
            raise _damaged(path)
        return identity
    salt, box = _hex(path, kept, "salt"), _hex(path, kept, "box")
    if len(salt) != SALT_SIZE:
        raise _damaged(path)
    if passphrase is None:
        raise IdentityError(
            "passphrase-needed",
            "the identity is sealed with a passphrase",
            f"start vchat in a terminal, or give {PASSPHRASE_VARIABLE}",
            Ending.VERIFICATION_FAILED,
        )
    try:
        return _split(path, open_box(_slow_key(passphrase, salt), box, _bound(salt)))
    except RemoteProtocolError as error:
        raise IdentityError(
            "passphrase-wrong",
            "the passphrase does not open the identity",
            "try again; nothing was changed",
            Ending.VERIFICATION_FAILED,
        ) from error


def _split(path: Path, secret: bytes) -> Identity:
    if len(secret) != 2 * KEY_SIZE:
        raise _damaged(path)
    return Identity(secret[:KEY_SIZE], secret[KEY_SIZE:])


def _hex(path: Path, kept: Mapping[str, Any], key: str) -> bytes:
    try:
        return bytes.fromhex(kept[key])
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path) from error


def _slow_key(passphrase: str, salt: bytes) -> bytes:
    try:
        return argon2id(passphrase, salt)
    except MemoryError as error:
        raise IdentityError(
            "passphrase-memory",
            "there is not enough memory to open the identity",
            "it takes 256 MiB for a second",
        ) from error


def _bound(salt: bytes) -> bytes:
    return fields(LABEL, bytes([VERSION]), salt)


def _damaged(path: Path) -> IdentityError:
    return IdentityError(
        "identity-damaged",
        f"the identity in {path} is damaged",
        "bring it back from a backup, or move the file away to become somebody new",
        Ending.VERIFICATION_FAILED,
    )


def _no_folder(folder: Path, error: OSError) -> IdentityError:
    return IdentityError(
        "identity-folder",
        f"cannot keep an identity in {folder}: {reason(error)}",
        "choose another folder with --config",
    )
