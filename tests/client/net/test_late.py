"""What libraries import and nobody uses is not loaded; who asks for it gets the real thing."""

from __future__ import annotations

import subprocess
import sys

ROADS = """
import sys
from client.preload import preload
preload()
heavy = "dns", "OpenSSL.crypto", "service_identity.exceptions"
print([name for name in heavy if name in sys.modules])
"""

OTHERS = """
from client.net import late
late.stand_in()
import aioice.ice, aioquic.tls
print(aioice.ice.mdns.create_mdns_hostname().endswith(".local"))
from importlib.util import find_spec
print(find_spec("OpenSSL") is not None, find_spec("service_identity") is not None)
import OpenSSL.SSL, service_identity
from aioice import mdns
print(mdns.is_mdns_hostname("a.local"), mdns.__file__.endswith("mdns.py"))
print(aioquic.tls.crypto.X509Store is OpenSSL.crypto.X509Store)
print(issubclass(service_identity.VerificationError, Exception))
"""


def said(program: str) -> list[str]:
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_roads_do_not_load_what_they_never_use() -> None:
    assert said(ROADS) == ["[]"]


def test_whoever_asks_gets_the_real_modules() -> None:
    assert said(OTHERS) == ["True", "True True", "True True", "True", "True"]
