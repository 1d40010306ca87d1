"""A profile of the engine: where the time of a tick goes, and what it asks of the device."""
