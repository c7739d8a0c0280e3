"""Benchmarks: the figures that we promise, measured."""
