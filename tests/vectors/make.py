"""Write our own vectors: ``python -m tests.vectors.make``.

Everything comes from one seed, so a second run changes nothing; a test checks
that. Change a construction, and the difference shows in the JSON.
"""

from __future__ import annotations

import json
from typing import Any

from tests.vectors.make_media import packets, streams, windows
from tests.vectors.make_people import invitations, keys, room_codes
from tests.vectors.make_secrets import boxes, exchanges, handshakes
from tests.vectors.read import HERE

FILES = {
    "packet": packets,
    "streams": streams,
    "replay": windows,
    "invite": invitations,
    "keys": keys,
    "room_code": room_codes,
    "seal": boxes,
    "pake": exchanges,
    "noise": handshakes,
}


def text(vectors: Any) -> str:
    """The contents of a file."""
    return json.dumps(vectors, indent=1) + "\n"


if __name__ == "__main__":
    for name, make in FILES.items():
        (HERE / f"{name}.json").write_text(text(make()))
