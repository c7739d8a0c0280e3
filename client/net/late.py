"""Modules that libraries import and a call never uses: loaded when something asks for them.

    aioice.mdns         resolves names of candidates, with dnspython; ours are addresses
    OpenSSL             judges chains of certificates for aioquic; members know each other's
    service_identity    keys (``quic_connection``) and have none

Together they take a seventh of the CPU that an engine needs to start. Who asks one of
the stand-ins for anything gets the real module, in this program or around it.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType


class Late(ModuleType):
    """Stands for a module until it is asked for something that it does not know."""

    def __init__(self, name: str, **known: object) -> None:
        super().__init__(name)
        vars(self).update(known)
        self._real: ModuleType | None = None

    def __getattr__(self, name: str) -> object:
        if self._real is None:
            if name in {"__file__", "__wrapped__"}:  # asked for by who only looks
                raise AttributeError(name)
            if sys.modules.get(self.__name__) is self:
                del sys.modules[self.__name__]
            self._real = import_module(self.__name__)
        return getattr(self._real, name)


def _is_name(host: str) -> bool:
    """What ``aioice.mdns`` says of the host of a candidate."""
    return host.endswith(".local")


def stand_in() -> None:
    """For those modules that are not there yet; before aioice and aioquic are imported."""
    mdns = Late("aioice.mdns", MDnsProtocol=object, is_mdns_hostname=_is_name)
    sys.modules.setdefault("aioice.mdns", mdns)
    _stand_in_for("OpenSSL", crypto=Late("OpenSSL.crypto"))
    _stand_in_for("service_identity")


def _stand_in_for(package: str, **known: object) -> None:
    """Who only asks whether it is installed, or imports a part of it, need not load it."""
    spec = None if package in sys.modules else find_spec(package)
    if spec is not None:
        path = spec.submodule_search_locations
        sys.modules[package] = Late(package, __spec__=spec, __path__=path, **known)
