"""``python -m client``: the same as ``vchat``."""

from __future__ import annotations

import sys

from client.start import main

if __name__ == "__main__":
    sys.exit(main())
