"""All that is claimed about GPUs, measured by one command."""
