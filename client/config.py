"""What was chosen, and where: flags, then environment, then config.toml, then defaults.

``config.toml`` stands in the folder of identity and contacts, one key per
option below; ``VCHAT_<OPTION>`` says the same (lists: separated by blanks).
A value that means nothing is a sentence that names the key and its line.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client.refused import Refused
from client.settings import RUNGS, Settings
from client.storage import read_bounded
from vc_core.errors import Ending

# Implementation
FILE = "config.toml"
MAX_FILE = 65536  # bytes
MAX_GUESTS = 63  # seats of one roster, without the host's
LONGEST_LIFE = 86400  # seconds of a code
NAMELESS = "someone"

_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:.%]+\]|[^\s:/\[\]@]*):([0-9]{1,5})")
_HOST = re.compile(r"[0-9a-fA-F:.]*:[0-9a-fA-F:.]+|\[[0-9a-fA-F:.]+\]|[^\s:/\[\]@]+")
_URL = re.compile(r"wss?://[^\s/@]+(/\S*)?")
_RELAY = re.compile(
    r"(?:(?:udp|wss?)://)?(?:\[[0-9a-fA-F:.]+\]|[^\s:/\[\]@,#]+):[0-9]{1,5}(?:#\S+)?"
)


class ConfigError(Refused):
    """A setting that cannot be used; exit code 2."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__("bad-config", message, hint, Ending.USAGE)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError("a text in one line")
    return value.strip()


def _yes_or_no(value: Any) -> bool:
    word = str(value).lower()
    if word not in _YES + _NO:
        raise ValueError("true or false")
    return word in _YES


def _guests(value: Any) -> int:
    if isinstance(value, bool) or not str(value).isdecimal() or not 1 <= int(value) <= MAX_GUESTS:
        raise ValueError(f"a number from 1 to {MAX_GUESTS}")
    return int(value)


def _minutes(value: Any) -> float:
    """Minutes as written, seconds as kept."""
    seconds = 60 * float(value)
    if isinstance(value, bool) or not 1 <= seconds <= LONGEST_LIFE:
        raise ValueError(f"a number of minutes up to {LONGEST_LIFE // 60}")
    return seconds


def _folder(value: Any) -> Path:
    return Path(_text(str(value))).expanduser()


def _shaped(pattern: re.Pattern[str], meant: str) -> Callable[[Any], str]:
    def _read(value: Any) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise ValueError(meant)
        return value

    return _read


def _address(value: Any) -> str:
    found = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
    if not found or int(found[2]) > 65535:
        raise ValueError("HOST:PORT")
    return found[0]


def _server(value: Any) -> str:
    """A URL; HOST or HOST:PORT means ``ws://``, as behind the @ of a code."""
    if isinstance(value, str) and _URL.fullmatch(value):
        return value
    if isinstance(value, str) and "://" not in value and _ADDRESS.fullmatch(value):
        return f"ws://{_address(value)}"
    raise ValueError("a ws:// or wss:// address")


def _relay(value: Any) -> str:
    parts = value.split(",") if isinstance(value, str) else []
    if not parts or not all(_RELAY.fullmatch(part) for part in parts):
        raise ValueError("HOST:PORT, udp://HOST:PORT, wss://HOST:PORT or ws://HOST:PORT")
    return str(value)


def _rung(value: Any) -> str:
    if value not in RUNGS:
        raise ValueError(", ".join(RUNGS))
    return str(value)


def _process(value: Any) -> bool:
    if value not in ("on", "off", True, False):
        raise ValueError("on or off")
    return value in ("on", True)


def _list(each: Callable[[Any], str]) -> Callable[[Any], tuple[str, ...]]:
    """A list of values, or one text with blanks between them."""

    def _read(value: Any) -> tuple[str, ...]:
        values = value.split() if isinstance(value, str) else value
        if not isinstance(values, list | tuple):
            raise ValueError("a list of texts")
        return tuple(dict.fromkeys(each(one) for one in values))

    return _read


@dataclass(frozen=True)
class Option:
    """One thing that can be chosen."""

    key: str
    """In ``config.toml``; the flag has ``-`` and the environment ``VCHAT_`` and capitals."""
    read: Callable[[Any], Any]
    """The value; ``ValueError`` says what is allowed."""
    default: Any = None

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return f"VCHAT_{self.key.upper()}"

    @property
    def flag(self) -> str:
        """Its name on the command line."""
        return f"--{self.key.replace('_', '-')}"


OPTIONS = {
    option.key: option
    for option in (
        Option("name", _text),
        Option("signal", _server),
        Option("relay", _list(_relay), ()),
        Option("stun", _list(_address), ()),
        Option("no_stun", _yes_or_no, False),
        Option("only", _list(_rung), RUNGS),
        Option("mic", _text, "default"),
        Option("speaker", _text, "default"),
        Option("process", _process, False),
        Option("record", _folder),
        Option("guests", _guests, 8),
        Option("life", _minutes, 600.0),
        Option("listen", _address),
        Option("advertise", _shaped(_HOST, "a host name or an address")),
        Option("plain", _yes_or_no, False),
        Option("log_file", _folder),
    )
}


@dataclass(frozen=True)
class Chosen:
    """An effective value."""

    value: Any
    source: str
    """For people: ``--mic``, ``VCHAT_MIC``, ``config.toml line 3``, ``default``."""
    rank: int
    """0 flag, 1 environment, 2 file, 3 default."""


@dataclass(frozen=True)
class Config:
    """All that was chosen."""

    folder: Path
    chosen: Mapping[str, Chosen]

    def __getitem__(self, key: str) -> Any:
        return self.chosen[key].value


def config_folder(flag: str | Path | None = None, env: Mapping[str, str] = os.environ) -> Path:
    """The folder of ``config.toml``, identity and contacts."""
    said = flag or env.get("VCHAT_CONFIG")
    if said:
        return Path(said).expanduser()
    from platformdirs import user_config_path

    return user_config_path("vchat", appauthor=False)


def load(
    folder: Path, flags: Mapping[str, Any] | None = None, env: Mapping[str, str] = os.environ
) -> Config:
    """Everything chosen; ``ConfigError`` names the first thing that cannot be used.

    In ``flags`` None and () mean that the flag was not given.
    """
    file, text = read_file(folder)
    chosen: dict[str, Chosen] = {}
    for key, option in OPTIONS.items():
        given = (flags or {}).get(key)
        if given not in (None, ()):
            chosen[key] = _choose(option, given, option.flag, 0)
        elif env.get(option.variable):
            chosen[key] = _choose(option, env[option.variable], option.variable, 1)
        elif key in file:
            chosen[key] = _choose(option, file[key], f"{FILE} line {_line(text, key)}", 2)
        else:
            default = login_name() if key == "name" else option.default
            chosen[key] = Chosen(default, "default", 3)
    return Config(folder, _agreed(chosen))


def read_file(folder: Path) -> tuple[Mapping[str, Any], str]:
    """The table of ``config.toml`` and its text; both empty where there is none."""
    path = folder / FILE
    try:
        text = read_bounded(path, MAX_FILE).decode()
        table = tomllib.loads(text)
    except FileNotFoundError:
        return {}, ""
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {(error.strerror or str(error)).lower()}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not toml: {_lower(str(error))}") from error
    for key in table:
        if key not in OPTIONS:
            raise ConfigError(
                f"{path} line {_line(text, key)}: there is no key '{key}'",
                f"there are {', '.join(OPTIONS)}",
            )
    return table, text


def login_name() -> str:
    """The name of who sits here, as the system knows it."""
    try:
        return getpass.getuser() or NAMELESS
    except (KeyError, OSError, ImportError):
        return NAMELESS


def make_settings(config: Config, **call: Any) -> Settings:
    """The settings of one call; ``call`` are those that no file can choose."""
    return Settings(
        name=config["name"],
        config=config.folder,
        signal=config["signal"],
        relays=config["relay"],
        stun=config["stun"],
        no_stun=config["no_stun"],
        only=config["only"],
        mic=config["mic"],
        speaker=config["speaker"],
        process=config["process"],
        record=config["record"],
        guests=config["guests"],
        life=config["life"],
        listen=config["listen"],
        advertise=config["advertise"],
        **call,
    )


def as_toml(key: str, value: Any) -> str:
    """How a value is written in ``config.toml``."""
    if key == "life":
        return f"{value / 60:g}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return f"[{', '.join(json.dumps(one) for one in value)}]"
    return json.dumps("" if value is None else value, default=str, ensure_ascii=False)


def _choose(option: Option, value: Any, source: str, rank: int) -> Chosen:
    try:
        return Chosen(option.read(value), source, rank)
    except (ValueError, TypeError) as error:
        shown = f"'{value}'" if isinstance(value, str) else value
        raise ConfigError(f"{source}: {shown} is not {error}") from error


def _agreed(chosen: dict[str, Chosen]) -> dict[str, Chosen]:
    """Of two that exclude each other the stronger one stays."""
    for one, other in (("stun", "no_stun"), ("signal", "listen")):
        left, right = chosen[one], chosen[other]
        if not (left.value and right.value):
            continue
        if left.rank == right.rank:
            flags = f"{OPTIONS[one].flag} and {OPTIONS[other].flag}"
            raise ConfigError(f"{flags} exclude each other ({left.source}, {right.source})")
        weaker = one if left.rank > right.rank else other
        chosen[weaker] = Chosen(
            OPTIONS[weaker].default,
            f"default, because of {OPTIONS[one if weaker == other else other].flag}",
            3,
        )
    return chosen


def _line(text: str, key: str) -> int:
    """Where ``key`` stands; 1 if it is written in a way that we cannot find."""
    begins = re.compile(rf"""\s*\[*\s*["']?{re.escape(key)}["']?\s*[=.\]]""")
    lines = enumerate(text.splitlines(), 1)
    return next((number for number, line in lines if begins.match(line)), 1)


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
