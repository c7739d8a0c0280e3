"""Doubles: the edges of the world, played by small objects."""
