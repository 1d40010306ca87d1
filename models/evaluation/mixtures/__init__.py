"""The mixture study: samplers on densities whose score is known exactly."""
