"""Whole stories: calls between real processes."""
