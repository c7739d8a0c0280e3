"""``window``: pictures on a display by SDL2, with a small line of rate, size and delay.

    F, F11, double click   full screen, or back        I   the line, or none
    Q, Esc                 close (Esc leaves full screen first)

The three planes of a picture go to the graphics card as they left the decoder; it
makes colours of them and scales. The shape is kept, whatever the shape of the window.
"""

from __future__ import annotations

import ctypes
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from video.pipe import FrameRecord, SoundRecord
from video.sink import ClosedError, Shown, UnusableError

if TYPE_CHECKING:
    from av import VideoFrame

# Implementation
PATIENCE = (0.012, 0.06)
"""s between two looks at keys and mouse: while somebody uses them, and after a while."""
SHARE = 0.8  # of the display that a new window takes at most
LEAST = (160, 90)  # pixels of the window
LINE_ALPHA = 170
LETTER = 8  # pixels of a letter of the line, before it is enlarged
JPEG_COLOURS, BT601_COLOURS, BT709_COLOURS = 0, 1, 2  # SDL_YUV_CONVERSION_…
BT709, FULL_RANGE = 1, 2  # of FFmpeg's colour spaces and ranges
DRIVERS = b"x11,wayland"
"""Without a display others would show the pictures where nobody sees them."""
Lost = Callable[[], None]


class Window:
    """One window; it appears with the first picture."""

    decodes, opens_files, writes_files = True, True, False

    def __init__(self, title: str, shown: Shown, lost: Lost) -> None:
        """``lost`` is called from within Xlib when the display is gone; it must not return."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says which SDL2 it found
            import sdl2
            from sdl2 import sdlgfx

        self._sdl, self._gfx = sdl2, sdlgfx
        self._title = title or "vchat"
        self._shown = shown
        self.patience = PATIENCE[0]
        self._text = self._figures = ""
        self._lined = True
        self._window: Any = None
        self._renderer: Any = None
        self._texture: Any = None
        self._kind: tuple[int, int, int] = (0, 0, 0)
        self._event = sdl2.SDL_Event()
        if not has_display(os.environ, sys.platform):
            raise _no_display("there is no display")
        if sys.platform == "linux" and not os.environ.get("SDL_VIDEODRIVER"):
            sdl2.SDL_SetHint(b"SDL_VIDEODRIVER", DRIVERS)
        sdl2.SDL_SetHint(sdl2.SDL_HINT_NO_SIGNAL_HANDLERS, b"1")
        sdl2.SDL_SetHint(sdl2.SDL_HINT_RENDER_SCALE_QUALITY, b"1")
        sdl2.SDL_SetHint(b"SDL_APP_NAME", b"vchat")
        for name in ("SDL_VIDEO_X11_WMCLASS", "SDL_VIDEO_WAYLAND_WMCLASS"):
            os.environ.setdefault(name, "vchat")  # no hints: SDL reads the environment alone
        if sdl2.SDL_InitSubSystem(sdl2.SDL_INIT_VIDEO):
            raise _no_display(sdl2.SDL_GetError().decode(errors="replace"))
        self._watch_display(lost)

    def unit(self, frame: FrameRecord) -> bool:
        """Only pictures count."""
        return True

    def sound(self, sound: SoundRecord) -> None:
        """The engine plays it."""

    def picture(self, picture: VideoFrame, frame: FrameRecord) -> None:
        """Up to the card, and onto the display."""
        if picture.format.name not in ("yuv420p", "yuvj420p"):
            picture = picture.reformat(format="yuv420p")
        self._make_room(picture)
        pointer = ctypes.POINTER(ctypes.c_uint8)
        planes: list[Any] = []
        for plane in picture.planes:
            planes += [ctypes.cast(plane.buffer_ptr, pointer), plane.line_size]
        self._sdl.SDL_UpdateYUVTexture(self._texture, None, *planes)
        self._draw()
        self._shown(frame)

    def turn(self) -> None:
        """Keys, mouse, the window's own buttons."""
        changed = False
        self.patience = min(PATIENCE[1], 1.1 * self.patience)
        while self._sdl.SDL_PollEvent(ctypes.byref(self._event)):
            self.patience = PATIENCE[0]
            changed = self._handle(self._event) or changed
        if changed:
            self._draw()

    def overlay(self, text: str) -> None:
        """Before the figures in the line."""
        self._text = text

    def report(self, shown: dict[str, Any]) -> None:
        """The line once a second."""
        width, height, _ = self._kind
        ages = shown["latency_ms"]["shown"]
        delay = f"  {ages['p50']:.0f} ms" if ages else ""
        figures = f"{width}x{height}  {shown['fps']:.0f} fps{delay}"
        if figures != self._figures:
            self._figures = figures
            self._draw()

    def close(self) -> None:
        """Away with it."""
        for destroy, what in (
            (self._sdl.SDL_DestroyTexture, self._texture),
            (self._sdl.SDL_DestroyRenderer, self._renderer),
            (self._sdl.SDL_DestroyWindow, self._window),
        ):
            if what is not None:
                destroy(what)
        self._sdl.SDL_QuitSubSystem(self._sdl.SDL_INIT_VIDEO)

    # ---- The window ------------------------------------------------------------------

    def _make_room(self, picture: VideoFrame) -> None:
        """Window, renderer and texture for pictures of this size and these colours."""
        sdl = self._sdl
        kind = (picture.width, picture.height, _conversion(picture))
        if kind == self._kind:
            return
        if self._window is None:
            self._open(picture.width, picture.height)
        if self._texture is not None:
            sdl.SDL_DestroyTexture(self._texture)
        sdl.SDL_SetYUVConversionMode(kind[2])
        streaming = sdl.SDL_TEXTUREACCESS_STREAMING
        self._texture = sdl.SDL_CreateTexture(
            self._renderer, sdl.SDL_PIXELFORMAT_IYUV, streaming, kind[0], kind[1]
        )
        if not self._texture:
            raise _no_display(sdl.SDL_GetError().decode(errors="replace"))
        self._kind = kind

    def _open(self, width: int, height: int) -> None:
        sdl = self._sdl
        bounds = sdl.SDL_Rect()
        sdl.SDL_GetDisplayUsableBounds(0, ctypes.byref(bounds))
        room = (bounds.w or width, bounds.h or height)
        scale = min(1.0, SHARE * room[0] / width, SHARE * room[1] / height)
        size = (max(LEAST[0], int(width * scale)), max(LEAST[1], int(height * scale)))
        centre = sdl.SDL_WINDOWPOS_CENTERED
        flags = sdl.SDL_WINDOW_RESIZABLE | sdl.SDL_WINDOW_ALLOW_HIGHDPI
        self._window = sdl.SDL_CreateWindow(self._title.encode(), centre, centre, *size, flags)
        if self._window:
            self._renderer = sdl.SDL_CreateRenderer(self._window, -1, 0)
        if not self._window or not self._renderer:
            raise _no_display(sdl.SDL_GetError().decode(errors="replace"))
        sdl.SDL_SetWindowMinimumSize(self._window, *LEAST)

    def _draw(self) -> None:
        sdl, renderer = self._sdl, self._renderer
        if self._texture is None:
            return
        width, height = ctypes.c_int(), ctypes.c_int()
        sdl.SDL_GetRendererOutputSize(renderer, ctypes.byref(width), ctypes.byref(height))
        place = sdl.SDL_Rect(*fitted(self._kind[:2], (width.value, height.value)))
        sdl.SDL_SetRenderDrawColor(renderer, 0, 0, 0, 255)
        sdl.SDL_RenderClear(renderer)
        sdl.SDL_RenderCopy(renderer, self._texture, None, ctypes.byref(place))
        if self._lined:
            self._draw_line(max(1, height.value // 400))
        sdl.SDL_RenderPresent(renderer)

    def _draw_line(self, scale: int) -> None:
        sdl, renderer = self._sdl, self._renderer
        line = "  ".join(part for part in (self._text, self._figures) if part)
        letters = line.encode("latin-1", "replace")[:100]
        if not letters:
            return
        sdl.SDL_RenderSetScale(renderer, scale, scale)
        sdl.SDL_SetRenderDrawBlendMode(renderer, sdl.SDL_BLENDMODE_BLEND)
        sdl.SDL_SetRenderDrawColor(renderer, 0, 0, 0, LINE_ALPHA)
        box = sdl.SDL_Rect(4, 4, LETTER * len(letters) + LETTER, 2 * LETTER)
        sdl.SDL_RenderFillRect(renderer, ctypes.byref(box))
        self._gfx.stringRGBA(renderer, 4 + LETTER // 2, 4 + LETTER // 2, letters, *(255,) * 4)
        sdl.SDL_RenderSetScale(renderer, 1, 1)

    # ---- Keys ------------------------------------------------------------------------

    def _handle(self, event: Any) -> bool:
        """Whether to draw again."""
        sdl = self._sdl
        if event.type == sdl.SDL_QUIT:
            raise ClosedError("window")
        if event.type == sdl.SDL_WINDOWEVENT:
            return True
        if event.type == sdl.SDL_MOUSEBUTTONDOWN and event.button.clicks == 2:
            return self._full_screen(not self._is_full())
        if event.type == sdl.SDL_KEYDOWN and not event.key.repeat:
            key = self._KEYS.get(event.key.keysym.sym)
            return key(self) if key else False
        return False

    def _is_full(self) -> bool:
        sdl = self._sdl
        return bool(sdl.SDL_GetWindowFlags(self._window) & sdl.SDL_WINDOW_FULLSCREEN)

    def _full_screen(self, on: bool) -> bool:
        sdl = self._sdl
        if self._window is not None:
            sdl.SDL_SetWindowFullscreen(
                self._window, sdl.SDL_WINDOW_FULLSCREEN_DESKTOP if on else 0
            )
            sdl.SDL_ShowCursor(0 if on else 1)
        return True

    def _line(self) -> bool:
        self._lined = not self._lined
        return True

    def _leave(self) -> bool:
        if self._window is not None and self._is_full():
            return self._full_screen(False)
        raise ClosedError("window")

    def _quit(self) -> bool:
        raise ClosedError("window")

    _KEYS: Mapping[int, Callable[[Window], bool]] = {
        ord("f"): lambda self: self._full_screen(not self._is_full()),
        (1 << 30) | 68: lambda self: self._full_screen(not self._is_full()),  # F11
        ord("i"): _line,
        ord("q"): _quit,
        27: _leave,
    }
    """By SDL's key codes."""

    def _watch_display(self, lost: Lost) -> None:
        """Xlib ends the process when its display is gone; first we say why."""
        if sys.platform != "linux" or self._sdl.SDL_GetCurrentVideoDriver() != b"x11":
            return
        handler = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)

        def handle(_display: int | None) -> int:
            lost()
            return 0

        self._lost = handler(handle)
        ctypes.CDLL("libX11.so.6").XSetIOErrorHandler(self._lost)


def fitted(picture: tuple[int, int], room: tuple[int, int]) -> tuple[int, int, int, int]:
    """The largest place of the picture's shape in the middle: (x, y, width, height)."""
    scale = min(room[0] / picture[0], room[1] / picture[1])
    width, height = max(1, round(picture[0] * scale)), max(1, round(picture[1] * scale))
    return (room[0] - width) // 2, (room[1] - height) // 2, width, height


def has_display(environment: Mapping[str, str], platform: str) -> bool:
    """Whether a window can be had at all."""
    if platform in ("win32", "darwin"):
        return True
    return bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def _conversion(picture: VideoFrame) -> int:
    """How its colours were made; what says nothing is BT.601, as scalers make it."""
    if picture.color_range == FULL_RANGE or picture.format.name == "yuvj420p":
        return JPEG_COLOURS
    return BT709_COLOURS if picture.colorspace == BT709 else BT601_COLOURS


def _no_display(why: str) -> UnusableError:
    message = f"no window can be opened: {why}"
    return UnusableError("no-display", message, "try: /watch NAME terminal")
