"""The number of replicas for a traffic: the real scheduler and store in virtual time."""
