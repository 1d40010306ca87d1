"""The pair of orders 5 and 4 of Dormand and Prince (J. Comput. Appl. Math. 6, 1980), as data.

The last stage is taken at the new solution itself, so it serves as the first of the next step.
"""

STAGES = 7
ORDER = 5

NODES = (0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1, 1)
WEIGHTS = (
    (0, 0, 0, 0, 0, 0, 0),
    (1 / 5, 0, 0, 0, 0, 0, 0),
    (3 / 40, 9 / 40, 0, 0, 0, 0, 0),
    (44 / 45, -56 / 15, 32 / 9, 0, 0, 0, 0),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729, 0, 0, 0),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656, 0, 0),
    (35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0),
)
"""What each stage adds up; the last row is the solution of order 5."""

ERROR = (71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
"""The solution of order 5 less that of order 4."""

QUINTIC = (5 / 1152, -125 / 4464, 100 / 3339, -25 / 576, 10935 / 210304, 0, -5 / 336)
"""The leading error of the solution of order 5 where the slope depends on time alone: its error at
c^5, which is -1/5400, times the divided difference of order 5 over the six nodes."""

ROUGHNESS = 10
"""By how much ERROR and QUINTIC understate a slope that is unrelated from stage to stage: the norm
of the solution's weights, 0.87, over theirs, 0.07 and 0.08."""
