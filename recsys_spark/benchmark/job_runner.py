"""Jobs run for a measure, with their own tables and generated Last.fm 360K files."""

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import DataFrame

from recsys_spark.benchmark.comparison import Bench
from recsys_spark.config.load import config_from
from recsys_spark.config.model import BaseConfig
from recsys_spark.config.sample import SIZES, SampleFormat, SampleSettings
from recsys_spark.pipeline.steps import run_job
from recsys_spark.sample.generator import generate
from recsys_spark.storage.tables import Tables

__all__ = ["JobRunner", "play_files", "write_plays"]

FORMAT: SampleFormat = "lastfm_360k"
MIN_USERS = 200
MIN_ITEMS = 400


@dataclass(frozen=True)
class JobRunner:
    """Jobs that read raw files from `raw` and keep their tables below `folder`."""

    bench: Bench
    folder: Path
    raw: Path

    def run(self, job: str, **flags: str) -> float:
        """Run a job and return its seconds; the argument `model__kind` sets model.kind."""
        config = self._config(flags)
        started = time.perf_counter()
        run_job(self.bench.spark, job, config)
        return time.perf_counter() - started

    def table(self, name: str) -> DataFrame:
        """Return the current rows of a table."""
        return Tables(self.bench.spark, self._config({}), "benchmark", "benchmark").read(name)

    def remove(self) -> None:
        """Delete the tables; the raw files stay."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _config(self, flags: Mapping[str, str]) -> BaseConfig:
        given: dict[str, object] = {"tables.root": self.folder, "source.format": FORMAT, "source.path": self.raw}
        given |= {"run.seed": self.bench.seed, "run.log_level": "warning"}
        given |= {name.replace("__", "."): value for name, value in flags.items()}
        return config_from(given)


def write_plays(bench: Bench, folder: Path, share: float, seed: int) -> str:
    """Write raw files with a `share` of the users of Last.fm 360K; return their size as text.

    Items follow the scale of the benchmark.
    """
    full = SIZES[FORMAT]
    users = max(MIN_USERS, round(full.users * share))
    items = max(MIN_ITEMS, round(full.items * bench.scale))
    settings = SampleSettings(format=FORMAT, users=users, items=items)
    counts = generate(bench.spark, settings, seed, folder)
    return f"{counts['rows']:,} rows, {users:,} users, {items:,} items"


def play_files(raw: Path) -> list[Path]:
    """Return the files of plays below a folder of raw files."""
    return sorted(file for file in raw.rglob("*plays*/*") if file.is_file() and not file.name.startswith(("_", ".")))
