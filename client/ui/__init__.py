"""The faces in a terminal: pure model and slash commands, then the screen."""
