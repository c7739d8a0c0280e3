"""The client: command line, engine, async API and faces.

The version stands here and nowhere else; ``pyproject.toml`` reads it from this
line, so that ``vchat --version`` needs no look at installed metadata.
"""

__version__ = "0.1.0"
