"""Images on the wire and tokens inside: PNG and .npy, read and judged.

A PNG carries round(255 v / (V - 1)) for token v, a .npy the tokens themselves, `[N, H, W, C]`.
Photographs, for checkpoints with preprocessing, become tiles of tokens by their rule.
Sizes are read from headers and judged before anything is inflated or allocated.
"""
