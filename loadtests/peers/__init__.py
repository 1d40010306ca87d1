"""The service beside what people would use in its place, in one run.

Every server has the same checkpoint, samplers, runtime and number of threads. Requests come in an
open loop, and their latency counts from the time at which they were meant to be sent.

    python -m loadtests.peers --quick
    python -m loadtests.peers --full --out docs/benchmarks
"""
