"""What plays on this machine, as ``pactl`` tells it (PulseAudio, and PipeWire in its name).

    pactl list sink-inputs      Sink Input #5
                                        application.process.id = "6390"
    pactl subscribe             Event 'new' on sink-input #5

A *sink input* is one program's stream on its way to a speaker.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import field

from vc_core.record import record

# Specification (pactl)
_HEAD = re.compile(r"Sink Input #([0-9]{1,10})")
_PROPERTY = re.compile(r'\t\t([\w.-]+) = "(.*)"')
_EVENT = re.compile(r"Event '(new|change|remove)' on sink-input #[0-9]+")
PROCESS = "application.process.id"
ROLE = "media.role"

# Implementation
PASSED_ON = {"filter", "abstract"}
"""Roles of what the sound server itself passes on, so that it would be heard twice."""


@record
class SinkInput:
    """One stream on its way to a speaker."""

    index: int
    properties: dict[str, str] = field(default_factory=dict)


def sink_inputs(listing: str) -> list[SinkInput]:
    """What ``pactl list sink-inputs`` says, in its untranslated form."""
    found: list[SinkInput] = []
    for line in listing.splitlines():
        if head := _HEAD.fullmatch(line):
            found.append(SinkInput(int(head[1])))
        elif found and (said := _PROPERTY.fullmatch(line)):
            found[-1].properties[said[1]] = said[2]
    return found


def of_others(inputs: Iterable[SinkInput], own: int) -> list[int]:
    """The streams that are not of process ``own``, nor passed on by the server."""
    return [
        one.index
        for one in inputs
        if one.properties.get(PROCESS) != str(own) and one.properties.get(ROLE) not in PASSED_ON
    ]


def tells_of_streams(line: str) -> bool:
    """Whether a line of ``pactl subscribe`` says that other streams may play now."""
    return _EVENT.match(line) is not None
