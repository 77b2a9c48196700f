"""What surrounds MLlib's ALS in the job that trains it."""

import time

from recsys_spark.benchmark.measure import Bench, Line, take_turns
from recsys_spark.benchmark.spine import Spine, write_plays
from recsys_spark.models.als import AlsSettings, als_estimator, als_observations
from recsys_spark.runtime.session import parallelism

__all__ = ["als_job"]


def als_job(bench: Bench) -> Line:
    """The job from interactions to published vectors, against MLlib's fit alone on the same pairs, ready in memory."""
    spine = Spine(bench, bench.folder / "tables", bench.folder / "raw")
    size = write_plays(bench, spine.raw, bench.scale, bench.seed)
    for job in ("ingest_plays", "build_interactions"):
        spine.run(job)
    settings, blocks = AlsSettings(), parallelism(bench.spark)
    observations = als_observations(spine.table("interactions"), settings).select("user_idx", "item_idx", "confidence")
    ready = observations.repartition(blocks, "user_idx").persist()
    n_pairs, seeds = ready.count(), iter(range(bench.seed, bench.seed + bench.repeats))

    def ours() -> float:
        # Another seed is another version: what is trained already would not be trained again.
        return spine.run("train_spark_model", model__kind="als", run__seed=str(next(seeds)))

    def reference() -> float:
        started = time.perf_counter()
        model = als_estimator(settings, bench.seed, blocks).fit(ready)
        for factors in (model.userFactors, model.itemFactors):
            factors.count()
        return time.perf_counter() - started

    seconds = take_turns(bench.repeats, ours, reference)
    ready.unpersist()
    spine.remove()
    more = {
        "threads": blocks,
        "pairs": n_pairs,
        "rank": settings.rank,
        "fit_seconds_a_pass": seconds[1] / settings.max_iter,
    }
    return Line("als_job", size, seconds[0], "MLlib's fit alone", seconds[1], "<= 1.18", more)
