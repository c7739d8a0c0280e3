"""Tests: house rules, one folder per room, whole calls, laboratory, fuzz, bench."""
