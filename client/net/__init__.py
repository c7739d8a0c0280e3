"""The edges to the network: the roads that carry bytes, QUIC, the mailbox, ML-KEM.

Nothing here seals or trusts: what these edges carry is sealed above them.
"""
