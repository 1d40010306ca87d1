"""Actions of the commands. They import torch and, where they need them, optional packages."""
