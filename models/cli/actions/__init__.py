"""The actions of the commands: these import torch and, where they need them, optional packages."""
