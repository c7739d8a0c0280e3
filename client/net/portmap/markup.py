"""As much of XML as routers write: names and texts of elements, and nothing to expand.

    <s:Envelope …><s:Body><u:Answer …><NewPort>4000</NewPort> …

Rule 1: one pass that never turns back, no nesting on our stack, every size bounded.
Rule 2: no document type, hence no entities but the five that XML itself has.
Rule 3: attributes and namespaces are passed over; routers disagree about them.

An element is told when it ends, with its own text and its path of local names:
``("Envelope", "Body", "Answer", "NewPort"), "4000"``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from vc_core.errors import RemoteProtocolError

# Implementation
MAX_DEPTH = 32
MAX_ELEMENTS = 4096
MAX_TEXT = 1024  # characters of one element's own text
MAX_NAME = 128  # characters

_PIECE = re.compile(
    r"<!--.*?-->|<\?.*?\?>|<!\[CDATA\[(?P<raw>.*?)\]\]>"
    r"|<(?P<close>/?)(?P<name>[^\s<>/!?]++)(?P<rest>[^<>]*+)>|(?P<text>[^<]+)",
    re.DOTALL,
)
_ENTITY = re.compile(r"&(?:(lt|gt|amp|quot|apos)|#([0-9]{1,7})|#x([0-9a-fA-F]{1,6}));")
_NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}

Element = tuple[tuple[str, ...], str]


def elements(text: str) -> Iterator[Element]:
    """Every element of a document, inner ones first."""
    names: list[str] = []
    texts: list[str] = []
    count = 0
    for piece in _pieces(text):
        plain = _text(piece)
        if plain is not None:
            if texts and len(texts[-1]) < MAX_TEXT:
                texts[-1] += plain[:MAX_TEXT]
        elif piece["name"] is None:  # a comment or an instruction
            continue
        elif piece["close"]:
            if not names or names[-1] != _local(piece["name"]):
                raise RemoteProtocolError("an element ends that is not open")
            yield tuple(names), texts.pop().strip()
            names.pop()
        else:
            count += 1
            if count > MAX_ELEMENTS or len(names) >= MAX_DEPTH:
                raise RemoteProtocolError("too many elements")
            names.append(_local(piece["name"]))
            texts.append("")
            if piece["rest"].endswith("/"):
                yield tuple(names), texts.pop()
                names.pop()
    if names:
        raise RemoteProtocolError("an element does not end")


def escape(text: str) -> str:
    """``text`` as the content of an element."""
    for name, character in (("amp", "&"), ("lt", "<"), ("gt", ">")):
        text = text.replace(character, f"&{name};")
    return text


def _pieces(text: str) -> Iterator[re.Match[str]]:
    at = 0
    while at < len(text):
        piece = _PIECE.match(text, at)
        if piece is None:
            raise RemoteProtocolError("something that is no element")
        yield piece
        at = piece.end()


def _text(piece: re.Match[str]) -> str | None:
    if piece["raw"] is not None:
        return piece["raw"]
    return _ENTITY.sub(_character, piece["text"]) if piece["text"] is not None else None


def _character(entity: re.Match[str]) -> str:
    if entity[1]:
        return _NAMED[entity[1]]
    number = int(entity[2]) if entity[2] else int(entity[3], 16)
    return chr(number) if number < 0xD800 or 0xE000 <= number < 0x110000 else "\ufffd"


def _local(name: str) -> str:
    if len(name) > MAX_NAME:
        raise RemoteProtocolError("a name that is too long")
    return name.rpartition(":")[2]
