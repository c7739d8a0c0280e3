"""People we have met, by their keys, and those of them whom we call contacts.

    contacts.json   {"vchat-contacts": 1, "people": [{"sign", "dh", "cross": hex,
                     "name", "first", "last": Unix time, "saved": bool}, …]}

Everybody met is pinned, so that the next meeting says ``known``. A name alone
is no identity: only of a *saved* contact do we say that its key ``changed``, and
then nothing is exchanged until the person accepts the new key.

Rule 1: each change reads the file anew under a lock, so that two calls on one
        machine do not forget each other's.
Rule 2: a damaged file is put aside, never written over.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from client.refused import Refused
from client.storage import alone, private_folder, read_bounded, replace_whole
from vc_core.clean import clean_name
from vc_core.errors import reason
from vc_core.keys import KEY_SIZE, SIGNATURE_SIZE, PublicIdentity
from vc_core.record import record

# Specification
VERSION = 1
# Implementation
FILE = "contacts.json"
LOCK = "contacts.lock"
MAX_FILE = 4 << 20  # bytes
MAX_PEOPLE = 2000  # whom we saw longest ago and did not save is forgotten first
_SIZES = {"sign": KEY_SIZE, "dh": KEY_SIZE, "cross": SIGNATURE_SIZE}

log = logging.getLogger(__name__)


@record
class Person:
    """Somebody met."""

    identity: PublicIdentity
    name: str
    """As chosen at the last meeting, or when saved."""
    first: float
    """Unix time of the first meeting."""
    last: float
    saved: bool = False


class Contacts:
    """The list of one folder.

    Questions are answered from memory; changes block for a file (a disk's flush)
    and may be made on another thread, one at a time.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock
        self.damaged = False
        """The file could not be read and was put aside: say ``contacts-damaged``."""
        self._people = self._read()

    @property
    def people(self) -> tuple[Person, ...]:
        """Everybody, whom we saw last first."""
        return tuple(sorted(self._people.values(), key=lambda one: -one.last))

    @property
    def saved(self) -> tuple[Person, ...]:
        """The contacts, by name."""
        return tuple(sorted((one for one in self.people if one.saved), key=lambda one: one.name))

    def known(self, name: str, identity: PublicIdentity) -> str:
        """``known``, ``changed`` (a contact of that name has another key) or ``new``."""
        met = self._people.get(identity.fingerprint)
        if met and met.saved:
            return "known"
        if any(_alike(one.name, name) for one in self.saved):
            return "changed"
        return "known" if met else "new"

    def judge(self, name: str, identity: PublicIdentity) -> bool:
        """Whether this key is not that of the saved contact of this name."""
        return self.known(name, identity) == "changed"

    def remember(self, name: str, identity: PublicIdentity) -> None:
        """We have met; a saved contact keeps the name under which it was saved.

        A full disk ends no call: what cannot be written is remembered until the end.
        """
        try:
            with self._changing() as people:
                self._met(people, name, identity)
        except Refused as error:
            log.warning("%s", error)
            people = dict(self._people)
            self._met(people, name, identity)
            self._people = people

    def save(self, name: str, identity: PublicIdentity) -> None:
        """Make a contact of somebody; whoever had the name before has it no longer."""
        with self._changing() as people:
            for mark, one in people.items():
                if one.saved and _alike(one.name, name):
                    people[mark] = replace(one, saved=False)
            person = self._met(people, name, identity)
            people[identity.fingerprint] = replace(person, name=clean_name(name), saved=True)

    def accept(self, name: str, identity: PublicIdentity) -> None:
        """The contact of this name has this key now."""
        self.save(name, identity)

    def forget(self, identity: PublicIdentity) -> None:
        """No contact any more; the key stays known."""
        with self._changing() as people:
            if one := people.get(identity.fingerprint):
                people[identity.fingerprint] = replace(one, saved=False)

    def find(self, what: str) -> list[Person]:
        """Whose fingerprint begins so (blanks do not count), or whose name it is."""
        mark = "".join(what.split()).lower()
        if len(mark) >= 4 and set(mark) <= set("0123456789abcdef"):
            found = [one for one in self.people if one.identity.fingerprint.startswith(mark)]
            if found:
                return found
        return [one for one in self.people if _alike(one.name, what)]

    def _met(self, people: dict[str, Person], name: str, identity: PublicIdentity) -> Person:
        now = self._clock()
        met = people.get(identity.fingerprint)
        shown = met.name if met and met.saved else clean_name(name)
        first, saved = (met.first, met.saved) if met else (now, False)
        person = Person(identity, shown, first, now, saved)
        people[identity.fingerprint] = person
        return person

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Person]]:
        """What is done inside is on the disk afterwards; ``Refused`` if it cannot be."""
        try:
            private_folder(self._folder)
            with alone(self._folder / LOCK):
                people = self._read()
                yield people
                order = sorted(people.values(), key=lambda one: (not one.saved, -one.last))
                self._people = {one.identity.fingerprint: one for one in order[:MAX_PEOPLE]}
                replace_whole(self._folder / FILE, _write(self.people))
        except OSError as error:
            raise self._unusable(error) from error

    def _read(self) -> dict[str, Person]:
        path = self._folder / FILE
        try:
            people = _parse(json.loads(read_bounded(path, MAX_FILE)))
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            log.warning("%s is damaged and was put aside: %s", path, error)
            self.damaged = True
            path.replace(path.with_name(f"{FILE}.damaged"))
            return {}
        except OSError as error:
            raise self._unusable(error) from error
        return {one.identity.fingerprint: one for one in people}

    def _unusable(self, error: OSError) -> Refused:
        why = reason(error)
        message = f"cannot keep contacts in {self._folder}: {why}"
        return Refused("contacts-folder", message, "choose another folder with --config")


def _alike(one: str, other: str) -> bool:
    return clean_name(one).casefold() == clean_name(other).casefold()


def _write(people: tuple[Person, ...]) -> bytes:
    listed = [
        {
            **{key: getattr(one.identity, key).hex() for key in _SIZES},
            "name": one.name,
            "first": round(one.first),
            "last": round(one.last),
            "saved": one.saved,
        }
        for one in people
    ]
    content = {"vchat-contacts": VERSION, "people": listed}
    return json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n"


def _parse(content: Any) -> list[Person]:
    if content["vchat-contacts"] != VERSION:
        raise ValueError("it is of another version")
    return [_parse_person(one) for one in content["people"]]


def _parse_person(entry: Any) -> Person:
    keys = {key: bytes.fromhex(entry[key]) for key in _SIZES}
    identity = PublicIdentity(**keys)
    if any(len(keys[key]) != size for key, size in _SIZES.items()) or not identity.valid():
        raise ValueError("a key of the wrong shape")
    name, saved = entry["name"], entry["saved"]
    if not isinstance(name, str) or not isinstance(saved, bool):
        raise ValueError("a person of the wrong shape")
    return Person(identity, clean_name(name), float(entry["first"]), float(entry["last"]), saved)
