"""The network edges, alone and in pairs."""
