"""What chooses a checkpoint's presets, offline."""
