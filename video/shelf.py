"""What can be shared here: screens and cameras, as a SPEC names them. Blocks."""

from __future__ import annotations

from vc_core.record import record
from video.picture import Size
from video.unavailable import PictureUnavailable


@record(slots=True)
class Item:
    """One screen or camera."""

    spec: str
    """What to share it by."""
    name: str
    """As the system calls it; not yet cleaned for a terminal."""
    size: Size | None
    """Pixels, where that is known without opening it."""
    default: bool


@record(slots=True)
class Shelf:
    """All of one kind."""

    items: tuple[Item, ...]
    hint: str = ""
    """Why there are none, or what is to be known about them."""


def screens() -> Shelf:
    """The monitors; under Wayland the one that the portal asks about."""
    from video import screen

    if screen.is_wayland():
        from video.cast import why_impossible

        if why := why_impossible():
            return Shelf((), why.message)
        item = Item("screen", "the screen that you choose when asked", None, default=True)
        return Shelf((item,), "Wayland: the desktop asks which screen")
    try:
        found = screen.monitors()
    except PictureUnavailable as error:
        return Shelf((), error.message)
    return Shelf(
        tuple(Item(f"screen:{one.number}", one.name, one.size, one.primary) for one in found)
    )


def cameras() -> Shelf:
    """The cameras; the first is the default one."""
    from video import camera

    found = camera.cameras()
    items = (
        Item(f"camera:{one.name}", one.name, None, default=number == 0)
        for number, one in enumerate(found)
    )
    return Shelf(tuple(items), "" if found else "no camera found")


def main(what: str) -> None:
    """Write what can be shared as records: ``python -m video.shelf screens``."""
    import os
    import sys

    from video.pipe import write_words

    stdout = os.dup(1)
    os.dup2(2, 1)  # what a library prints is no record
    found = {"screens": screens, "cameras": cameras}[what]()
    for item in found.items:
        size = f", {item.size.width}x{item.size.height}" if item.size is not None else ""
        os.write(stdout, write_words({"source": item.spec, "about": f"{item.name}{size}"}))
    sys.stdout.flush()
    os._exit(0)  # a driver that hangs must not keep us


if __name__ == "__main__":
    import sys

    main(sys.argv[1])
