"""The story of the example: a bot that says everything back."""

from __future__ import annotations

from pathlib import Path

import pytest

from audio.pcm import RATE
from tests.calls.engines import ROOT
from tests.calls.sounds import pitch, read_wav, wait_until
from tests.calls.stage import Stage


def test_the_echo_bot_answers_in_text_and_in_voice(stage: Stage, tmp_path: Path) -> None:
    ear = tmp_path / "ear.wav"
    host = stage.host(mic="tone:600", speaker=f"file:{ear}")
    stage.program([str(ROOT / "docs" / "examples" / "echo_bot.py"), host.code])
    bot = host.wait("member-joined", name="echo")["member"]
    host.wait("path", member=bot, rung="direct")
    host.say("chat", text="are you there?")
    host.say("chat", text="a secret", to=bot)
    assert host.wait("chat", member=bot, text="you said: are you there?")["private"] is False
    assert host.wait("chat", member=bot, text="you said: a secret")["private"] is True
    host.wait("talking", member=bot, on=True)
    wait_until(lambda: pitch(read_wav(ear)[-RATE // 2 :]) == pytest.approx(600, abs=5), 15.0)
