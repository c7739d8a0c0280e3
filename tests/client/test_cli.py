"""The program as a shell sees it: exit codes, sentences, and nothing heavy loaded in vain."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.validation import ValidationError

from client import __version__
from client.commands.root import COMMANDS
from client.contacts import Contacts
from client.identity import kept_identity
from client.preload import ROADS
from client.ui.ask import CodeCompleter, CodeValidator
from tests.conftest import ROOT
from tests.vectors.seeded import seeded
from vc_core.keys import Identity, safety_number

Done = subprocess.CompletedProcess[str]
ANNA = Identity.generate(seeded("anna")).public


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nobody's settings."""
    for name in list(os.environ):
        if name.startswith("VCHAT_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", os.fspath(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", os.fspath(tmp_path / "config"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", os.fspath(tmp_path))
    return tmp_path / "config" / "vchat"


def vchat(*words: str, stdin: str = "", env: Mapping[str, str] | None = None) -> Done:
    """The program, really."""
    return subprocess.run(
        [sys.executable, "-m", "client", *words],
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def sentences(done: Done) -> tuple[str, str]:
    """(error, hint) of stderr, which holds nothing else."""
    error, *hint = done.stderr.splitlines()
    assert error.startswith("vchat: error: ")
    assert all(line.startswith("vchat: hint: ") for line in hint)
    assert len(hint) <= 1
    said = error.removeprefix("vchat: error: ")
    assert not said[0].isupper()
    return said, "".join(hint).removeprefix("vchat: hint: ")


pytestmark = pytest.mark.usefixtures("home")


# ---- What costs nothing ---------------------------------------------------------


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_the_version_is_one_line(flag: str) -> None:
    done = vchat(flag)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"vchat {__version__}\n", "")


HEAVY = {"nacl", "aioquic", "aioice", "av", "numpy", "websockets", "prompt_toolkit", "rich"}
HEAVY |= {"zeroconf"}


@pytest.mark.parametrize(
    ("words", "light"),
    [
        (["--version"], {"click", "asyncio", *HEAVY}),
        (["--help"], {"asyncio", *HEAVY}),
        (["host", "--help"], {"asyncio", *HEAVY}),
        (["config", "path"], HEAVY),
        (["completion", "bash"], HEAVY - {"av"}),
        (["mute", "on"], HEAVY),
    ],
)
def test_a_command_loads_only_what_it_needs(words: list[str], light: set[str]) -> None:
    code = (
        "import sys; from client.cli import main; main(sys.argv[1:]);"
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert not light & set(done.stderr.splitlines()[-1].split())


def test_multicast_is_not_loaded_for_a_code_that_names_its_server(unused_port: int) -> None:
    code = (
        "import atexit, sys; from client.cli import main;"
        "atexit.register(lambda: print('zeroconf' in sys.modules, file=sys.stderr));"
        "sys.exit(main(sys.argv[1:]))"
    )
    words = ["join", f"4821-apple-robot-candle@127.0.0.1:{unused_port}", "--json"]
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert done.stderr.splitlines()[-1] == "False"


def test_help_is_everywhere() -> None:
    overview = vchat("--help").stdout
    assert vchat().stdout == overview == vchat("-h").stdout
    for name, place in COMMANDS.items():
        assert place.about in overview
        done = vchat(name, "--help")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"Usage: vchat {name}")


# ---- How it fails ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        (["hots"], "no such command 'hots'", "see: vchat --help"),
        (["host", "--mice"], "no such option", "see: vchat host --help"),
        (["host", "--mic"], "option '--mic' requires an argument", "see: vchat host --help"),
        (["mute", "loud"], "invalid value for", "see: vchat mute --help"),
        (["mute"], "missing argument", "see: vchat mute --help"),
        (["config", "shwo"], "no such command 'shwo'", "see: vchat config --help"),
        (["host", "--guests", "0"], "--guests: '0' is not a number from 1 to 63", ""),
        (["host", "--listen", "x"], "--listen: 'x' is not HOST:PORT", ""),
        (["host", "--signal", "http://a"], "--signal: 'http://a' is not a ws:// or", ""),
        (["host", "--once", "--guests", "3"], "--once and --guests exclude", "see: vchat host"),
        (["host", "--stun", "a:1", "--no-stun"], "--stun and --no-stun exclude each other", ""),
        (["host", "--only", "sideways"], "invalid value for '--only'", "see: vchat host --help"),
        (["join", "a", "b"], "got unexpected extra argument (b)", "see: vchat join --help"),
    ],
)
def test_a_wrong_call_is_exit_2_and_a_sentence(words: list[str], said: str, hint: str) -> None:
    done = vchat(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    error, advice = sentences(done)
    assert error.startswith(said)
    assert advice.startswith(hint)


BAD_CODES = [
    ("", "there is no code", "type what the host reads out"),
    ("apple-robot-candle", "a code begins with four or more digits", "it looks like 4821-"),
    ("4821-apple", "the code has fewer than three words", "type all"),
    ("4821-aple-robot-candle", "'aple' is in no code", "did you mean 'apple'?"),
    ("4821-apple-robot-candle@a b", "'a b' behind the @ is no address", "it looks like @"),
    ("vchat:AAAA", "the link was cut or changed on its way", "copy all of it"),
    ("4821" + "-apple" * 3000, "this is too long for a code", "paste the link alone"),
]


@pytest.mark.parametrize(("code", "said", "hint"), BAD_CODES)
@pytest.mark.parametrize("way", ["argument", "environment", "stdin"])
def test_a_code_that_cannot_be_read_is_exit_3_before_anything_else(
    home: Path, code: str, said: str, hint: str, way: str
) -> None:
    if way == "argument":
        done = vchat("join", code)
    elif way == "environment":
        done = vchat("join", env={"VCHAT_CODE": code})
    else:
        done = vchat("join", stdin=f"{code}\n")
    assert done.returncode == 3
    error, advice = sentences(done)
    assert error == said
    assert advice.startswith(hint)
    assert not home.exists()


def test_with_json_the_events_say_it_too() -> None:
    done = vchat("join", "4821-aple-robot-candle", "--json")
    error, ended = map(json.loads, done.stdout.splitlines())
    assert done.returncode == 3
    assert sentences(done) == (error["message"], error["hint"])
    assert (error["event"], error["code"]) == ("error", "code-malformed")
    assert ended == {**ended, "event": "ended", "reason": "code-malformed", "exit": 3}
    assert isinstance(ended["t"], float)


def test_with_json_a_wrong_call_is_told_as_events_too() -> None:
    done = vchat("host", "--json", "--nothing")
    assert [json.loads(line)["event"] for line in done.stdout.splitlines()] == ["error", "ended"]
    assert json.loads(done.stdout.splitlines()[-1])["exit"] == done.returncode == 2


def test_with_json_only_the_first_line_of_stdin_is_the_code(unused_port: int) -> None:
    code = f"4821-apple-robot-candle@127.0.0.1:{unused_port}"
    done = vchat("join", "--json", stdin=f'{code}\n{{"do": "nonsense"}}\n')
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert told[0]["event"] == "ready"
    assert (told[-1]["reason"], done.returncode) == ("no-signaling", 4)
    assert "bad-command" in [event.get("code") for event in told]


def test_a_code_without_a_server_needs_one_from_elsewhere() -> None:
    done = vchat("join", "4821-apple-robot-candle", "--json", "--no-lan")
    assert done.returncode == 4
    assert sentences(done)[0] == "the code names no server, and none is set"
    assert json.loads(done.stdout.splitlines()[-1])["reason"] == "no-signaling"


@pytest.mark.parametrize("command", [("host",), ("join", "4821-apple-robot-candle@192.0.2.7:1")])
def test_who_keeps_the_address_private_needs_a_server_of_its_own_choice(
    command: tuple[str, ...],
) -> None:
    done = vchat(*command, "--only", "relayed")
    assert done.returncode == 2
    assert "--signal" in sentences(done)[1]


def test_a_log_file_that_cannot_be_is_a_sentence(tmp_path: Path) -> None:
    done = vchat("host", "--log-file", os.fspath(tmp_path / "no" / "folder"))
    assert done.returncode == 1
    assert sentences(done)[0].endswith("no such file or directory")


def test_a_bug_is_a_sentence_and_no_traceback(tmp_path: Path) -> None:
    code = (
        "import sys, client.config; client.config.load = None;"
        "from client.cli import main; sys.exit(main(['config', 'check']))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert sentences(done)[0].startswith("something in vchat broke: TypeError")


def test_a_missing_library_is_exit_7() -> None:
    code = (
        "import sys; sys.modules['platformdirs'] = None;"
        "from client.cli import main; sys.exit(main(['config', 'path']))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 7
    assert sentences(done)[0] == "the library platformdirs is missing"


@pytest.mark.parametrize("name", ROADS)
def test_a_room_without_a_library_of_roads_is_not_opened(name: str, tmp_path: Path) -> None:
    code = (
        f"import sys; sys.modules['{name}'] = None;"
        "from client.cli import main;"
        "sys.exit(main(['host', '--json', '--listen', '127.0.0.1:0', '--mic', 'none']))"
    )
    command = [sys.executable, "-c", code]
    there = {**os.environ, "VCHAT_CONFIG": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(
        command, cwd=ROOT, env=there, capture_output=True, text=True, check=False, timeout=20
    )
    assert done.returncode == 7
    assert sentences(done)[0] == f"the library {name} is missing"


def test_a_library_that_does_not_load_is_exit_7_and_one_finding_of_the_doctor(
    tmp_path: Path,
) -> None:
    (tmp_path / "av.py").write_text("raise ImportError('av is damaged')")
    there = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "VCHAT_CONFIG": str(tmp_path)}
    done = vchat("doctor", env=there)
    assert done.returncode == 1 and not done.stderr
    assert "fail  libraries: a library cannot be used: av is damaged\n" in done.stdout
    assert "calls: " in done.stdout, "the doctor looks at the rest all the same"
    (tmp_path / "platformdirs.py").write_text("raise ImportError('damaged')")
    done = vchat("config", "path", env={"PYTHONPATH": f"{tmp_path}:{ROOT}"})
    assert done.returncode == 7
    assert sentences(done)[0] == "a library cannot be used: damaged"


def test_a_reader_who_goes_away_is_no_traceback() -> None:
    command = [sys.executable, "-m", "client", "--help"]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        command, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize(
    ("words", "closed"),
    [
        *product(["config path", "join --json"], ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"]),
        ("doctor", "<&- >&- 2>&-"),
    ],
)
def test_a_closed_standard_stream_breaks_nothing(closed: str, words: str, home: Path) -> None:
    command = f"exec {sys.executable} -m client {words} {closed}"
    done = subprocess.run(
        command, shell=True, cwd=ROOT, capture_output=True, text=True, input="", check=False
    )
    assert done.returncode == (3 if words == "join --json" else 0)
    assert "broke" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("words", ["--version", "config show", "--help", "host --json --guests 0"])
def test_a_full_disk_is_a_sentence(words: str, home: Path) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "client", *words.split()]
        done = subprocess.run(
            command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == (2 if "host" in words else 1)
    said = "--guests" if "host" in words else "what vchat writes cannot be written: no space"
    assert sentences(done)[0].startswith(said)


@pytest.mark.parametrize(
    "words", [["join", "1234-\x1b[31mx-robot-candle"], ["host", "--name", "\x1b[31m"]]
)
def test_an_error_carries_no_escape_sequence_to_the_terminal(words: list[str]) -> None:
    done = vchat(*words)
    assert done.returncode in (2, 3)
    assert "\x1b" not in done.stderr


def test_a_log_that_finds_no_room_is_no_traceback() -> None:
    words = ["host", "--json", "--signal", "ws://127.0.0.1:1", "-vv", "--log-file", "/dev/full"]
    done = vchat(*words)
    assert (done.returncode, done.stderr) == (4, "")


def test_a_group_without_a_command_says_what_is_missing() -> None:
    done = vchat("config")
    assert done.returncode == 2
    assert sentences(done) == ("missing command", "see: vchat config --help")


# ---- Settings ------------------------------------------------------------------------


def test_config_says_where_and_what(home: Path) -> None:
    assert vchat("config", "path").stdout == f"{home}/config.toml\n"
    assert vchat("config", "check").stdout == f"{home}/config.toml does not exist, which is fine\n"
    home.mkdir(parents=True)
    (home / "config.toml").write_text("guests = 3\nmic = 'none'\n")
    assert vchat("config", "check").stdout == f"{home}/config.toml is fine\n"
    lines = vchat("config", "show", env={"VCHAT_GUESTS": "5"}).stdout.splitlines()
    assert "guests = 5  # VCHAT_GUESTS" in lines
    assert 'mic = "none"  # config.toml line 2' in lines
    assert 'speaker = "default"  # default' in lines
    assert "# signal is not set" in lines


def test_another_folder_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("guests = 'many'\n")
    done = vchat("config", "check", "--config", os.fspath(tmp_path))
    assert done.returncode == 2
    assert sentences(done)[0] == "guests in config.toml line 1: 'many' is not a number from 1 to 63"
    assert vchat("host", "--config", os.fspath(tmp_path)).returncode == 2


# ---- Who we are ------------------------------------------------------------------------


def test_id_shows_the_fingerprint_and_a_safety_number_for_each_contact(home: Path) -> None:
    first = vchat("id")
    own = kept_identity(home).public
    assert first.returncode == 0
    assert own.fingerprint in first.stdout.replace(" ", "")
    Contacts(home).remember("anna", ANNA)
    assert vchat("id", "safety", ANNA.fingerprint[:8]).stdout.strip() == safety_number(own, ANNA)
    assert safety_number(own, ANNA) not in vchat("id").stdout
    assert vchat("id", "save", ANNA.fingerprint, "Anna").stdout == "saved Anna\n"
    assert safety_number(own, ANNA) in vchat("id").stdout
    assert vchat("id", "contacts").stdout.startswith("* ")
    assert vchat("id", "forget", "Anna").returncode == 0
    assert vchat("id", "contacts").stdout.startswith("  ")


def test_id_of_a_stranger_is_a_sentence() -> None:
    done = vchat("id", "safety", "1234abcd")
    assert done.returncode == 1
    assert sentences(done)[0] == "nobody with '1234abcd' was ever met here"


def test_a_passphrase_is_set_asked_for_and_removed(home: Path) -> None:
    made = kept_identity(home)
    new, old = {"VCHAT_NEW_PASSPHRASE": "secret"}, {"VCHAT_PASSPHRASE": "secret"}
    assert vchat("id", "passphrase", env=new).stdout == "the identity is sealed\n"
    assert made.public.fingerprint in vchat("id", env=old).stdout.replace(" ", "")
    for env in ({}, {"VCHAT_PASSPHRASE": "wrong"}):
        done = vchat("id", env=env)
        assert done.returncode == 6
        assert "passphrase" in sentences(done)[0]
    assert vchat("id", "passphrase", "--remove", env=old).returncode == 0
    assert kept_identity(home) == made


def test_a_damaged_identity_is_exit_6(home: Path) -> None:
    home.mkdir(parents=True)
    (home / "identity.json").write_text("{}")
    assert vchat("id").returncode == 6
    assert (home / "identity.json").read_text() == "{}"


# ---- What works here ---------------------------------------------------------------------


def test_doctor_judges_each_thing_in_one_line(home: Path) -> None:
    done = vchat("doctor")
    assert done.returncode == 0, done.stdout
    verdicts = [line for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert {line[:6] for line in verdicts} <= {"ok    ", "warn  "}
    assert "\x1b" not in done.stdout
    for what in (
        *("python", "libraries", "opus", "udp", "settings", "identity", "signaling"),
        *("nat", "ipv6", "port mapping", "calls", "screen", "camera", "relay"),
    ):
        assert any(line[6:].startswith(f"{what}: ") for line in verdicts), what
    assert not (home / "identity.json").exists()


def test_doctor_fails_for_a_server_that_does_not_answer(unused_port: int) -> None:
    done = vchat("doctor", "--signal", f"ws://127.0.0.1:{unused_port}")
    assert done.returncode == 1
    assert "fail  signaling: nothing answers" in done.stdout


def test_doctor_fails_for_broken_settings_and_identity(home: Path) -> None:
    home.mkdir(parents=True)
    (home / "config.toml").write_text("x")
    (home / "identity.json").write_text("x")
    done = vchat("doctor")
    assert done.returncode == 1
    assert done.stdout.count("\nfail") == 2


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port of loopback that is bound and refuses connections."""
    import socket

    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_devices_are_listed_where_there_are_none() -> None:
    done = vchat("devices")
    assert done.returncode == 0
    for what in ("microphones (--mic)", "speakers (--speaker)", "screens", "cameras"):
        assert what in done.stdout


# ---- Completion ------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_each_shell_gets_a_script_that_asks_the_program(shell: str) -> None:
    script = vchat("completion", shell).stdout
    assert "_VCHAT_COMPLETE" in script
    assert f"{shell}_complete" in script


@pytest.mark.parametrize(
    ("shell", "typed", "proposed"),
    [
        ("bash", "ho", "plain,host"),
        ("bash", "join 4821-apple-rob", "plain,4821-apple-robot"),
        ("powershell", "mute to", "toggle"),
        ("powershell", "host --adv", "--advertise"),
    ],
)
def test_a_completion_is_answered(shell: str, typed: str, proposed: str) -> None:
    words = f"vchat {typed}"
    env = {
        "_VCHAT_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
        "COMP_WORD": words.rsplit(maxsplit=1)[-1],
    }
    lines = [line.partition("\t")[0] for line in vchat(env=env).stdout.splitlines()]
    assert proposed in lines


def test_bash_understands_its_script() -> None:
    script = vchat("completion", "bash").stdout
    done = subprocess.run(["bash", "-n"], input=script, text=True, check=False)
    assert done.returncode == 0


# ---- The question for a code -------------------------------------------------------------


def proposals(typed: str) -> list[str]:
    """What Tab would offer."""
    found = CodeCompleter().get_completions(Document(typed), CompleteEvent())
    return [one.text for one in found]


def test_tab_completes_the_last_word_of_a_code() -> None:
    assert proposals("4821-apple-rob") == ["robe", "robin", "robot", "robust"]
    assert proposals("4821 apple cand") == ["candle"]
    for typed in ("", "48", "4821-", "4821-apple-robot-candle@ex", "vchat:abc-d"):
        assert proposals(typed) == []


def test_enter_says_what_is_wrong_with_a_code() -> None:
    CodeValidator().validate(Document("4821-apple-robot-candle"))
    with pytest.raises(ValidationError, match="did you mean 'apple'"):
        CodeValidator().validate(Document("4821-aple-robot-candle"))


class Terminal:
    """A program that has a terminal for itself."""

    def __init__(self, *words: str) -> None:
        self._ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "client", *words]
        env = {**os.environ, "TERM": "xterm"}
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=env, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        self.seen = b""

    def type(self, text: str) -> None:
        """As a person would."""
        os.write(self._ours, text.encode())

    def wait_for(self, text: str, limit: float = 20.0) -> None:
        """Until ``text`` was shown."""
        until = time.monotonic() + limit
        while text.encode() not in self.seen:
            left = until - time.monotonic()
            assert left > 0, self.seen
            if select.select([self._ours], [], [], left)[0]:
                try:
                    self.seen += os.read(self._ours, 65536)
                except OSError:  # the program has ended
                    assert text.encode() in self.seen, self.seen
                if b"\x1b[6n" in self.seen:  # "where is the cursor?"
                    self.seen = self.seen.replace(b"\x1b[6n", b"")
                    self.type("\x1b[1;1R")

    def end(self) -> int:
        """The exit code."""
        try:
            return self._process.wait(20)
        finally:
            self._process.kill()
            os.close(self._ours)


def test_somebody_at_a_terminal_is_asked_and_helped() -> None:
    terminal = Terminal("join", "--no-lan")
    terminal.wait_for("code:")
    terminal.type("4821-aple-robot-candle\r")
    terminal.wait_for("did you mean 'apple'?")
    terminal.seen = b""
    terminal.type("\x15")  # clears the line
    terminal.type("4821-apple-robot-cand")
    terminal.wait_for("cand")
    terminal.seen = b""
    terminal.type("\t")
    terminal.wait_for("le")
    terminal.type("\r")
    terminal.wait_for("the code names no server")
    assert terminal.end() == 4


def test_ctrl_c_at_the_question_is_exit_130() -> None:
    terminal = Terminal("join")
    terminal.wait_for("code:")
    terminal.type("\x03")
    assert terminal.end() == 130


def test_a_sealed_identity_asks_for_its_passphrase_without_showing_it(home: Path) -> None:
    kept_identity(home)
    assert vchat("id", "passphrase", env={"VCHAT_NEW_PASSPHRASE": "secret"}).returncode == 0
    terminal = Terminal("id")
    terminal.wait_for("passphrase of your identity")
    terminal.type("secret\r")
    terminal.wait_for("fingerprint")
    assert b"secret" not in terminal.seen
    assert terminal.end() == 0


def test_ctrl_c_before_the_program_is_loaded_ends_it_quietly() -> None:
    program = (
        "import sys\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'client.cli': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "from client.start import main\n"
        "sys.exit(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")
