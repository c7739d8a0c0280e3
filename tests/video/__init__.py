"""Tests of the way of a picture."""
