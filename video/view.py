"""The process that decodes what a member shares and shows it: ``python -m video.view``.

    stdin   records of ``video.pipe``: the order ``open``, frames, ``overlay``, ``stop``;
            sound, for a recording, which is not decoded
    stdout  words: started, size, shown (each second), key-wanted, closed, error, ended

It has no keys and no network. A stream that cannot be decoded, a window that is closed,
a terminal that is gone end this process with a word about it (``ended``), and the
engine's call goes on.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from vc_core.errors import RemoteProtocolError, VchatError
from vc_core.record import record
from video.confine import close_inherited, confine, stay_alive
from video.decode import Decoder
from video.pipe import Codec, FrameRecord, Reader, Record, SoundRecord, Words, write_words
from video.sequence import MOST_BEHIND, Sequence
from video.sink import ClosedError, Nowhere, Shown, Sink, UnusableError
from video.tally import Tally

if TYPE_CHECKING:
    from av import VideoFrame

# Implementation
SHOW = 0.06  # s of decoding after which a picture is shown, though a newer one waits
LATE = 1.0  # s that a frame may wait to be decoded
PIECE = 256 * 1024  # bytes of one read
MOST_PIECES = 64  # read ahead of the decoder; more waits in the pipe
DAMAGED = "ask whoever shares it to share it again, and which version of vchat that is"
Say = Callable[[Words], None]


@record
class Wish:
    """What the order ``open`` asks for, besides the kind of place."""

    what: str
    """A path, a socket, a command."""
    title: str
    sound: bool
    """Whether sound comes along."""


class _StoppedError(VchatError):
    """The engine wants no more; the argument is a word on why."""


class Viewer:
    """One stream from its first frame to its end."""

    def __init__(self, say: Say, clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._sink: Sink | None = None
        self._decoder: Decoder | None = None
        self._sequence = Sequence()
        self._tally = Tally(clock())
        self._size = (0, 0)
        self._waiting: deque[tuple[float, Record]] = deque()
        """What is not taken yet, and since when it waits."""

    @property
    def patience(self) -> float:
        """s until ``turn`` wants to be called again."""
        if self._waiting:
            return 0.0
        due = max(0.0, self._tally.due - self._clock())
        return due if self._sink is None else min(due, self._sink.patience)

    def take(self, records: list[Record]) -> None:
        """What came through the pipe; the newest picture of it is shown.

        What there is no time to decode now is taken the next time, or left out if it is too old;
        a recording takes it all.
        """
        began = self._clock()
        self._waiting += [(began, one) for one in records]
        self._leave_out(began)
        newest: tuple[VideoFrame, FrameRecord] | None = None
        while self._waiting:
            if newest is not None and self._sink is not None and self._clock() - began >= SHOW:
                if not self._sink.writes_files:
                    break
                self._sink.picture(*newest)
                newest, began = None, self._clock()
            _, one = self._waiting.popleft()
            if isinstance(one, FrameRecord):
                picture = self._frame(one)
                newest = (picture, one) if picture is not None else newest
            elif isinstance(one, SoundRecord):
                if self._sink is not None:
                    self._sink.sound(one)
            else:
                self._order(one)
        if newest is not None and self._sink is not None:
            self._sink.picture(*newest)

    def _leave_out(self, now: float) -> None:
        """Forget frames that would only keep the new ones waiting: up to the newest key frame."""
        if self._sink is None or self._sink.writes_files or not self._sink.decodes:
            return
        frames = [(at, one) for at, one in self._waiting if isinstance(one, FrameRecord)]
        if len(frames) <= MOST_BEHIND and (not frames or now - frames[0][0] <= LATE):
            return
        newest = next((one for _, one in reversed(frames) if one.key), None)
        if frames[0][1] is newest:
            return
        self._sequence.skip()
        kept: deque[tuple[float, Record]] = deque()
        late = True
        for at, one in self._waiting:
            late = late and one is not newest
            if not late or not isinstance(one, FrameRecord):
                kept.append((at, one))
        self._waiting = kept

    def turn(self) -> None:
        """Once a loop: the sink's own side, key frames, figures."""
        if self._sink is None:
            return
        now = self._clock()
        self._sink.turn()
        if self._sequence.wants_key(now):
            self._say({"event": "key-wanted"})
        if now >= self._tally.due:
            stay_alive()
            shown = self._tally.report(now)
            self._sink.report(shown)
            if self._size != (0, 0):
                self._say(shown)

    def close(self) -> None:
        """Give everything back."""
        if self._sink is not None:
            self._sink.close()

    # ---- Orders ----------------------------------------------------------------------

    def _order(self, words: Words) -> None:
        do = words.get("do")
        if do == "open" and self._sink is None:
            self._open(str(words.get("to", "")), words)
        elif do == "overlay" and self._sink is not None:
            self._sink.overlay(str(words.get("text", "")))
        elif do == "stop":
            raise _StoppedError("stopped")

    def _open(self, to: str, order: Words) -> None:
        import av  # noqa: F401  (nothing can be loaded once the process is confined)

        place, _, what = to.partition(":")
        if place not in SINKS:
            raise UnusableError("bad-place", f"pictures cannot be shown in '{place}'")
        wish = Wish(what, str(order.get("title", "")), bool(order.get("sound")))
        self._sink = sink = SINKS[place](wish, self._was_shown, self._say)
        confine(opens_files=sink.opens_files, writes_files=sink.writes_files)
        stay_alive()

    def _was_shown(self, frame: FrameRecord) -> None:
        self._tally.shown(self._age(frame))

    def _age(self, frame: FrameRecord) -> float:
        return self._clock() - frame.captured / 1e6

    # ---- Frames ----------------------------------------------------------------------

    def _frame(self, frame: FrameRecord) -> VideoFrame | None:
        sink = self._sink
        if sink is None or not self._sequence.admits(frame.number, key=frame.key):
            return None
        picture = None
        if sink.decodes:
            try:
                picture = self._decode(frame)
            except RemoteProtocolError:
                self._sequence.failed()
                return None
        if not sink.unit(frame):
            self._sequence.skip()
            return None
        if picture is not None or not sink.decodes:
            self._sequence.decoded()
            self._note(frame, picture)
        else:
            self._sequence.empty()
        return picture

    def _decode(self, frame: FrameRecord) -> VideoFrame | None:
        if self._decoder is None or self._decoder.codec is not frame.codec:
            self._decoder = Decoder(frame.codec)
        return self._decoder.decode(frame.data)

    def _note(self, frame: FrameRecord, picture: VideoFrame | None) -> None:
        self._tally.decoded(self._age(frame))
        size = (frame.width, frame.height) if picture is None else (picture.width, picture.height)
        if size == self._size:
            return
        event = "started" if self._size == (0, 0) else "size"
        self._size = size
        codec = Codec(frame.codec).name.lower()
        self._say({"event": event, "codec": codec, "width": size[0], "height": size[1]})


# ---- Places ---------------------------------------------------------------------------


def _window(wish: Wish, shown: Shown, say: Say) -> Sink:
    from video.window import Window

    def lost() -> None:
        message, hint = "the display is gone", "watch again when it is back"
        say({"event": "error", "code": "display-gone", "message": message, "hint": hint})
        say({"event": "ended", "reason": "display-gone"})
        os._exit(0)  # we are inside Xlib, which cannot go on

    return Window(wish.title, shown, lost)


def _terminal(wish: Wish, shown: Shown, _say: Say) -> Sink:
    from video.canvas import Canvas

    return Canvas(wish.what, shown)


def _file(wish: Wish, shown: Shown, _say: Say) -> Sink:
    from video.record import Recording

    return Recording(wish.what, shown, sound=wish.sound)


def _player(wish: Wish, shown: Shown, _say: Say) -> Sink:
    from video.record import Player

    return Player(wish.what, shown)


SINKS: Mapping[str, Callable[[Wish, Shown, Say], Sink]] = {
    "window": _window,
    "terminal": _terminal,
    "file": _file,
    "player": _player,
    "none": lambda _wish, shown, _say: Nowhere(shown),
}
"""By the word before the colon of ``to``."""


# ---- The process ----------------------------------------------------------------------


class _Pipe:
    """stdin, read by a thread of its own, so that a window never waits for it."""

    def __init__(self, stdin: int) -> None:
        self._stdin = stdin
        self._pieces: queue.Queue[bytes] = queue.Queue(MOST_PIECES)
        self._reader = Reader()
        threading.Thread(target=self._read, name="stdin", daemon=True).start()

    def records(self, patience: float) -> Iterator[Record]:
        """What has come, after waiting ``patience`` at most; ``_StoppedError`` at its end."""
        pieces: deque[bytes] = deque()
        try:
            pieces.append(self._pieces.get(timeout=max(0.001, patience)))
            while True:
                pieces.append(self._pieces.get_nowait())
        except queue.Empty:
            pass
        for piece in pieces:
            if not piece:
                raise _StoppedError("engine-gone")
            yield from self._reader.feed(piece)

    def _read(self) -> None:
        piece = b"-"
        while piece:
            try:
                piece = os.read(self._stdin, PIECE)
            except OSError:
                piece = b""
            self._pieces.put(piece)


def watch(stdin: int, say: Say) -> None:
    """Everything until the end, which is said as well."""
    viewer, pipe, reason = Viewer(say), _Pipe(stdin), "failed"
    try:
        while True:
            viewer.take(list(pipe.records(viewer.patience)))
            viewer.turn()
    except _StoppedError as stopped:
        reason = str(stopped)
    except ClosedError as closed:
        reason = "closed"
        say({"event": "closed", "how": str(closed)})
    except UnusableError as error:
        said = {"code": error.code, "message": error.message, "hint": error.hint}
        say({"event": "error", **said})
    except RemoteProtocolError as error:
        say({"event": "error", "code": "stream-damaged", "message": str(error), "hint": DAMAGED})
    except MemoryError:
        message = "the pictures need more memory than they may have"
        say({"event": "error", "code": "stream-damaged", "message": message, "hint": DAMAGED})
    except Exception:
        message, hint = "the viewer broke down", "watch again; please report it"
        say({"event": "error", "code": "viewer-broken", "message": message, "hint": hint})
        raise  # a bug of ours: loud
    finally:
        viewer.close()
        say({"event": "ended", "reason": reason})


def main() -> int:
    """The program."""
    close_inherited()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the engine
    if sys.platform == "win32":
        import msvcrt

        for stream in (0, 1):
            msvcrt.setmode(stream, os.O_BINARY)
    stdout = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints is no event

    def say(words: Words) -> None:
        data: Any = memoryview(write_words(words))
        while data:
            data = data[os.write(stdout, data) :]

    try:
        watch(0, say)
    except BrokenPipeError:  # nobody listens any more
        return 1
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # threads that wait for pipes and libraries are not waited for
