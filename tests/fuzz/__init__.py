"""Fuzz targets: every parser against bytes from a stranger."""
