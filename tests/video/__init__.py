"""Tests of ``video``."""
