"""The relay: it copies sealed packets between slots and cannot open them."""
