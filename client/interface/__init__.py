"""The JSON interface: orders in, events out, and whoever speaks it."""
