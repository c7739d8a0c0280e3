"""The contract ``reach`` itself: it sees a trespass, however long the way."""

from __future__ import annotations

from grimp import ImportGraph

from tests.rules.reach import expand, trespasses, within


def graph(*edges: tuple[str, str]) -> ImportGraph:
    """A graph of imports drawn by hand."""
    drawn = ImportGraph()
    for importer, imported in edges:
        drawn.add_import(importer=importer, imported=imported)
    return drawn


def test_finds_the_letter_opener_behind_two_harmless_doors() -> None:
    house = graph(("relay.server", "vc_core.signals"), ("vc_core.signals", "vc_core.seal"))
    found = trespasses(house, frozenset({"relay"}), frozenset({"vc_core.signals"}))
    assert found == [("relay.server", "vc_core.signals", "vc_core.seal")]


def test_is_content_when_everything_reached_is_allowed() -> None:
    house = graph(("relay.server", "relay.slots"), ("relay.slots", "struct"))
    assert trespasses(house, frozenset({"relay"}), expand(["@pure"])) == []


def test_ignores_sources_that_do_not_exist_yet() -> None:
    assert trespasses(graph(("a", "b")), frozenset({"later"}), frozenset()) == []


def test_does_not_take_a_longer_name_for_a_member_of_the_package() -> None:
    assert within("audio.pcm", {"audio"})
    assert not within("audiobook", {"audio"})


def test_pure_has_no_clock_no_chance_and_no_world() -> None:
    world = {"asyncio", "datetime", "logging", "os", "pathlib", "random", "secrets", "socket"}
    world |= {"ssl", "subprocess", "sys", "tempfile", "threading", "time", "uuid"}
    assert not world & expand(["@pure"])
