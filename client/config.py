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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from client.options import OPTIONS, Option
from client.refused import Refused
from client.settings import Settings
from client.storage import read_bounded
from vc_core.errors import Ending, reason
from vc_core.record import record

# Implementation
FILE = "config.toml"
MAX_FILE = 65536  # bytes
NAMELESS = "someone"


class ConfigError(Refused):
    """A setting that cannot be used; exit code 2."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__("bad-config", message, hint, Ending.USAGE)


@record
class Chosen:
    """An effective value."""

    value: Any
    source: str
    """For people: ``--mic``, ``VCHAT_MIC``, ``config.toml line 3``, ``default``."""
    rank: int
    """0 flag, 1 environment, 2 file, 3 default."""


@record
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
        raise ConfigError(f"cannot read {path}: {reason(error)}") from error
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
        relay_secret=_read_secret(config["relay_secret_file"]),
        stun=config["stun"],
        no_stun=config["no_stun"],
        lan=config["lan"],
        turn=config["turn"],
        no_port_mapping=config["no_port_mapping"],
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


def _read_secret(path: Path | None) -> bytes | None:
    """What the embedded signaling server shares with relays."""
    from vc_core.grant import parse_secret

    if path is None:
        return None
    hint = "vchat relay --new-secret prints one"
    try:
        return parse_secret(path.read_text("ascii"))
    except OSError as error:
        why = reason(error)
        raise ConfigError(f"cannot read {path}: {why}", hint) from error
    except ValueError as error:
        raise ConfigError(f"{path} is not a secret of 64 hexadecimal digits", hint) from error


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
        where = f"{option.key} in {source}" if rank == 2 else source
        meant, wrong = (*error.args, value)[:2]
        shown = wrong if isinstance(wrong, int | float) else f"'{wrong}'"
        raise ConfigError(f"{where}: {shown} is not {meant}") from error


def _agreed(chosen: dict[str, Chosen]) -> dict[str, Chosen]:
    """Of two that exclude each other the stronger one stays."""
    for one, other in (("stun", "no_stun"), ("signal", "listen")):
        left, right = chosen[one], chosen[other]
        if not (left.value and right.value):
            continue
        if left.rank == right.rank:
            flags = f"{OPTIONS[one].flag} and {OPTIONS[other].flag}"
            raise ConfigError(f"{flags} exclude each other ({left.source}, {right.source})")
        weaker, winner = (one, right) if left.rank > right.rank else (other, left)
        chosen[weaker] = Chosen(OPTIONS[weaker].default, f"default, because of {winner.source}", 3)
    return chosen


def _line(text: str, key: str) -> int:
    """Where ``key`` stands; 1 if it is written in a way that we cannot find."""
    begins = re.compile(rf"""\s*\[*\s*["']?{re.escape(key)}["']?\s*[=.\]]""")
    lines = enumerate(text.splitlines(), 1)
    return next((number for number, line in lines if begins.match(line)), 1)


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
