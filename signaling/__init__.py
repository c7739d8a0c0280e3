"""The signaling server: nameplates and mailboxes of bytes that it cannot read."""
