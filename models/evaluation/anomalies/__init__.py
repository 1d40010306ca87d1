"""How well verdicts tell abnormal images from normal ones."""
