"""Names of a checkpoint's graphs, and of what is written in them. Torch-free."""

# The folder of the graphs inside a checkpoint's, and the functions of which there is one.
GRAPHS, SERVED = "graphs", ("score", "score_vjp")
# What the graphs compute and how they are built; a runtime refuses those of another version.
GRAPH_VERSION = 1
# The metadata of a graph: that version, and the configuration of the checkpoint it was made for.
VERSION_KEY, CONFIG_KEY = "mulan.graph_version", "mulan.config"
