"""Where the pictures of one stream arrive in the face: a private socket for the viewer.

The other end is ``video.canvas``, in a process that decodes what strangers sent; so
what comes is believed only if it is as large as what was asked for.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from video.canvas import HEAD

Size = tuple[int, int]


class Easel:
    """One socket, one viewer."""

    def __init__(self, changed: Callable[[], None]) -> None:
        """``changed`` is called when a picture has come, or the viewer has gone."""
        self.newest: tuple[Size, bytes] | None = None
        """Size and RGB24 of the last picture."""
        self.asked: Size | None = None
        """The question that has not been answered."""
        self.gone = False
        """Whether the viewer was here and is here no more."""
        self._changed = changed
        runtime = os.environ.get("XDG_RUNTIME_DIR", "")
        folder = runtime if os.path.isdir(runtime) else None
        self._folder = Path(tempfile.mkdtemp(prefix="vchat-picture-", dir=folder))
        self._server: asyncio.Server | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._wanted: set[Size] = set()
        """Sizes that may still come."""

    @property
    def path(self) -> Path:
        """Of the socket; its folder is one's own."""
        return self._folder / "picture.sock"

    async def open(self) -> None:
        """Wait for the viewer from now on."""
        self._server = await asyncio.start_unix_server(self._meet, self.path)

    def ask(self, size: Size) -> None:
        """For one picture of this size, once there is one that is new."""
        self.asked = size
        if self._writer is not None:
            self._wanted.add(size)
            line = json.dumps({"width": size[0], "height": size[1]})
            self._writer.write(line.encode() + b"\n")

    def close(self) -> None:
        """Nobody looks any more."""
        if self._writer is not None:
            self._writer.close()
        if self._server is not None:
            self._server.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._writer is not None or self.gone:
            writer.close()
            return
        self._writer = writer
        if self.asked is not None:
            self.ask(self.asked)
        try:
            while True:
                self._take(await self._read(reader))
        except (OSError, asyncio.IncompleteReadError, ValueError, asyncio.CancelledError):
            # Cancelled at the end of the face; asyncio 3.11 would print a traceback about it.
            self.gone, self._writer = True, None
            writer.close()
            self._changed()

    async def _read(self, reader: asyncio.StreamReader) -> tuple[Size, bytes]:
        length, width, height = HEAD.unpack(await reader.readexactly(HEAD.size))
        if (width, height) not in self._wanted or length != 4 + 3 * width * height:
            raise ValueError("a picture that nobody asked for")
        return (width, height), await reader.readexactly(length - 4)

    def _take(self, picture: tuple[Size, bytes]) -> None:
        self.newest = picture
        if picture[0] == self.asked:
            self.asked = None
            self._wanted.clear()
        self._changed()
