"""The choice of a checkpoint's presets, offline."""
