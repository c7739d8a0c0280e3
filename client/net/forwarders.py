"""Forwarders as the driver keeps them: slots that are held, datagrams that pass.

One ``Holding`` for each forwarder of the room: its channels, and the
``vc_core.attachment`` that says over which of them the slot is held.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from client.net.channels import Channel, LinkChannel, OwnChannel, UdpChannel, WebChannel
from client.net.relay_address import targets
from vc_core.attachment import Attachment, State
from vc_core.commands import OpenForwarder
from vc_core.envelope import (
    EVERYBODY,
    PASS,
    VOICE_HANDLE,
    Want,
    read_pass,
    write_pass,
    write_spread,
)
from vc_core.errors import RemoteProtocolError
from vc_core.ids import Rung
from vc_core.record import record

if TYPE_CHECKING:
    from relay.forwarder import Forwarder

# Implementation
MAX_CHANNELS: Final = 8  # of one forwarder
RANK: Final = 1 << 32  # channels of one forwarder, one after another, each of its rank
PATIENCE: Final = 5.0  # s until a forwarder that never answered is called unreachable
LOST: Final = ("", False)
WANTS: Final = ((EVERYBODY, VOICE_HANDLE),)  # everybody's voice; whoever sends to us alone may


class Told(Protocol):
    """Who hears what forwarders say."""

    def attached(self, number: int, transport: str, *, ending: bool) -> None:
        """The slot is ours, by udp or tcp; ``ending``: the forwarder ends soon."""

    def lost(self, number: int, word: str) -> None:
        """It does not answer (any more)."""

    def inner(self, number: int, slot: int, datagram: bytes) -> None:
        """A member's datagram came."""


class Forwarders:
    """All forwarders that we hold a slot at, or want to."""

    def __init__(self, told: Told, *, loopback: bool, own: Forwarder | None) -> None:
        self._told = told
        self._loopback = loopback
        self._own = own
        self._holdings: dict[int, Holding] = {}
        self._pair: Callable[[bytes], None] | None = None
        self._wants: dict[Want, int] = {}
        """Streams of pictures (slot, stream) that we want copies of, and where."""
        self.bytes_spread = 0
        """Bytes of datagrams that were sent once for many; each counts once."""
        self.trusted: frozenset[str] | None = None
        """The only addresses of relays that may be tried; None for whatever the host names."""

    def open(self, order: OpenForwarder) -> None:
        """Get a slot, or take fresh grants, and other addresses, for one that is held."""
        known = self._holdings.get(order.number)
        if known is not None:
            known.renew(order)
            if self._may_try(order):
                known.reach(self._channels(order))
            return
        if not self._may_try(order):
            self._told.lost(order.number, "relay-unknown")
            return
        holding = self._holdings[order.number] = Holding(order, self._channels(order), self._told)
        holding.want(self._wanted(order.number))
        holding.link(self._pair)

    def _may_try(self, order: OpenForwarder) -> bool:
        if order.rung is not Rung.RELAYED or self.trusted is None:
            return True
        return self.trusted.issuperset(order.addresses)

    def _channels(self, order: OpenForwarder) -> list[Channel]:
        if order.addresses == ("local",):
            return [OwnChannel(self._own)] if self._own is not None else []
        kinds: dict[str, type[UdpChannel | WebChannel]] = {"udp": UdpChannel, "tcp": WebChannel}
        channels: list[Channel] = [
            kinds[target.transport](target, loopback=self._loopback)
            for target in targets(order.addresses, loopback=self._loopback)[:MAX_CHANNELS]
        ]
        return [*channels, LinkChannel()] if order.rung is Rung.HOSTED else channels

    def shut(self, number: int) -> None:
        """Give a slot back."""
        holding = self._holdings.pop(number, None)
        if holding is not None:
            holding.close()

    def close(self) -> None:
        """Give all slots back."""
        for number in list(self._holdings):
            self.shut(number)

    def pass_to(self, number: int, slot: int, datagram: bytes) -> None:
        """Send a datagram to a member by a forwarder."""
        holding = self._holdings.get(number)
        if holding is not None:
            holding.send(write_pass(slot, datagram))

    def spread(self, number: int, handle: int, datagram: bytes) -> None:
        """Send one datagram to all who want this stream."""
        holding = self._holdings.get(number)
        if holding is not None:
            self.bytes_spread += len(datagram)
            holding.send(write_spread(handle, datagram))

    def want(self, slot: int, stream: int, number: int) -> None:
        """Copies of a member's stream come by this forwarder; 0: by none any more."""
        before = self._wants.pop((slot, stream), 0)
        if number:
            self._wants[slot, stream] = number
        for one in {before, number}:
            if one in self._holdings:
                self._holdings[one].want(self._wanted(one))

    def _wanted(self, number: int) -> tuple[Want, ...]:
        return *WANTS, *(want for want, at in self._wants.items() if at == number)

    def pair_with_host(self, send: Callable[[bytes], None] | None) -> None:
        """The direct pair to the host stands, is another one, or is gone."""
        self._pair = send
        for holding in self._holdings.values():
            holding.link(send)

    def receive_from_host(self, datagram: bytes) -> None:
        """An envelope that came by the direct pair to the host."""
        for holding in self._holdings.values():
            holding.receive_from_host(datagram)

    def addresses_changed(self) -> None:
        """Sockets may be bound to an address that is gone."""
        for holding in self._holdings.values():
            holding.reopen()


@record
class _Taker:
    """What one channel says, with its place in the order."""

    holding: Holding
    index: int

    def on_ready(self) -> None:
        self.holding.ready(self.index)

    def on_datagram(self, data: bytes) -> None:
        self.holding.receive(self.index, data)

    def on_gone(self) -> None:
        self.holding.gone(self.index)


class Holding:
    """One forwarder."""

    def __init__(self, order: OpenForwarder, channels: list[Channel], told: Told) -> None:
        self._number = order.number
        self._told = told
        self._channels: dict[int, Channel] = {}
        """By their numbers in the attachment."""
        self._numbers = itertools.count()
        self._loop = asyncio.get_running_loop()
        self._shown: tuple[str, bool] | None = None
        """Transport, and whether it ends soon, as told last; LOST for lost."""
        self._timer: asyncio.TimerHandle | None = None
        self.attachment = Attachment(order.grants, time.monotonic(), WANTS)
        for channel in channels:
            self._open(channel)
        self._patience = self._loop.call_later(PATIENCE, self._impatient)
        self._settle()

    def _open(self, channel: Channel) -> None:
        """One more, worse than all of its kind and better than all of a worse kind."""
        index = channel.rank * RANK + next(self._numbers)
        self._channels[index] = channel
        channel.open(_Taker(self, index))

    def reopen(self) -> None:
        """Make the sockets anew."""
        now = time.monotonic()
        for index, channel in self._channels.items():
            if isinstance(channel, UdpChannel):
                channel.close()
                self.attachment.gone(index, now)
                channel.open(_Taker(self, index))
        self._settle()

    def renew(self, order: OpenForwarder) -> None:
        """Fresh grants."""
        self.attachment.renew(order.grants, time.monotonic())
        self._settle()

    def reach(self, channels: list[Channel]) -> None:
        """It is found at these places now; that of our slot is left only when it is silent."""
        now, wanted = time.monotonic(), {channel.place for channel in channels}
        for index, channel in list(self._channels.items()):
            if channel.place not in wanted and index != self.attachment.channel:
                del self._channels[index]
                channel.close()
                self.attachment.gone(index, now)
        places = {channel.place for channel in self._channels.values()}
        for channel in channels:
            if channel.place not in places:
                self._open(channel)
        self._settle()

    def want(self, wants: tuple[Want, ...]) -> None:
        """What we want copies of."""
        self.attachment.want(wants)
        self._settle()

    def link(self, send: Callable[[bytes], None] | None) -> None:
        """The direct pair to the host."""
        for channel in self._channels.values():
            if isinstance(channel, LinkChannel):
                channel.attach(send)

    def receive_from_host(self, data: bytes) -> None:
        """An envelope from the direct pair to the host."""
        for channel in self._channels.values():
            if isinstance(channel, LinkChannel):
                channel.receive(data)

    def send(self, data: bytes) -> None:
        """One envelope on the channel of the slot."""
        index = self.attachment.channel
        if index is not None:
            self._channels[index].send(data)

    # World in

    def ready(self, index: int) -> None:
        """A channel can carry."""
        self.attachment.ready(index, time.monotonic())
        self._settle()

    def gone(self, index: int) -> None:
        """A channel carries nothing any more."""
        self.attachment.gone(index, time.monotonic())
        self._settle()

    def receive(self, index: int, data: bytes) -> None:
        """Something came by a channel."""
        if data and data[0] == PASS:
            try:
                slot, inner = read_pass(data)
            except RemoteProtocolError:
                return
            self._told.inner(self._number, slot, inner)
            return
        self.attachment.receive(index, data, time.monotonic())
        self._settle()

    # Out

    def _settle(self) -> None:
        """Send what is to be sent, tell what has changed, set the timer."""
        out = self.attachment.out
        while out:
            index, datagram = out.popleft()
            self._channels[index].send(datagram)
        self._tell()
        if self._timer is not None:
            self._timer.cancel()
        delay = max(0.0, self.attachment.next_timer() - time.monotonic())
        self._timer = self._loop.call_later(delay, self._ring)

    def _tell(self) -> None:
        attachment = self.attachment
        if attachment.channel is not None:
            transport = self._channels[attachment.channel].transport
            if self._shown != (transport, attachment.draining):
                self._shown = transport, attachment.draining
                self._told.attached(self._number, transport, ending=attachment.draining)
        elif attachment.state is State.REFUSED:
            self._lost("relay-refused")
        elif self._shown not in (None, LOST):
            self._lost("relay-silent")

    def _impatient(self) -> None:
        if self._shown is None:
            self._lost("relay-unreachable")

    def _lost(self, word: str) -> None:
        if self._shown != LOST:
            self._shown = LOST
            self._told.lost(self._number, word)

    def _ring(self) -> None:
        self._timer = None
        self.attachment.handle_timer(time.monotonic())
        self._settle()

    def close(self) -> None:
        """Give the slot back."""
        if self.attachment.channel is not None:
            self.attachment.bye()
            for index, datagram in self.attachment.out:
                self._channels[index].send(datagram)
        for handle in (self._timer, self._patience):
            if handle is not None:
                handle.cancel()
        for channel in self._channels.values():
            channel.close()
