"""Simulator: a virtual clock, links and NATs, many members in one process."""
