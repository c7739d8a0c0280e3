"""The way of a voice: the thinking half is pure, the device half holds the hardware."""
