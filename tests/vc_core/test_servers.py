"""Which signal goes to which server, and what a session has to know."""

from __future__ import annotations

from vc_core.servers import MAX_KNOWN, Change, Servers
from vc_core.signals import Allocate, Attach, Detach, Drop

NAME = bytes(32)


def test_codes_go_to_the_newest_server_and_mailboxes_to_all() -> None:
    servers = Servers("old")
    servers.connected("old")
    servers.add("new")
    servers.connected("new")
    assert servers.route(Allocate("", bytes(16), 0)) == ["new"]
    assert set(servers.route(Drop(NAME, b"x"))) == {"old", "new"}


def test_a_server_that_comes_later_hears_of_all_mailboxes() -> None:
    servers = Servers("old")
    servers.connected("old")
    servers.route(Attach(NAME))
    servers.route(Attach(bytes([1]) * 32))
    servers.route(Detach(NAME))
    servers.add("new")
    assert servers.connected("new")[0] == [Attach(bytes([1]) * 32)]


def test_a_session_hears_only_of_what_changes_for_it() -> None:
    servers = Servers("old")
    assert servers.connected("old")[1] is Change.BACK
    servers.add("new")
    assert servers.primary == "old"
    assert servers.connected("new")[1] is Change.OTHER
    assert servers.lost("old") is Change.NONE
    assert servers.connected("old")[1] is Change.NONE
    assert servers.lost("new") is Change.OTHER
    assert servers.lost("old") is Change.LOST
    assert servers.route(Drop(NAME, b"x")) == []


def test_the_first_server_is_never_given_up() -> None:
    servers = Servers("first")
    given_up = [over for number in range(9) for over in servers.add(f"{number}")]
    assert servers.known[-1] == "first" and len(servers.known) == MAX_KNOWN
    assert given_up == [f"{number}" for number in range(6)]
