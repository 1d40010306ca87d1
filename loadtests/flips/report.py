"""The tables of a run."""

import statistics
from collections import Counter
from collections.abc import Sequence

import httpx
from prometheus_client.parser import text_string_to_metric_families

from loadtests.flips.checkpoints import TIMEOUT_S, Flip
from loadtests.flips.clients import Tally

TICKS = "mulan_engine_tick_seconds"


def ticks(metrics: str) -> Counter[float]:
    """Return the ticks so far of the worker at this address, by the upper bound of their bucket."""
    text = httpx.get(f"{metrics}/metrics", timeout=TIMEOUT_S).text
    found: Counter[float] = Counter()
    before = 0.0
    for family in text_string_to_metric_families(text):
        for sample in family.samples if family.name == TICKS else ():
            if sample.name.endswith("_bucket"):
                found[float(sample.labels["le"])] = round(sample.value - before)
                before = sample.value
    return found


def longest(found: Counter[float]) -> str:
    """Return where the longest of some ticks lie."""
    total, so_far, within = found.total(), 0, dict[float, float]()
    for bound, count in sorted(found.items()):
        so_far += count
        for share in (0.5, 0.99, 1):
            if so_far >= share * total:
                within.setdefault(share, 1000 * bound)
    parts = (f"{100 * share:g} % within {bound:g} ms" for share, bound in within.items())
    return f"{total} ticks, {', '.join(parts)}"


def tell(tally: Tally, flips: Sequence[Flip], seconds: float) -> None:
    """Print the table of one run."""
    print(f"{tally.requests} requests in {seconds:.0f} s, {len(flips)} flips")
    print(f"failed or other than the named checkpoint's: {len(tally.wrong)}")
    for line, count in Counter(line[:80] for line in tally.wrong).most_common(10):
        print(f"    {count} times {line}")
    for checkpoint, count in tally.named.most_common():
        print(f"answered by {checkpoint:.12}: {count}")
    took = sorted(flip.seconds for flip in flips)
    print(f"a flip took {statistics.median(took):.1f} s, at most {took[-1]:.1f} s")
    during, rest = list[float](), list[float]()
    for began, ended in tally.short:
        inside = any(flip.began < ended and began < flip.ended for flip in flips)
        (during if inside else rest).append(ended - began)
    for when, times in (("during a flip", during), ("else", rest)):
        if len(times) > 1:
            cuts = [1000 * cut for cut in statistics.quantiles(times, n=100)]
            print(
                f"short requests {when}: {len(times)}, median {cuts[49]:.0f} ms, "
                f"99 % within {cuts[98]:.0f} ms, all within {max(times):.2f} s"
            )
