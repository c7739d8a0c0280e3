"""The way of a picture (a later chapter)."""
