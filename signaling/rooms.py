"""The rooms of the signaling server: who may send a body to whom.

    host --Allocate--> nameplate <--Knock-- guest        one exchange for each knock:
    host <==Post==> exchange <==Post==> guest            bodies between exactly these two
    anyone --Drop--> mailbox --Dropped--> all others who are attached to it

Rule 1: pure. Signals come in with the number of their connection, signals go out
        with the number of theirs; time is ``now``, chance is ``rng``.
Rule 2: a body reaches the other end of its exchange or those attached to its
        mailbox, and nobody else; what is sent to a stranger's exchange vanishes.
Rule 3: everything that grows has a cap, for one connection, for one customer and
        for all (``signaling.limits``).
Rule 4: an answer tells whether digits live only to one who pays for it with a
        guess, and with a strike when nobody was there.
"""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Callable
from typing import Any

from signaling.customers import Connection, Customer, Customers
from signaling.exchanges import Exchange, Exchanges
from signaling.grants import sign
from signaling.limits import Limits
from signaling.mailboxes import Mailboxes
from signaling.nameplates import Nameplate, Nameplates, is_nameplate
from vc_core.errors import LocalProtocolError
from vc_core.ids import Rng
from vc_core.signals import (
    Allocate,
    Allocated,
    AskGrants,
    Attach,
    Close,
    Closed,
    Detach,
    Drop,
    Dropped,
    Ended,
    Free,
    Knock,
    Opened,
    Post,
    Posted,
    Refusal,
    Refused,
    Release,
)
from vc_core.wire import Record

Output = tuple[int, Record]
"""The number of a connection, and what it is to be told."""


class Rooms:
    """Everything that the server knows."""

    def __init__(self, limits: Limits, rng: Rng, secret: bytes | None = None) -> None:
        """``secret`` is shared with relays; without one there are no grants."""
        self._limits = limits
        self._rng = rng
        self.secret = secret
        """May change, from one to another: the relays take both for a while."""
        self._customers = Customers(limits)
        self._nameplates = Nameplates(limits)
        self._exchanges = Exchanges(limits, rng)
        self._mailboxes = Mailboxes(limits)
        self._connections: dict[int, Connection] = {}
        self._refusals: Counter[Refusal] = Counter()

    # Getters

    def next_timer(self) -> float | None:
        """When ``handle_timer`` is due."""
        ends = (self._nameplates.next_end(), self._exchanges.next_end())
        return min((end for end in ends if end is not None), default=None)

    def counts(self) -> dict[str, int]:
        """What there is now, and what there was since the start; no names."""
        living, ended = self._nameplates.counts()
        mailboxes, attachments = self._mailboxes.counts()
        return {
            "connections": len(self._connections),
            "nameplates": living,
            "ended": ended,
            "exchanges": len(self._exchanges),
            "mailboxes": mailboxes,
            "attachments": attachments,
            "customers": len(self._customers),
            "exchanges_opened": self._exchanges.opened,
            **{f"refused_{why.name.lower()}": count for why, count in self._refusals.items()},
        }

    # The world comes in

    def connected(self, connection: int, address: bytes, now: float) -> Refusal | None:
        """A connection from packed ``address`` (4 or 16 bytes) asks to come in.

        Returns None when it is in, or why it is not; then it is not known here.
        """
        customer = self._customers.find(address, now)
        refusal = self._whether_to_admit(customer, now)
        if refusal is None:
            customer.connections += 1
            self._customers.settle(customer)
            self._connections[connection] = Connection(connection, customer)
        else:
            self._refusals[refusal] += 1
        return refusal

    def disconnected(self, connection: int, now: float) -> list[Output]:
        """A connection is gone; its nameplates wait for it until they end."""
        gone = self._connections.pop(connection)
        outputs = self._end_exchanges(gone.exchanges, gone)
        for digits in gone.nameplates:
            self._nameplates[digits].host = None
        for mailbox in tuple(gone.mailboxes):
            self._mailboxes.detach(gone, mailbox)
        gone.customer.connections -= 1
        self._customers.settle(gone.customer)
        return outputs

    def pace(self, connection: int, size: int, now: float) -> float:
        """How many seconds to wait before more is read, after ``size`` bytes."""
        customer = self._connections[connection].customer
        return customer.traffic.owe(now, size + self._limits.message_cost)

    def receive(self, connection: int, signal: Record, now: float, unix: float) -> list[Output]:
        """What a signal of a connection causes; a MALFORMED refusal asks to hang up.

        ``unix`` is the time of day, which grants tell relays.
        """
        if isinstance(signal, AskGrants):
            return self._grant(self._connections[connection], signal, now, unix)
        rule = _RULES.get(type(signal))
        if rule is None:
            raise LocalProtocolError(f"{type(signal).__name__} is no signal to a server")
        return rule(self, self._connections[connection], signal, now)

    def handle_timer(self, now: float) -> list[Output]:
        """End what has lived long enough."""
        outputs: list[Output] = []
        for nameplate in self._nameplates.due(now):
            if nameplate.host is not None:
                outputs.append((nameplate.host, Ended(nameplate.digits, Refusal.EXPIRED)))
            self._end_nameplate(nameplate, Refusal.EXPIRED, now)
        for exchange in self._exchanges.due(now):
            outputs += self._end_exchange(exchange, None)
        return outputs

    # Nameplates

    def _allocate(self, host: Connection, signal: Allocate, now: float) -> list[Output]:
        if signal.wanted:
            return self._claim(host, signal, now)
        if not host.customer.allocations.take(now):
            return self._refuse(host, Refusal.TOO_FAST)
        if not self._has_room_for_nameplate(host):
            return self._refuse(host, Refusal.FULL)
        digits = self._nameplates.pick(self._rng, now)
        if digits is None:
            return self._refuse(host, Refusal.FULL)
        return self._give(host, digits, signal, now)

    def _claim(self, host: Connection, signal: Allocate, now: float) -> list[Output]:
        """A host that lost its connection, or whose server forgot, wants its digits again."""
        digits = signal.wanted
        if not self._may_guess(host.customer, now):
            return self._refuse(host, Refusal.TOO_FAST, digits)
        living = self._nameplates.living(digits)
        if living is not None and hmac.compare_digest(living.token, signal.token):
            return self._take_over(host, living, now)
        ended = self._nameplates.how_it_ended(digits, now)
        if ended is not None:
            return self._refuse(host, ended, digits)
        if living is not None or not is_nameplate(digits):
            host.customer.strikes.take(now)
            why = Refusal.TAKEN if living else Refusal.NO_SUCH_NAMEPLATE
            return self._refuse(host, why, digits)
        if not self._has_room_for_nameplate(host):
            return self._refuse(host, Refusal.FULL, digits)
        return self._give(host, digits, signal, now)

    def _give(self, host: Connection, digits: str, signal: Allocate, now: float) -> list[Output]:
        longest = self._limits.nameplate_life
        life = min(float(signal.life), longest) if signal.life else longest
        nameplate = Nameplate(digits, signal.token, host.customer, host.number, now + life)
        self._nameplates.give(nameplate)
        host.nameplates.add(digits)
        host.has_hosted = True
        host.customer.nameplates += 1
        return [(host.number, Allocated(digits, round(life)))]

    def _take_over(self, host: Connection, nameplate: Nameplate, now: float) -> list[Output]:
        """The same token: the old connection loses the nameplate, which ends when it would."""
        outputs: list[Output] = []
        if nameplate.host != host.number:
            if not self._has_room_for_nameplate(host, owner=nameplate.owner):
                return self._refuse(host, Refusal.FULL, nameplate.digits)
            outputs += self._dethrone(nameplate)
            nameplate.host = host.number
            host.nameplates.add(nameplate.digits)
            host.has_hosted = True
            self._pass_on(nameplate, host.customer)
        life = max(0, round(nameplate.ends - now))
        return [*outputs, (host.number, Allocated(nameplate.digits, life))]

    def _dethrone(self, nameplate: Nameplate) -> list[Output]:
        if nameplate.host is None:
            return []
        old = self._connections[nameplate.host]
        old.nameplates.remove(nameplate.digits)
        outputs = self._end_exchanges(nameplate.exchanges, None)
        return [*outputs, (old.number, Ended(nameplate.digits, Refusal.TAKEN))]

    def _pass_on(self, nameplate: Nameplate, owner: Customer) -> None:
        nameplate.owner.nameplates -= 1
        self._customers.settle(nameplate.owner)
        nameplate.owner = owner
        owner.nameplates += 1
        self._customers.settle(owner)

    def _free(self, host: Connection, signal: Free, now: float) -> list[Output]:
        if signal.reason not in set(Release):
            return self._refuse(host, Refusal.MALFORMED)
        if signal.nameplate not in host.nameplates:
            return self._refuse(host, Refusal.NO_SUCH_NAMEPLATE, signal.nameplate)
        nameplate = self._nameplates[signal.nameplate]
        self._end_nameplate(nameplate, Refusal(signal.reason), now)
        return []

    def _end_nameplate(self, nameplate: Nameplate, how: Refusal, now: float) -> None:
        """Nobody can knock any more; exchanges that are open go on."""
        self._nameplates.end(nameplate, how, now)
        if nameplate.host is not None:
            self._connections[nameplate.host].nameplates.remove(nameplate.digits)
        nameplate.owner.nameplates -= 1
        self._customers.settle(nameplate.owner)

    # Exchanges

    def _knock(self, guest: Connection, signal: Knock, now: float) -> list[Output]:
        digits = signal.nameplate
        if not self._may_guess(guest.customer, now):
            return self._refuse(guest, Refusal.TOO_FAST, digits)
        nameplate = self._nameplates.living(digits)
        if nameplate is None:
            ended = self._nameplates.how_it_ended(digits, now)
            if ended is None:
                guest.customer.strikes.take(now)
            return self._refuse(guest, ended or Refusal.NO_SUCH_NAMEPLATE, digits)
        if nameplate.host == guest.number:
            return self._refuse(guest, Refusal.NO_SUCH_NAMEPLATE, digits)
        if nameplate.host is None:
            return self._refuse(guest, Refusal.HOST_AWAY, digits)
        if not self._exchanges.has_room(guest, nameplate):
            return self._refuse(guest, Refusal.FULL, digits)
        host = self._connections[nameplate.host]
        exchange = self._exchanges.open(host, guest, nameplate, now)
        opened = Opened(exchange.number, exchange.mailbox, digits)
        return [(host.number, opened), (guest.number, opened)]

    def _post(self, sender: Connection, signal: Post, now: float) -> list[Output]:
        if signal.exchange not in sender.exchanges:
            return []  # closed while this was on its way, or never its own
        other = self._exchanges[signal.exchange].other(sender)
        return [(other.number, Posted(signal.exchange, signal.body))]

    def _close(self, sender: Connection, signal: Close, now: float) -> list[Output]:
        if signal.exchange not in sender.exchanges:
            return []
        return self._end_exchange(self._exchanges[signal.exchange], sender)

    def _end_exchange(self, exchange: Exchange, closer: Connection | None) -> list[Output]:
        """Its ends are told, except the one who closed it."""
        self._exchanges.end(exchange)
        ends = (exchange.host, exchange.guest)
        return [(end.number, Closed(exchange.number)) for end in ends if end is not closer]

    def _end_exchanges(self, numbers: set[int], closer: Connection | None) -> list[Output]:
        outputs: list[Output] = []
        for number in tuple(numbers):
            outputs += self._end_exchange(self._exchanges[number], closer)
        return outputs

    # Mailboxes

    def _attach(self, member: Connection, signal: Attach, now: float) -> list[Output]:
        attached = self._mailboxes.attach(member, signal.mailbox)
        return [] if attached else self._refuse(member, Refusal.FULL)

    def _detach(self, member: Connection, signal: Detach, now: float) -> list[Output]:
        self._mailboxes.detach(member, signal.mailbox)
        return []

    def _drop(self, sender: Connection, signal: Drop, now: float) -> list[Output]:
        dropped = Dropped(signal.mailbox, signal.body)
        return [(one.number, dropped) for one in self._mailboxes.others(sender, signal.mailbox)]

    # Relays

    def _grant(self, host: Connection, signal: AskGrants, now: float, unix: float) -> list[Output]:
        """A nameplate alone gives nothing: its host asks for whom it has admitted."""
        if self.secret is None or not host.has_hosted:
            return self._refuse(host, Refusal.NO_GRANTS)
        if not host.customer.grants.take(now, len(signal.slots)):
            return self._refuse(host, Refusal.TOO_FAST)
        return [(host.number, sign(self.secret, signal, self._limits.grant_rate, unix))]

    # Limits

    def _refuse(self, who: Connection, why: Refusal, digits: str = "") -> list[Output]:
        self._refusals[why] += 1
        return [(who.number, Refused(why, digits))]

    def _may_guess(self, customer: Customer, now: float) -> bool:
        """One who has struck out learns nothing, not even that nobody is there."""
        return customer.guesses.take(now) and customer.strikes.has(now)

    def _whether_to_admit(self, customer: Customer, now: float) -> Refusal | None:
        if not customer.connects.take(now):
            return Refusal.TOO_FAST
        limits = self._limits
        fits = (
            len(self._connections) < limits.connections
            and customer.connections < limits.connections_per_customer
        )
        return None if fits else Refusal.FULL

    def _has_room_for_nameplate(self, host: Connection, owner: Customer | None = None) -> bool:
        """Whether one more fits; one taken over from ``owner`` is counted already."""
        limits = self._limits
        return (
            len(host.nameplates) < limits.nameplates_per_connection
            and (owner is not None or len(self._nameplates) < limits.nameplates)
            and (
                owner is host.customer or host.customer.nameplates < limits.nameplates_per_customer
            )
        )


_Rule = Callable[[Rooms, Connection, Any, float], list[Output]]

_RULES: dict[type[Record], _Rule] = {
    Allocate: Rooms._allocate,
    Knock: Rooms._knock,
    Post: Rooms._post,
    Close: Rooms._close,
    Free: Rooms._free,
    Attach: Rooms._attach,
    Detach: Rooms._detach,
    Drop: Rooms._drop,
}
