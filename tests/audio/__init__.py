"""Tests of the way of a voice."""
