"""Jobs run for a measure: in tables of their own, on generated files of the format of Last.fm 360K."""

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import DataFrame

from recsys_spark.benchmark.measure import Bench
from recsys_spark.config.load import config_of
from recsys_spark.config.model import BaseConfig
from recsys_spark.config.sample import SIZES, SampleFormat, SampleSettings
from recsys_spark.pipeline.steps import start_job
from recsys_spark.sample.generator import generate
from recsys_spark.storage.tables import Tables

__all__ = ["Spine", "play_files", "write_plays"]

FORMAT: SampleFormat = "lastfm_360k"
SMALLEST = 200
FEWEST_ITEMS = 400


@dataclass(frozen=True)
class Spine:
    """Tables below `folder`, and the raw files that they are made from."""

    bench: Bench
    folder: Path
    raw: Path

    def run(self, job: str, **flags: str) -> float:
        """Seconds of a job in this session; `model__kind` stands for model.kind."""
        config = self._config(flags)
        started = time.perf_counter()
        start_job(self.bench.spark, job, config)
        return time.perf_counter() - started

    def table(self, name: str) -> DataFrame:
        """A table as the jobs left it."""
        return Tables(self.bench.spark, self._config({}), "benchmark", "benchmark").read(name)

    def remove(self) -> None:
        """Forgets the tables; the raw files stay."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _config(self, flags: Mapping[str, str]) -> BaseConfig:
        given: dict[str, object] = {"tables.root": self.folder, "source.format": FORMAT, "source.path": self.raw}
        given |= {"run.seed": self.bench.seed, "run.log_level": "warning"}
        given |= {name.replace("__", "."): value for name, value in flags.items()}
        return config_of(given)


def write_plays(bench: Bench, folder: Path, share: float, seed: int) -> str:
    """Raw files of `share` of the full users and rows, with items for the measure's scale; says how much they are."""
    full = SIZES[FORMAT]
    users = max(SMALLEST, round(full.users * share))
    items = max(FEWEST_ITEMS, round(full.items * bench.scale))
    settings = SampleSettings(format=FORMAT, users=users, items=items)
    counts = generate(bench.spark, settings, seed, folder)
    return f"{counts['rows']:,} rows, {users:,} users, {items:,} items"


def play_files(raw: Path) -> list[Path]:
    """The files of plays below a folder of raw files."""
    return sorted(file for file in raw.rglob("*plays*/*") if file.is_file() and not file.name.startswith(("_", ".")))
