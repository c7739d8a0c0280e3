"""What a host needs besides the room: a signaling server, a forwarder, offers to its guests."""
