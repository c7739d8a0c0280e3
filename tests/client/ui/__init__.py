"""Tests of the faces' thinking and of the screen."""
