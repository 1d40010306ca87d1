"""MULAN diffusion models: their mathematics in torch, without HTTP and without Redis."""
