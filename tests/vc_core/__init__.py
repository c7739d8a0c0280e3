"""Tests of the pure laws."""
