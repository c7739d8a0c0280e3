"""The identity on this disk: made once, whole, for its owner alone, never written over."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.pwhash import argon2id

from client import identity as identities
from client.identity import (
    FILE,
    IdentityError,
    is_sealed,
    kept_identity,
    open_identity,
    set_passphrase,
)
from tests.conftest import ROOT
from vc_core import seal
from vc_core.errors import Ending


@pytest.fixture
def quick_argon2(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key from the passphrase without its 0.7 seconds."""

    def _quick(passphrase: str, salt: bytes) -> bytes:
        return (passphrase.encode() + salt).ljust(32, b"\0")[:32]

    monkeypatch.setattr(identities, "argon2id", _quick)


def bits(path: Path) -> int:
    """The permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def test_the_first_start_makes_one_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "vchat"
    made = kept_identity(folder)
    assert made.public.valid()
    assert bits(folder) == 0o700
    assert bits(folder / FILE) == 0o600
    assert [path.name for path in folder.iterdir()] == [FILE]


def test_the_next_start_finds_the_same(tmp_path: Path) -> None:
    assert kept_identity(tmp_path) == kept_identity(tmp_path)


@pytest.mark.parametrize("turn", range(20))
def test_first_starts_at_once_agree(tmp_path: Path, turn: int) -> None:
    found, together = set(), threading.Barrier(6)

    def _start() -> None:
        together.wait()
        found.add(kept_identity(tmp_path).public.fingerprint)

    threads = [threading.Thread(target=_start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 1
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_second_call_on_this_machine_is_somebody_else_for_that_time(tmp_path: Path) -> None:
    first = open_identity(tmp_path)
    second = open_identity(tmp_path)
    assert not first.temporary
    assert second.temporary
    assert second.identity != first.identity
    first.close()
    third = open_identity(tmp_path)
    assert (third.temporary, third.identity) == (False, first.identity)
    third.close()


def test_a_killed_call_gives_the_identity_free(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from client.identity import open_identity;"
        "held = open_identity(pathlib.Path(sys.argv[1])); print(held.temporary, flush=True);"
        "sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "False\n"
        assert open_identity(tmp_path).temporary
        holder.kill()
    opened = open_identity(tmp_path)
    assert not opened.temporary
    opened.close()


def test_the_key_from_a_passphrase_is_argon2id_of_libsodiums_moderate_limits() -> None:
    moderate = (argon2id.OPSLIMIT_MODERATE, argon2id.MEMLIMIT_MODERATE)
    expected = argon2id.kdf(32, "grüße".encode(), b"salt" * 4, *moderate)
    assert seal.argon2id("gru\u0308ße", b"salt" * 4) == expected


def test_a_passphrase_seals_for_real(tmp_path: Path) -> None:
    made = kept_identity(tmp_path)
    set_passphrase(tmp_path, None, "grüße")
    assert is_sealed(tmp_path)
    assert made.seed.hex() not in (tmp_path / FILE).read_text()
    assert bits(tmp_path / FILE) == 0o600
    assert kept_identity(tmp_path, "gru\u0308ße") == made  # the same letters, otherwise encoded


@pytest.mark.usefixtures("quick_argon2")
def test_a_passphrase_can_be_changed_and_removed(tmp_path: Path) -> None:
    made = kept_identity(tmp_path)
    set_passphrase(tmp_path, None, "one")
    set_passphrase(tmp_path, "one", "two")
    with pytest.raises(IdentityError):
        kept_identity(tmp_path, "one")
    set_passphrase(tmp_path, "two", None)
    assert not is_sealed(tmp_path)
    assert kept_identity(tmp_path) == made


@pytest.mark.usefixtures("quick_argon2")
@pytest.mark.parametrize(
    ("given", "code"), [(None, "passphrase-needed"), ("three", "passphrase-wrong")]
)
def test_a_missing_or_wrong_passphrase_is_a_sentence(
    tmp_path: Path, given: str | None, code: str
) -> None:
    kept_identity(tmp_path)
    set_passphrase(tmp_path, None, "one")
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(IdentityError) as caught:
        open_identity(tmp_path, given)
    assert caught.value.code == code
    assert caught.value.ending is Ending.VERIFICATION_FAILED
    assert (tmp_path / FILE).read_bytes() == before
    opened = open_identity(tmp_path, "one")  # the refused start holds no lock
    assert not opened.temporary
    opened.close()


@pytest.mark.usefixtures("quick_argon2")
@pytest.mark.parametrize("key", ["salt", "box"])
def test_a_changed_byte_of_a_sealed_file_does_not_open(tmp_path: Path, key: str) -> None:
    kept_identity(tmp_path)
    set_passphrase(tmp_path, None, "one")
    content = json.loads((tmp_path / FILE).read_text())
    content[key] = content[key][:-1] + ("0" if content[key][-1] != "0" else "1")
    (tmp_path / FILE).write_text(json.dumps(content))
    with pytest.raises(IdentityError) as caught:
        kept_identity(tmp_path, "one")
    assert caught.value.code == "passphrase-wrong"


SECRET = "11" * 64
DAMAGED = {
    "empty": "",
    "no json": "hello",
    "no object": "[]",
    "of something else": "{}",
    "nested": "[" * 4000,
    "without a secret": '{"vchat-identity": 1}',
    "with a short secret": '{"vchat-identity": 1, "secret": "11"}',
    "with another fingerprint": f'{{"vchat-identity": 1, "secret": "{SECRET}", "fingerprint": ""}}',
    "with half a box": '{"vchat-identity": 1, "box": "11", "salt": "1"}',
    "with a box of numbers": '{"vchat-identity": 1, "box": 5, "salt": 5}',
    "endless": "x" * 100_000,
}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_file_is_a_sentence_and_stays_as_it_is(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(IdentityError) as caught:
        open_identity(tmp_path, "whatever")
    assert caught.value.code == "identity-damaged"
    assert str(tmp_path / FILE) in caught.value.message
    assert (tmp_path / FILE).read_text() == text


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"vchat-identity": 2}')
    with pytest.raises(IdentityError) as caught:
        open_identity(tmp_path)
    assert caught.value.code == "identity-version"


@given(st.binary(max_size=300))
def test_any_content_is_an_identity_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / FILE).write_bytes(content)
    with pytest.raises(IdentityError):
        kept_identity(folder)
    assert (folder / FILE).read_bytes() == content


def test_a_full_disk_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def _full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", _full)
    with pytest.raises(IdentityError) as caught:
        kept_identity(tmp_path)
    assert caught.value.message.endswith("no space left on device")
    assert list(tmp_path.iterdir()) == []


def test_where_links_do_not_exist_the_file_is_made_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def _no_links(source: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", _no_links)
    assert kept_identity(tmp_path) == kept_identity(tmp_path)
    assert bits(tmp_path / FILE) == 0o600


def test_a_folder_that_cannot_be_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(IdentityError) as caught:
        open_identity(tmp_path / "file" / "vchat")
    assert caught.value.code == "identity-folder"
    assert caught.value.ending is Ending.FAILED


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    kept_identity(tmp_path)
    os.chmod(tmp_path / FILE, 0o644)
    kept_identity(tmp_path)
    assert bits(tmp_path / FILE) == 0o600
