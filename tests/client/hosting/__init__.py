"""What a host has besides its room."""
