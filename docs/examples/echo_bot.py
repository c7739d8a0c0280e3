"""A member that says everything back, text and voice: python echo_bot.py CODE."""

import asyncio
import os
import sys
from pathlib import Path

from client.room import Room
from client.settings import Settings
from vc_core.events import Chatted
from vc_core.keys import Identity


async def main(code: str) -> None:
    settings = Settings(False, "echo", Path(), code=code, mic="none", speaker="none")
    async with Room(settings, Identity.generate(os.urandom)) as room:
        room.sound.hook(lambda member, frame: room.sound.push(frame))  # 20 ms at 48 kHz
        async for event in room.events():
            if isinstance(event, Chatted):
                room.say(f"you said: {event.text}", event.member if event.private else None)


asyncio.run(main(sys.argv[1]))
