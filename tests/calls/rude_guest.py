"""A guest who cleans nothing of what it says: ``python -m tests.calls.rude_guest CODE``."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from unittest import mock

from client.room import Room
from client.settings import Settings
from vc_core.events import PathChanged
from vc_core.keys import Identity

NAME = "Gu\x1b[31mstav\u202e"
TEXT = "\x1b[2J\x1b]0;title\x07red\x1b[31m\u202eabc\x00\n\x9b1m"


async def main(code: str) -> None:
    """Join and say it, then stay until killed."""
    settings = Settings(False, NAME, Path(), code=code, mic="none", speaker="none")
    async with Room(settings, Identity.generate(os.urandom)) as room:
        async for event in room.events():
            if isinstance(event, PathChanged):
                room.say(TEXT)


if __name__ == "__main__":
    with mock.patch("vc_core.session.clean_name", lambda name: name):
        asyncio.run(main(sys.argv[1]))
