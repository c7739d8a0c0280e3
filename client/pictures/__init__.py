"""Pictures of a call in the engine: what we show and what we see; ``hub`` joins both."""
