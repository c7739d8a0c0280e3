"""Settings: flags before environment before config.toml before defaults."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.config import (
    FILE,
    Config,
    ConfigError,
    as_toml,
    config_folder,
    load,
    login_name,
    make_settings,
)
from client.options import OPTIONS
from client.settings import RUNGS, Settings
from vc_core.errors import Ending


def write(folder: Path, text: str) -> None:
    """A ``config.toml``."""
    (folder / FILE).write_text(text, "utf-8")


def refusal(folder: Path, text: str = "", **more: Any) -> ConfigError:
    """The error of what cannot be used."""
    write(folder, text)
    with pytest.raises(ConfigError) as caught:
        load(folder, **{"env": {}, **more})
    assert caught.value.ending is Ending.USAGE
    return caught.value


def test_without_anything_there_are_defaults(tmp_path: Path) -> None:
    config = load(tmp_path, env={})
    assert {chosen.source for chosen in config.chosen.values()} == {"default"}
    plain = Settings(hosting=True, name=login_name(), config=tmp_path)
    assert make_settings(config, hosting=True) == plain


def test_the_default_name_is_the_login_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "lin")
    assert load(tmp_path, env={})["name"] == "lin"


def test_who_has_no_login_name_has_a_name_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def _nobody() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr(getpass, "getuser", _nobody)
    assert login_name() == "someone"


ROADS = [
    ({"name": "flag"}, {"VCHAT_NAME": "env"}, "flag", "--name"),
    ({"name": None}, {"VCHAT_NAME": "env"}, "env", "VCHAT_NAME"),
    ({}, {"VCHAT_NAME": ""}, "file", "config.toml line 2"),
    ({}, {}, "file", "config.toml line 2"),
]


@pytest.mark.parametrize(("flags", "env", "value", "source"), ROADS)
def test_the_stronger_source_wins(
    tmp_path: Path, flags: dict[str, Any], env: dict[str, str], value: str, source: str
) -> None:
    write(tmp_path, "# who\nname = 'file'\n")
    chosen = load(tmp_path, flags, env).chosen["name"]
    assert (chosen.value, chosen.source) == (value, source)


PIN = "00ff" * 16
EVERYTHING = """
name = "Anna"
relay = ["r.example:3478,wss://r.example:443#sha256=PIN", "[::1]:3478"]
stun = ["s.example:3478"]
turn = ["turn:anna:s3cret@t.example:3478?transport=tcp"]
only = ["direct"]
mic = "loop:/tmp/a b.wav"
speaker = "none"
process = true
record = "/tmp/records"
guests = 3
life = 2.5
listen = "0.0.0.0:0"
advertise = "fd00::2"
plain = true
log_file = "/tmp/log"
""".replace("PIN", PIN)


def test_every_key_of_the_file_arrives_in_the_settings(tmp_path: Path) -> None:
    write(tmp_path, EVERYTHING)
    assert make_settings(load(tmp_path, env={}), hosting=True) == Settings(
        hosting=True,
        name="Anna",
        config=tmp_path,
        relays=(f"r.example:3478,wss://r.example:443#sha256={PIN}", "[::1]:3478"),
        stun=("s.example:3478",),
        turn=("turn:anna:s3cret@t.example:3478?transport=tcp",),
        only=("direct",),
        mic="loop:/tmp/a b.wav",
        speaker="none",
        process=True,
        record=Path("/tmp/records"),
        guests=3,
        life=150.0,
        listen="0.0.0.0:0",
        advertise="fd00::2",
    )


ENVIRONMENT = {
    "VCHAT_RELAY": "r.example:3478,ws://r.example:80 q.example:1",
    "VCHAT_NO_STUN": "yes",
    "VCHAT_TURN": "turn:a:b@t.example turns:t.example:443",
    "VCHAT_ONLY": "direct relayed",
    "VCHAT_GUESTS": "2",
    "VCHAT_PROCESS": "on",
    "VCHAT_LIFE": "1",
}


def test_the_environment_says_the_same_things_as_text(tmp_path: Path) -> None:
    settings = make_settings(load(tmp_path, env=ENVIRONMENT), hosting=True)
    assert settings.relays == ("r.example:3478,ws://r.example:80", "q.example:1")
    assert settings.only == ("direct", "relayed")
    assert (settings.no_stun, settings.guests, settings.process) == (True, 2, True)
    assert settings.turn == ("turn:a:b@t.example", "turns:t.example:443")
    assert settings.life == 60.0


BAD = {
    "name": ("''", "5", '"two\\nlines"'),
    "signal": ("'http://x'", "'ws://'", "7", "'ws://a b'"),
    "relay": ("'nowhere'", "['a:1', 5]", "'ftp://a:1'", "3"),
    "stun": ("['a']", "['a:99999']", "'a:b'"),
    "no_stun": ("'perhaps'", "2"),
    "turn": ("'t.example:3478'", "['turn:anna@t.example']", "'turns:a:b@t?transport=udp'", "5"),
    "only": ("['sideways']", "'x'"),
    "process": ("'maybe'", "[]"),
    "guests": ("0", "64", "'many'", "true", "1.5"),
    "life": ("0", "'long'", "1e9", "true", "nan"),
    "listen": ("'8765'", "'a:b'", "'a:70000'"),
    "advertise": ("'a b'", "'http://a'", "5"),
    "plain": ("'so so'",),
}


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in BAD.items() for value in values]
)
def test_a_value_that_means_nothing_names_its_key_and_line(
    tmp_path: Path, key: str, value: str
) -> None:
    error = refusal(tmp_path, f"\n# a remark\n{key} = {value}\n")
    assert f"{key} in config.toml line 3" in error.message


def test_a_key_that_does_not_exist_names_its_line_and_those_that_do(tmp_path: Path) -> None:
    error = refusal(tmp_path, "name = 'a'\nmicrophone = 'b'\n")
    assert "line 2: there is no key 'microphone'" in error.message
    assert "mic, speaker" in error.hint


def test_what_is_not_toml_names_its_line(tmp_path: Path) -> None:
    assert "line 2" in refusal(tmp_path, "name = 'a'\nmic default\n").message


def test_a_file_that_is_not_text_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is not toml"):
        load(tmp_path, env={})


def test_a_bad_variable_or_flag_is_named(tmp_path: Path) -> None:
    assert "VCHAT_GUESTS" in refusal(tmp_path, env={"VCHAT_GUESTS": "x"}).message
    assert "--listen" in refusal(tmp_path, flags={"listen": "x"}).message


@pytest.mark.parametrize("pair", [("stun", "no_stun"), ("signal", "listen")])
def test_what_excludes_each_other_may_not_come_from_one_place(
    tmp_path: Path, pair: tuple[str, str]
) -> None:
    values = {"stun": ("a:1",), "no_stun": True, "signal": "ws://a", "listen": "a:1"}
    error = refusal(tmp_path, flags={key: values[key] for key in pair})
    assert "exclude each other" in error.message


def test_of_two_that_exclude_each_other_the_stronger_one_stays(tmp_path: Path) -> None:
    write(tmp_path, "signal = 'ws://a'\nno_stun = true\n")
    config = load(tmp_path, {"listen": "0.0.0.0:0", "stun": ("b:1",)}, {})
    assert (config["signal"], config["listen"]) == (None, "0.0.0.0:0")
    assert (config["no_stun"], config["stun"]) == (False, ("b:1",))
    config = load(tmp_path, {"signal": "ws://c"}, {"VCHAT_LISTEN": "0.0.0.0:0"})
    assert (config["signal"], config["listen"]) == ("ws://c", None)


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("ws://a:1", "ws://a:1"),
        ("wss://a.example/x", "wss://a.example/x"),
        ("a.example:8765", "ws://a.example:8765"),
        ("[::1]:8765", "ws://[::1]:8765"),
        ("a.example", "ws://a.example:8765"),
    ],
)
def test_a_server_without_a_scheme_is_what_a_code_would_mean(
    tmp_path: Path, typed: str, url: str
) -> None:
    assert load(tmp_path, {"signal": typed}, {})["signal"] == url


def test_the_folder_comes_from_the_flag_the_environment_or_the_system(tmp_path: Path) -> None:
    env = {"VCHAT_CONFIG": "/from/env"}
    assert config_folder("/from/flag", env) == Path("/from/flag")
    assert config_folder(None, env) == Path("/from/env")
    assert config_folder(None, {}).name == "vchat"


def test_what_is_shown_can_be_written_into_the_file(tmp_path: Path) -> None:
    write(tmp_path, EVERYTHING)
    before = load(tmp_path, env={})
    assert set(before.chosen) == set(OPTIONS)
    write(tmp_path, shown(before))
    after = load(tmp_path, env={})
    assert {key: after[key] for key in OPTIONS} == {key: before[key] for key in OPTIONS}


def shown(config: Config) -> str:
    """What ``vchat config show`` writes."""
    given = {key: one.value for key, one in config.chosen.items() if one.value is not None}
    return "".join(f"{key} = {as_toml(key, value)}\n" for key, value in given.items())


@given(st.text(max_size=200))
def test_any_file_is_settings_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / FILE).write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        load(folder, env={})
    except ConfigError as error:
        assert error.message


def test_the_rungs_are_those_of_the_settings(tmp_path: Path) -> None:
    assert load(tmp_path, env={})["only"] == RUNGS


def test_of_a_list_the_item_that_means_nothing_is_named(tmp_path: Path) -> None:
    error = refusal(tmp_path, "", flags={"stun": ("127.0.0.1:3478", "x")})
    assert error.message == "--stun: 'x' is not HOST:PORT"
    error = refusal(tmp_path, 'only = ["direct", "wide"]')
    assert error.message.endswith("'wide' is not one of direct, hosted, relayed")


def test_a_number_is_no_folder(tmp_path: Path) -> None:
    assert "record in config.toml line 1: 5" in refusal(tmp_path, "record = 5").message


@pytest.mark.parametrize("name", ["\U0001f469\u200d\U0001f467", "\u0645\u06cc\u200c\u062e"])
def test_a_name_may_have_joiners(tmp_path: Path, name: str) -> None:
    write(tmp_path, "")
    assert load(tmp_path, {"name": name}, {})["name"] == name
