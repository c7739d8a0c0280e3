"""The JSON interface, and who speaks it."""
