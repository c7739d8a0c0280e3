"""Test vectors: our own, generated into this folder by ``python -m tests.vectors.make``."""
