"""The full screen: what stands on the glass, and what the keys do."""

from __future__ import annotations

import asyncio
import base64
import re

import pytest

from client.ui.page import help_rows
from client.ui.screen import RATE
from tests.client.ui import story
from tests.client.ui.glass import glass

CALL = (
    story.READY,
    story.ROOM,
    {"event": "audio", "mic": "default", "speaker": "default"},
    story.joined(),
    story.path(),
    {"event": "room-code", "words": ["arise", "myth", "lunar", "item"]},
)
F1, F3, F4 = "\x1bOP", "\x1bOR", "\x1bOS"
PAGE_UP, PAGE_DOWN, CTRL_C, ESCAPE, UP = "\x1b[5~", "\x1b[6~", "\x03", "\x1b", "\x1b[A"


async def test_members_texts_and_status_stand_side_by_side() -> None:
    async with glass(100, 12) as one:
        one.tell(*CALL, story.on("talking", True), story.chat("hello ann"))
        await one.shows("bob: hello ann")
        rows = one.rows()
        assert re.match(r"○ ann \* +you│", rows[0])
        assert re.match(r"● bob +direct 12 ms│", rows[1])
        assert "4821-apple-robot-candle@127.0.0.1:1" in one.text()
        assert rows[-2].startswith(" mic on") and "room code: arise myth lunar item" in rows[-2]
        assert rows[-1] == ">"


@pytest.mark.parametrize(("columns", "rows"), [(40, 10), (63, 10), (20, 4), (200, 60)])
async def test_small_and_large_terminals_show_the_text(columns: int, rows: int) -> None:
    async with glass(columns, rows) as one:
        one.tell(*CALL, story.chat("hello"))
        await one.shows("bob: hello", ">")
        if columns < 64:
            assert one.rows()[0].startswith("○ ann *")
        assert all(len(row) <= columns for row in one.rows())


async def test_a_change_of_size_draws_everything_anew() -> None:
    async with glass(100, 20) as one:
        one.tell(*CALL, story.chat("word " * 30))
        await one.shows("bob: word", "│")
        one.resize(40, 10)
        await one.until(lambda: "│" not in one.text())
        assert one.rows()[0].startswith("○ ann *") and one.rows()[-1] == ">"
        one.resize(10, 3)
        one.resize(100, 20)
        await one.shows("│", "bob: word")


async def test_a_typed_line_is_sent_and_shown() -> None:
    async with glass() as one:
        one.tell(*CALL)
        one.press("good evening\r")
        await one.shows("ann: good evening …")
        (sent,) = one.orders.sent
        assert (sent["do"], sent["text"]) == ("chat", "good evening")
        one.tell({"event": "sent", "id": "1", "ref": sent["ref"]})
        one.tell({"event": "delivered", "id": "1", "member": "m1"})
        await one.until(lambda: "good evening …" not in one.text())


async def test_what_was_typed_before_comes_back() -> None:
    async with glass() as one:
        one.tell(*CALL)
        one.press("first\r")
        await one.shows("ann: first")
        one.press(UP)
        await one.until(lambda: one.rows()[-1] == "> first")
        one.press(ESCAPE)
        await one.until(lambda: one.rows()[-1] == ">")


async def test_commands_and_names_are_completed() -> None:
    async with glass() as one:
        one.tell(*CALL)
        one.press("/vol")
        await one.until(lambda: "/volume" in one.rows()[-2])
        one.press("\t")
        await one.until(lambda: one.rows()[-1] == "> /volume")
        one.press("b")
        await one.until(lambda: "bob" in one.rows()[-2])
        one.press("\t")
        await one.until(lambda: one.rows()[-1] == "> /volume bob")
        one.press("50\r")
        await one.until(lambda: bool(one.orders.sent))
        assert one.orders.sent == [{"do": "volume", "member": "m1", "percent": 50}]


async def test_a_mistyped_command_is_answered() -> None:
    async with glass(100) as one:
        one.tell(*CALL)
        one.press("/leaev\r")
        await one.shows("there is no command /leaev: did you mean /leave?")
        assert not one.orders.sent and not one.orders.left


async def test_function_keys_mute_and_deafen() -> None:
    async with glass() as one:
        one.tell(*CALL)
        one.press(F3 + F4)
        await one.until(lambda: len(one.orders.sent) == 2)
        assert one.orders.sent == [{"do": "mute", "on": True}, {"do": "deafen", "on": True}]
        one.tell(story.on("muted", True, "m0"), {"event": "deafened", "on": True})
        await one.shows("MUTED | DEAFENED", "× ann")
        one.press(F3)
        await one.until(lambda: one.orders.sent[-1] == {"do": "mute", "on": False})


async def test_help_lies_over_the_screen_and_goes_away() -> None:
    async with glass(80, 12) as one:
        one.tell(*CALL)
        one.press(F1)
        await one.shows("vchat: keys and commands", "PgDn: more")
        one.press(PAGE_DOWN * 3)
        await one.shows("whatever else you type is a text to all")
        assert "PgDn: more" not in one.text()
        one.press(ESCAPE)
        await one.until(lambda: "you type" not in one.text())
        one.press("/help\r")
        await one.shows("vchat: keys and commands")
        assert not one.orders.sent


def test_help_keeps_commands_and_what_they_do_apart() -> None:
    names = [row[0][1] for row in help_rows(80) if len(row) == 2]
    assert names and all(name.endswith("  ") for name in names)


async def test_ctrl_c_leaves_and_twice_more_so() -> None:
    async with glass() as one:
        one.tell(*CALL)
        one.press(CTRL_C)
        await one.until(lambda: one.orders.interrupts == 1)
        one.press(CTRL_C)
        await one.until(lambda: one.orders.interrupts == 2)


async def test_detaching_and_leaving_by_command() -> None:
    async with glass() as one:
        one.press("/detach\r/quit\r")
        await one.until(lambda: one.orders.detached and one.orders.left == 1)


async def test_who_reads_old_texts_is_told_of_new_ones() -> None:
    async with glass(80, 10) as one:
        one.tell(*CALL, *(story.chat(f"text {n}") for n in range(30)))
        await one.shows("text 29")
        one.press(PAGE_UP)
        await one.shows("older texts (PgDn)", "text 20")
        one.tell(story.chat("something new"))
        await one.shows("1 new below (PgDn)")
        assert "something new" not in one.text()
        one.press(PAGE_DOWN * 2)
        await one.shows("─── new ───", "something new")
        one.press("seen\r")
        await one.until(lambda: "─── new ───" not in one.text())


async def test_the_code_is_copied_only_when_asked() -> None:
    async with glass() as one:
        one.tell(*CALL)
        await one.shows("bob joined")
        assert "\x1b]52" not in one.bytes
        one.press("/code copy\r")
        await one.shows("in the clipboard")
        code = base64.b64encode(b"4821-apple-robot-candle@127.0.0.1:1").decode()
        assert f"\x1b]52;c;{code}\x07" in one.bytes


EVIL = "\x1b]0;owned\x07\x1b[2Jgone\x9b31m\x00\x7f\u202eright\u2066\r\nto left"


async def test_texts_of_others_never_reach_the_terminal_raw() -> None:
    async with glass(100, 20) as one:
        one.tell(*CALL, story.joined("m2", f"e{EVIL}"), story.chat(EVIL, "m2"))
        one.tell(story.problem("warning", EVIL, EVIL), {**story.path("m2"), "reason": EVIL})
        one.press("/who\r")
        await one.shows("gone", "e gone".replace(" ", ""))
        assert not set(one.bytes) & set("\x07\x9b\x00\x7f\u202e\u2066")
        assert "\x1b]0;" not in one.bytes and "owned" not in one.bytes


SCRIPTS = "日本語 👩‍🚀👍🏽 e\u0301a\u0308 שלום سلام ก็ \u200b\ufe0f"


async def test_every_script_is_shown_within_its_row() -> None:
    async with glass(70, 12) as one:
        one.tell(*CALL, story.joined("m2", SCRIPTS[:12]), story.chat(f"{SCRIPTS} " * 5, "m2"))
        await one.shows("日", "שלום", "سلام", "e\u0301")
        assert one.rows()[-1] == ">" and all("│" in row for row in one.rows()[:-2])


async def test_no_color_shows_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with glass() as one:
        one.tell(*CALL, story.on("talking", True), story.chat("hello"))
        await one.shows("bob: hello", "● bob")
        codes = {n for seq in re.findall(r"\x1b\[([\d;]*)m", one.bytes) for n in seq.split(";")}
        assert not codes & {"38", "48", *map(str, range(30, 38)), *map(str, range(90, 98))}


async def test_many_events_at_once_are_one_redraw() -> None:
    async with glass() as one:
        one.tell(*CALL)
        await one.shows("bob joined")
        before = one.drawn
        one.tell(*(story.chat(f"text {n}") for n in range(500)))
        await one.shows("text 499")
        assert one.drawn - before == 1


async def test_talking_marks_are_drawn_at_most_so_often() -> None:
    async with glass() as one:
        one.tell(*CALL)
        await one.shows("bob joined")
        loop = asyncio.get_running_loop()
        before, begun = one.drawn, loop.time()
        for number in range(50):
            one.tell(story.on("talking", number % 2 == 0))
            await asyncio.sleep(0.01)
        assert one.drawn - before <= (loop.time() - begun) * RATE + 2


async def test_nothing_is_drawn_while_nothing_changes() -> None:
    async with glass() as one:
        one.tell(*CALL)
        await one.shows("bob joined")
        before = one.drawn
        for _ in range(20):
            one.tell(story.on("talking", False), {"event": "stats", "members": {}, "process": {}})
            await asyncio.sleep(0.01)
        assert one.drawn == before
