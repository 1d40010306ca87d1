"""The number of replicas for a traffic, by the real scheduler and store in virtual time."""
