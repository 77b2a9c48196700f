"""How the time of each step grows with the rows: once, twice and four times as many users, the same catalogue."""

from math import log2

from recsys_spark.benchmark.measure import Bench, Line
from recsys_spark.benchmark.spine import Spine, write_plays
from recsys_spark.runtime.session import parallelism

__all__ = ["row_scaling"]

TIMES = (1, 2, 4)
STEPS = ("ingest_plays", "build_interactions", "train_spark_model", "build_item_similarity", "build_recommendations")


def row_scaling(bench: Bench) -> Line:
    """All steps on four times the rows, against four times their seconds on the rows. `exponents`: of the number of
    rows, as the seconds of the smallest and the largest say; 1 is linear, 0 does not depend on it.
    """
    seconds, size = {}, ""
    # The smallest once before it counts: the first run of a session would take the others' warming up upon itself.
    for times in (TIMES[0], *TIMES):
        spine = Spine(bench, bench.folder / f"tables-{times}", bench.folder / f"raw-{times}")
        size = write_plays(bench, spine.raw, bench.scale * times / TIMES[-1], bench.seed)
        seconds[times] = {step: spine.run(step, model__kind="als") for step in STEPS}
        spine.remove()
    least, most = seconds[TIMES[0]], seconds[TIMES[-1]]
    more = {
        "threads": parallelism(bench.spark),
        "exponents": {step: round(log2(most[step] / least[step]) / log2(TIMES[-1]), 2) for step in STEPS},
        "seconds": {step: [round(seconds[times][step], 1) for times in TIMES] for step in STEPS},
    }
    expected = TIMES[-1] * sum(least.values())
    return Line("row_scaling", size, sum(most.values()), "linear in rows", expected, "<= 1", more)
