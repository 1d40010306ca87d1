"""Numbers and names that evaluations start from, and that the commands' help shows.

They stand apart so that help needs neither torch nor the optional packages.
"""

# Images that a card measures by the ELBO, and how many of those by the ODE.
CARD_IMAGES, CARD_ODE_IMAGES = 1000, 64
# The share of normal images that verdicts may flag.
ALPHA = 0.05
# Tolerance in nats of the solution that errors of ODE solvers are measured from.
REFERENCE_TOLERANCE = 1e-3
# Measured steps are so many on the whole way at the default tolerance, or more. Fewer evaluations
# would leave more noise of the trace.
LEAST_STEPS = 72
# The solvers of the ODE that are measured; the last one is the official code's.
IN_T_SHORT = "in-t"
ODE_SOLVERS = ("adams", "rk45", IN_T_SHORT)
# The mixtures of the study of samplers, and the network evaluations that each sampler may spend.
MIXTURES = ("10-D, 6 modes", "10-D, rare modes", "2-D, 6 modes", "2-D, 12 narrow modes")
BUDGETS = (10, 20, 30, 60, 100)
