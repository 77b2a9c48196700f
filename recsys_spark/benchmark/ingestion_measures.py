"""What ingestion costs: beside Spark copying the same text into Parquet unread, and on a day when little is new."""

import shutil
import time
from pathlib import Path

from recsys_spark.benchmark.measure import Bench, Line, take_turns
from recsys_spark.benchmark.spine import Spine, play_files, write_plays
from recsys_spark.runtime.session import parallelism

__all__ = ["ingestion", "ingestion_again"]

NEW_SHARE = 0.01
FIELDS = "user_id STRING, mbid STRING, item_name STRING, play_count BIGINT"


def ingestion(bench: Bench) -> Line:
    """From raw files to plays, users, items and quarantine, every row accounted for; against text to Parquet."""
    raw = bench.folder / "raw"
    size = write_plays(bench, raw, bench.scale, bench.seed)

    def ours() -> float:
        spine = Spine(bench, bench.folder / "tables", raw)
        seconds = spine.run("ingest_plays")
        spine.remove()
        return seconds

    def reference() -> float:
        files, target = [str(file) for file in play_files(raw)], str(bench.folder / "bare")
        started = time.perf_counter()
        text = bench.spark.read.schema(FIELDS).options(sep="\t", quote="").csv(files)
        text.write.mode("overwrite").parquet(target)
        return time.perf_counter() - started

    seconds = take_turns(bench.repeats, ours, reference)
    more = {"threads": parallelism(bench.spark)}
    return Line("ingestion", size, seconds[0], "Spark CSV to Parquet", seconds[1], "<= 2.5", more)


def ingestion_again(bench: Bench) -> Line:
    """A second run with one percent of new rows, against the first."""
    raw, extra = bench.folder / "raw", bench.folder / "extra"
    size = write_plays(bench, raw, bench.scale, bench.seed)
    write_plays(bench, extra, bench.scale * NEW_SHARE, bench.seed + 1)
    spine, arrived = Spine(bench, bench.folder / "tables", raw), play_files(raw)[0].parent

    def first() -> float:
        return spine.run("ingest_plays")

    def second() -> float:
        new = [_delivered(file, arrived) for file in play_files(extra)]
        seconds = spine.run("ingest_plays")
        spine.remove()
        for file in new:
            file.unlink()
        return seconds

    # The first run comes first in every turn.
    earlier, later = take_turns(bench.repeats, first, second)
    more = {"threads": parallelism(bench.spark)}
    return Line("ingestion_again", size, later, "the first run", earlier, "<= 0.1", more)


def _delivered(file: Path, folder: Path) -> Path:
    new = folder / f"later-{file.name}"
    shutil.copyfile(file, new)
    return new
