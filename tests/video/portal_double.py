"""A desktop's ScreenCast portal, played on a bus of the test's own.

    python -m tests.video.portal_double JOURNAL STATUS

Answers one person's wishes and writes them into JOURNAL, a line each. STATUS is what it says
at the start: 0 yes, 1 no; 4 is yes, and the desktop ends it a little later.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from jeepney import (
    DBusAddress,
    HeaderFields,
    Message,
    MessageType,
    message_bus,
    new_error,
    new_method_return,
    new_signal,
)
from jeepney.io.blocking import open_dbus_connection

TOKEN, NODE = "the-token", 42
ENDED = 4


def main(journal: Path, status: int) -> None:
    """Answer until the bus ends."""
    with open_dbus_connection("SESSION", enable_fds=True) as bus:
        bus.send_and_get_reply(message_bus.RequestName("org.freedesktop.portal.Desktop"))
        print("ready", flush=True)
        while True:
            message = bus.receive()
            if message.header.message_type is MessageType.method_call:
                member = str(message.header.fields[HeaderFields.member])
                with journal.open("a") as file:
                    file.write(json.dumps([member, message.body]) + "\n")
                answer(bus, message, member, status)


def answer(bus: Any, message: Message, member: str, status: int) -> None:
    """One call."""
    if member == "OpenPipeWireRemote":
        remote = os.open("/dev/null", os.O_RDONLY)
        bus.send(new_method_return(message, "h", (remote,)))
        os.close(remote)
        if status == ENDED:
            session = DBusAddress("/session", interface="org.freedesktop.portal.Session")
            bus.send(new_signal(session, "Closed"))
        return
    if message.body[-1].get("restore_token", ("s", TOKEN))[1] != TOKEN:
        bus.send(new_error(message, "org.freedesktop.portal.Error.InvalidArgument"))
        return
    sender = message.header.fields[HeaderFields.sender]
    token = message.body[-1]["handle_token"][1]
    place = f"{sender[1:].replace('.', '_')}/{token}"
    path = f"/org/freedesktop/portal/desktop/request/{place}"
    told: dict[str, tuple[str, Any]] = {}
    if member == "CreateSession":
        told = {"session_handle": ("s", "/session")}
    if member == "Start":
        told = {
            "streams": ("a(ua{sv})", [(NODE, {"size": ("(ii)", (64, 36))})]),
            "restore_token": ("s", TOKEN),
        }
    bus.send(new_method_return(message, "o", (path,)))
    request = DBusAddress(path, interface="org.freedesktop.portal.Request")
    code = status % ENDED if member == "Start" else 0
    bus.send(new_signal(request, "Response", "ua{sv}", (code, told)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
