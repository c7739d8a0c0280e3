"""The engine: a call as a process without a face, speaking the JSON interface.

Rule 1: a face that vanishes never leaves a live microphone, camera or screen behind:
        the call is muted, and shows films at most, at once, and is left after 30 s,
        unless a face attaches again or the one that went had said ``{"do":"detach"}``.
Rule 2: stdout that nobody reads any more ends the call, and never holds it up.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

from audio.codec import OpusMissing
from client import words
from client.contacts import Contacts
from client.identity import open_identity, passphrase_given
from client.interface.faces import Faces
from client.interface.orders import BadCommand, Order
from client.interface.picture_orders import PICTURING, Picturing
from client.interface.report import Reporter, Told
from client.interface.stats import Stats
from client.loop import Hands
from client.loop import run as run_loop
from client.net.lan import NotFoundError
from client.net.mailbox import SignalingUnreachable
from client.refused import Refused
from client.room import Room
from client.settings import RUNGS, Settings
from vc_core.errors import CannotListenError, Ending, LocalProtocolError
from vc_core.ids import Member, member_from_word, member_word
from vc_core.invite import InvitationError
from vc_core.keys import PublicIdentity

# Specification
FACE_PATIENCE = 30.0  # s that a call goes on, muted, without its face
MAX_PERCENT = 400.0  # of a member's volume


def run(settings: Settings) -> int:
    """Run one call to its end; the exit code. Raises ``IdentityError`` when there is none."""
    engine, hands = Engine(settings), Hands()
    try:
        code = run_loop(engine.run(), hands)
    finally:
        engine.close()
    if hands.hang:  # a device that does not close keeps nobody in a call that is over
        os._exit(code)
    return code


def why_not_opened(error: Exception, server: str) -> tuple[Ending, str, str] | None:
    """How a room that could not be opened ends: (ending, message, hint)."""
    if isinstance(error, SignalingUnreachable):
        return Ending.NO_SIGNALING, *words.of_unreachable(error.reason.name, server)
    if isinstance(error, NotFoundError):
        return Ending.NO_SIGNALING, *words.of_missing(error.missing.name)
    if isinstance(error, InvitationError):
        return Ending.CODE_MALFORMED, *words.of_invitation(error)
    if isinstance(error, CannotListenError):
        message, hint = words.of_error("listen-failed")
        return Ending.FAILED, f"{message}: {error}", hint
    if isinstance(error, OpusMissing):
        return Ending.LIBRARY_MISSING, error.message, error.hint
    if isinstance(error, ValueError):
        return Ending.USAGE, str(error), "an address is written HOST:PORT"
    return None


class Engine:
    """One call and all who watch it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._identity = open_identity(settings.config, passphrase_given())
        self._contacts = Contacts(settings.config)
        self._room = Room(settings, self._identity.identity, self._contacts.judge)
        self._writer = ThreadPoolExecutor(max_workers=1)  # contacts: one change at a time
        self._reporter = Reporter(self._room, self._contacts, self._remember)
        self._stats = Stats(self._room)
        self._faces = Faces(
            stdio=not settings.detached,
            obey=self._obey,
            refused=lambda why, hint: self._problem("error", "bad-command", why, hint),
            snapshot=self._reporter.snapshot,
            watched=self._watched,
            unread=self._leave_soon,
        )
        self._first_face = asyncio.Event()
        self._opened = False
        self._interrupted = False
        self._deafened = False
        self._exit = Ending.FAILED.exit_code
        self._problem = self._reporter.problem
        self._picturing = Picturing(self._room, self._named)
        self._stats_timer: asyncio.TimerHandle | None = None
        self._leaving: asyncio.TimerHandle | None = None
        self._calling: asyncio.Task[None] | None = None

    # ---- Life --------------------------------------------------------------------

    async def run(self) -> int:
        """From ``ready`` to ``ended``."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with contextlib.suppress(NotImplementedError):  # Windows
                loop.add_signal_handler(number, self._interrupt)
        await self._faces.open(self._settings.socket)
        self._tell(self._reporter.ready(self._settings.name))
        self._calling = asyncio.create_task(self._call())
        try:
            await self._calling
        except (asyncio.CancelledError, TimeoutError):  # there was no room to leave yet
            self._end(Ending.LEFT)
        finally:
            self._count_no_longer()
            await self._room.close()
            await self._faces.close()
        if self._faces.unwritten is not None:
            raise Refused("failed", f"events cannot be written: {self._faces.unwritten}")
        return self._exit

    async def _call(self) -> None:
        if self._settings.detached:  # whoever started us hears everything, failures included
            async with asyncio.timeout(FACE_PATIENCE):
                await self._first_face.wait()
        if self._identity.temporary:
            self._warn("identity-in-use")
        if self._contacts.damaged:
            self._warn("contacts-damaged")
        try:
            await self._room.open()
        except Exception as error:
            why = why_not_opened(error, self._room.signal_url)
            if why is None:
                raise
            ending, message, hint = why
            self._tell(self._problem("error", ending.word, message, hint))
            self._end(ending)
            return
        self._opened = True
        if self._leaving is not None:  # its face has gone meanwhile
            self._fall_silent()
        async for event in self._room.events():
            for told in self._reporter.report(event):
                self._exit = told["exit"] if told["event"] == "ended" else self._exit
                self._tell(told)

    def close(self) -> None:
        """Finish what is to be written; others may use the identity."""
        self._writer.shutdown()
        self._identity.close()

    def _interrupt(self) -> None:
        if self._interrupted:
            os._exit(Ending.INTERRUPTED.exit_code)
        self._interrupted = True
        self._leave()

    def _leave(self) -> None:
        if self._opened:
            self._room.leave()
        elif self._calling is not None:
            self._calling.cancel()

    def _leave_soon(self) -> None:
        asyncio.get_running_loop().call_soon(self._leave)

    def _end(self, ending: Ending) -> None:
        self._exit = ending.exit_code
        self._tell(self._reporter.ended(ending.word, ending.exit_code))

    def _watched(self, yes: bool) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None
        if yes:
            self._first_face.set()
        else:
            self._fall_silent()
            loop = asyncio.get_running_loop()
            self._leaving = loop.call_later(FACE_PATIENCE, self._leave)

    def _fall_silent(self) -> None:
        with contextlib.suppress(LocalProtocolError):
            self._set_mute(True)
        if self._opened:
            self._room.pictures.unshare_all(live=True)

    # ---- Telling -----------------------------------------------------------------

    def _tell(self, told: Told) -> None:
        self._faces.tell(told)

    def _warn(self, word: str) -> None:
        self._tell(self._problem("warning", word, *words.of_warning(word)))

    def _show_muted(self) -> None:
        muted = self._room.sound.muted
        self._tell(self._reporter.muted(self._room.member, on=muted, own=True))

    def _remember(self, name: str, identity: PublicIdentity) -> None:
        self._writer.submit(self._contacts.remember, name, identity)

    # ---- Orders ------------------------------------------------------------------

    def _obey(self, order: Order) -> None:
        if order.do == "leave":
            self._leave()
        elif not self._opened or not self._room.session.room.inside:
            raise BadCommand(words.of_error("not-in-room").message)
        elif order.do in PICTURING:
            self._picturing.obey(order)
        else:
            self._ORDERS[order.do](self, order)

    def _member(self, order: Order, field: str = "member") -> Member:
        return self._named(order.fields[field])

    def _named(self, text: str) -> Member:
        member = member_from_word(text)
        peers = self._room.session.room.peers
        if member is not None and member in peers:
            return member
        for number, peer in peers.items():
            if peer.seat.name == text:
                return number
        if text == member_word(self._room.member):
            raise BadCommand(f"'{text}' is you")
        raise BadCommand(f"no member '{text[:64]}' is here")

    @staticmethod
    def _wanted(order: Order, before: bool) -> bool:
        on = order.fields["on"]
        return not before if on == "toggle" else bool(on)

    def _chat(self, order: Order) -> None:
        to = self._member(order, "to") if order.fields.get("to") is not None else None
        id = self._room.say(order.fields["text"], to)
        self._tell(self._reporter.stamp("sent", id=id.hex(), ref=order.fields.get("ref")))

    def _mute(self, order: Order) -> None:
        self._set_mute(self._wanted(order, self._room.sound.muted))

    def _set_mute(self, on: bool) -> None:
        if self._opened:
            self._room.mute(on)
            self._show_muted()

    def _ptt(self, order: Order) -> None:
        self._room.push_to_talk(self._wanted(order, not self._room.sound.muted))
        self._show_muted()

    def _deafen(self, order: Order) -> None:
        self._deafened = self._wanted(order, self._deafened)
        self._room.sound.listening.deafen(self._deafened)
        self._tell(self._reporter.stamp("deafened", on=self._deafened))

    def _volume(self, order: Order) -> None:
        percent = float(order.fields["percent"])
        if not 0 <= percent <= MAX_PERCENT:
            raise BadCommand("'percent' of 'volume' is from 0 to 400")
        listening, member = self._room.sound.listening, self._member(order)
        if (stream := order.fields.get("stream")) is None:
            listening.volume(member, percent)
        else:
            listening.tracks.volume((member, stream), percent)

    def _show_stats(self, order: Order) -> None:
        every = float(order.fields.get("every") or 0)
        if every < 0:
            raise BadCommand("'every' of 'stats' is 0 or more seconds")
        self._count_no_longer()
        self._tick_stats(max(every, 0.1) if every > 0 else 0.0)

    def _count_no_longer(self) -> None:
        if self._stats_timer is not None:
            self._stats_timer.cancel()
            self._stats_timer = None

    def _tick_stats(self, every: float) -> None:
        if self._room.session.room.ended:
            return
        self._tell(self._reporter.stamp("stats", **self._stats.take()))
        if every:
            loop = asyncio.get_running_loop()
            self._stats_timer = loop.call_later(every, self._tick_stats, every)

    def _only(self, order: Order) -> None:
        rungs = order.fields["rungs"]
        if not rungs or not all(isinstance(rung, str) and rung in RUNGS for rung in rungs):
            raise BadCommand(f"'rungs' are some of {', '.join(RUNGS)}")
        self._room.only(rungs)

    def _kick(self, order: Order) -> None:
        self._room.kick(self._member(order))

    def _lock(self, order: Order) -> None:
        self._room.lock(self._wanted(order, self._room.session.room.roster.entry.locked))

    def _deputies(self, order: Order) -> None:
        members = order.fields["members"]
        if not all(isinstance(member, str) for member in members):
            raise BadCommand("'members' are ids or names of members")
        self._room.deputies(tuple(self._named(member) for member in members))

    def _accept(self, order: Order) -> None:
        member = self._member(order)
        self._change_contact(self._contacts.accept, member)
        self._room.accept(member)

    def _save(self, order: Order) -> None:
        self._change_contact(self._contacts.save, self._member(order))

    def _change_contact(
        self, change: Callable[[str, PublicIdentity], None], member: Member
    ) -> None:
        """On the thread that writes; what cannot be written is said."""
        seat, loop = self._room.session.room.peers[member].seat, asyncio.get_running_loop()

        def work() -> None:
            try:
                change(seat.name, seat.identity)
            except Refused as refused:
                loop.call_soon_threadsafe(self._refuse, refused)

        self._writer.submit(work)

    def _refuse(self, why: Refused) -> None:
        self._tell(self._problem("error", why.code, why.message, why.hint))

    def _invite(self, order: Order) -> None:
        self._room.invite()

    _ORDERS: ClassVar[dict[str, Callable[[Engine, Order], None]]] = {
        "chat": _chat,
        "mute": _mute,
        "ptt": _ptt,
        "deafen": _deafen,
        "volume": _volume,
        "stats": _show_stats,
        "only": _only,
        "kick": _kick,
        "lock": _lock,
        "deputies": _deputies,
        "accept": _accept,
        "save": _save,
        "invite": _invite,
    }
