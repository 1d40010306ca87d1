"""Values that the examples in /openapi.json share."""

import base64

import numpy as np

from models.files.pictures import encode_png

# A black image of the shipped checkpoint `digits`.
BLACK_DIGIT = base64.b64encode(encode_png(np.zeros((8, 8, 1), np.uint8), 17)).decode()
