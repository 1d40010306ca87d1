"""How many replicas a traffic wants: the real scheduler and store in virtual time."""
