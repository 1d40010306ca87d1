"""The separation of abnormal images from normal ones by a checkpoint's verdicts."""
