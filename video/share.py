"""The sharing process: ``python -m video.share``, a child of the engine.

Orders come on stdin, frames and events go to stdout (``video.pipe``). It has no
keys and no network. It ends when stdin closes, when it is told to stop, and when
what it shares ends; then its last word is ``ended``.

    open source width height fps bitrate codec cursor [encoder]
    start | bitrate bps | size width height fps | key | rest on | stop
    -> opened | stats | error | ended, and frames

A second, smaller encoding of the same pictures is begun, steered and ended by orders
with ``second`` true; ``open`` again changes its size.

    open width height fps bitrate | bitrate bps | key | stop
    -> second on width height fps encoder, and frames that are marked
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

from vc_core.errors import LocalProtocolError, RemoteProtocolError
from video import orders
from video.chain import Inbox, Over, Taken
from video.edition import Edition
from video.outlet import Outlet
from video.pipe import Reader, Words
from video.studio import Sharing
from video.unavailable import PictureUnavailable

log = logging.getLogger(__name__)

# Implementation
STATS_EVERY = 1.0  # seconds
NICENESS = 2  # voice comes first
GRACE = 5.0  # seconds for a proper end when the engine is gone, whatever else is going on
_READ = 1 << 16  # bytes of orders at once


class Child:
    """The process's one loop."""

    def __init__(self, inbox: Inbox, outlet: Outlet) -> None:
        self._inbox, self._outlet = inbox, outlet
        self._sharing: Sharing | None = None
        self._ended: str | None = None
        self._counted = (time.monotonic(), time.process_time(), 0, 0, 0)

    def run(self) -> None:
        """Until the end; its last word is ``ended``. ``OSError`` when the engine is gone."""
        try:
            while self._ended is None:
                self._turn()
            if self._ended:
                self._outlet.say("ended", reason=self._ended)
        finally:
            if self._sharing is not None:
                self._sharing.close()

    def _turn(self) -> None:
        sharing = self._sharing
        until = self._counted[0] + STATS_EVERY if sharing else float("inf")
        self._inbox.wait(min(until, sharing.due) if sharing else time.monotonic() + 60)
        try:
            self._work()
        except orders.BadOrder as error:
            self._outlet.complain(error)
        except PictureUnavailable as error:
            self._outlet.complain(error)
            if self._sharing is not None:
                self._ended = "failed"
        if self._sharing is not None and time.monotonic() >= until:
            self._count(self._sharing)

    def _work(self) -> None:
        with contextlib.suppress(IndexError):
            while self._ended is None:
                self._obey(self._inbox.next_order())
        if self._sharing is None or self._ended is not None:
            return
        found = self._inbox.take()
        if isinstance(found, Taken):
            self._sharing.take(found)
        elif isinstance(found, Over):
            if found.why is not None:
                raise found.why
            self._ended = "finished"
        elif time.monotonic() >= self._sharing.due:
            self._sharing.again()

    def _obey(self, words: Words | None) -> None:
        if words is None:
            self._ended = ""
            return
        do = words.get("do")
        if words.get("second") is True:
            self._obey_second(do, words)
        elif do == "open":
            self._open(words)
        elif do == "stop":
            self._ended = "stopped"
        elif isinstance(do, str) and do in ORDERS:
            if self._sharing is None:
                raise orders.BadOrder(f"'{do}' comes after 'open'")
            ORDERS[do](self._sharing, words)
        else:
            raise orders.BadOrder("there is no such order")

    def _obey_second(self, do: object, words: Words) -> None:
        if not isinstance(do, str) or do not in SECOND_ORDERS:
            raise orders.BadOrder("there is no such order for a second encoding")
        if self._sharing is None:
            raise orders.BadOrder("a second encoding comes after the first")
        SECOND_ORDERS[do](self._sharing, words)

    def _open(self, words: Words) -> None:
        if self._sharing is not None:
            raise orders.BadOrder("something is open already")
        self._sharing = Sharing(orders.read_open(words), self._inbox, self._outlet)
        self._counted = (time.monotonic(), time.process_time(), 0, 0, 0)
        self._sharing.begin()

    def _count(self, sharing: Sharing) -> None:
        capture = sharing.capture
        was, self._counted = (
            self._counted,
            (
                time.monotonic(),
                time.process_time(),
                capture.looked,
                sharing.first.encoded,
                capture.unchanged,
            ),
        )
        seconds, cpu, looked, encoded, unchanged = (
            now - before for now, before in zip(self._counted, was, strict=True)
        )
        self._outlet.say(
            "stats",
            fps_captured=round(looked / seconds, 2),
            fps_encoded=round(encoded / seconds, 2),
            unchanged=int(unchanged),
            cpu=round(cpu / seconds, 4),
        )


def set_bitrate(edition: Edition | None, words: Words) -> None:
    """Keep to another bitrate."""
    bps = orders.bits(words, "bps", None)
    if edition is not None:
        edition.encoder.set_bitrate(bps)


ORDERS: dict[str, Callable[[Sharing, Words], None]] = {
    "start": lambda sharing, words: sharing.capture.start(),
    "bitrate": lambda sharing, words: set_bitrate(sharing.first, words),
    "size": lambda sharing, words: sharing.resize(words),
    "key": lambda sharing, words: sharing.first.want_key(),
    "rest": lambda sharing, words: sharing.rest(words.get("on") is True),
}
SECOND_ORDERS: dict[str, Callable[[Sharing, Words], None]] = {
    "open": lambda sharing, words: sharing.open_second(words),
    "bitrate": lambda sharing, words: set_bitrate(sharing.second, words),
    "key": lambda sharing, words: sharing.second.want_key() if sharing.second else None,
    "stop": lambda sharing, words: sharing.close_second(),
}
"""Where there is none (any more), its bitrate and its key frames are nobody's concern."""


def listen(descriptor: int, inbox: Inbox) -> None:
    """Read orders until stdin closes or what comes is no record; then the end, in any case."""
    reader = Reader()
    try:
        while data := os.read(descriptor, _READ):
            for record in reader.feed(data):
                inbox.order(record if isinstance(record, dict) else {})
    except (OSError, RemoteProtocolError) as error:
        log.warning("orders: %s", error)
    inbox.order(None)
    time.sleep(GRACE)
    os._exit(1)


def main() -> None:
    """The program."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: it means the engine
    descriptor = os.dup(1)
    if sys.platform == "win32":
        import msvcrt

        for one in (0, descriptor):
            msvcrt.setmode(one, os.O_BINARY)
    os.dup2(2, 1)  # what a library prints does not get between the records
    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 tells its life on stderr
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    inbox, outlet = Inbox(), Outlet(descriptor)
    threading.Thread(target=listen, args=(0, inbox), name="orders", daemon=True).start()
    status = 0
    try:
        Child(inbox, outlet).run()
    except (BrokenPipeError, ConnectionResetError):
        status = 1
    except LocalProtocolError:
        log.exception("our own mistake")
        status = 1
    sys.stderr.flush()
    os._exit(status)  # a source that hangs in its driver must not keep us


if __name__ == "__main__":
    main()
