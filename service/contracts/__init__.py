"""The wire: what requests and answers are made of, a noun a file. Torch-free."""
