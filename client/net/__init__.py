"""The roads between members: carriers, the mailbox, QUIC on top of a road."""
