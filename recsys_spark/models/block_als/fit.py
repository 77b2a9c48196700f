"""Distributed fit of ALS on CSR blocks: jobs of Spark around the passes.

Blocks, factors and checkpoints lie below one folder, which the driver and all executors share. Nothing that grows with
users, items or plays reaches the driver, and no Spark context is used.
"""

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.core.atomic_files import write_json
from recsys_spark.core.logs import step
from recsys_spark.models.block_als.csr_blocks import SIDES, Side, block_of, build_side, read_block
from recsys_spark.models.block_als.factor_files import BlockResult, Factors, read_factors
from recsys_spark.models.block_als.tasks import GivenStart, Task
from recsys_spark.models.block_als.training import Passes, Runner, Start, run_passes
from recsys_spark.ranking.matrix_frames import vectors_to_arrow

__all__ = ["BlockFit", "fit_blocks", "start_from", "task_runner"]

RESULT = "block INT, loss DOUBLE, penalty DOUBLE, seconds DOUBLE, problem STRING"
SUMS = ("loss", "penalty", "seconds")
RESULT_TYPE = pa.schema([("block", pa.int32()), *((name, pa.float64()) for name in SUMS), ("problem", pa.string())])
SETUP = "setup.json"
COLUMNS = {"users": "user_idx", "items": "item_idx"}
# Rows of one batch to Spark.
BATCH_ROWS = 4096


@dataclass(frozen=True)
class BlockFit:
    """Vectors of a fit, and the objective and seconds of each pass.

    Vectors are read from the folder of the fit when they are used. user_vectors has (user_idx INT, vector
    ARRAY<FLOAT>), item_vectors (item_idx INT, vector). Rows exist for the users and items of the observations only.
    """

    user_vectors: DataFrame
    item_vectors: DataFrame
    n_observations: int
    objectives: tuple[float, ...]
    seconds: tuple[float, ...]
    set_up_seconds: float


def fit_blocks(
    observations: DataFrame, folder: Path, n_blocks: int, passes: Passes, key: Mapping[str, Any]
) -> BlockFit | None:
    """Train on `observations` (user_idx INT, item_idx INT, confidence FLOAT; one row a pair); None without any.

    `folder` keeps the blocks and a checkpoint. A later call with the same key, number of blocks and data goes on from
    there, and one with another key starts again. Equal input and number of blocks give equal bytes.
    """
    spark = observations.sparkSession
    key, started = {**key, "blocks": n_blocks}, time.monotonic()
    sides = _read_sides(folder, key) or _build_sides(observations, folder, n_blocks, key)
    if sides is None:
        return None
    set_up = time.monotonic() - started
    done = run_passes(sides["users"], sides["items"], folder, passes, task_runner(spark))
    assert done.items is not None
    return BlockFit(
        _vectors(spark, sides["users"], done.users),
        _vectors(spark, sides["items"], done.items),
        sides["users"].n_entries,
        done.objectives,
        done.seconds,
        set_up,
    )


def task_runner(spark: SparkSession) -> Runner:
    """Return a runner whose tasks are tasks of Spark, one a block."""

    def run(task: Task, n_blocks: int) -> list[BlockResult]:
        blocks = spark.range(0, n_blocks, 1, n_blocks)
        rows = blocks.mapInArrow(partial(_run_blocks, task), RESULT).collect()
        return [BlockResult(**row.asDict()) for row in rows]

    return run


def start_from(vectors: Mapping[str, DataFrame], passes: Passes) -> Start:
    """Return a start from given vectors of `users` and `items`; other rows start from zero.

    Frames have user_idx or item_idx INT, and `vector` ARRAY<FLOAT>.
    """

    def start(side: Side, folder: str, n_others: int) -> list[BlockResult]:
        row = F.col(COLUMNS[side.name])
        rows = vectors[side.name].where(row < side.length)
        given = rows.select(block_of(row, side.bounds).alias("block"), row.alias("row"), "vector")
        # A row without a vector for every block, so that blocks without any are written as well.
        every_block = given.sparkSession.range(side.n_blocks).select(
            F.col("id").cast("int").alias("block"),
            F.lit(None).cast("int").alias("row"),
            F.lit(None).cast("array<float>").alias("vector"),
        )
        grouped = given.unionByName(every_block).repartition(side.n_blocks, "block").groupBy("block")
        task = GivenStart(side, n_others, passes.objective, folder, passes.rank)
        return [BlockResult(**r.asDict()) for r in grouped.applyInArrow(partial(_write_start, task), RESULT).collect()]

    return start


def _build_sides(
    observations: DataFrame, folder: Path, n_blocks: int, key: Mapping[str, Any]
) -> dict[str, Side] | None:
    shutil.rmtree(folder, ignore_errors=True)
    # The frame is not persisted, which serverless compute refuses: reading the pairs again takes about as long.
    (largest,) = observations.agg(*(F.max(name).alias(side) for side, name in COLUMNS.items())).collect()
    if largest["users"] is None:
        return None
    sides = {}
    for name in SIDES:
        own = folder / f"csr-{name}"
        own.mkdir(parents=True)
        with step(f"writing the blocks of {name}"):
            sides[name] = build_side(observations, name, own, largest[name] + 1, n_blocks)
    described = {name: {**asdict(side), "folder": Path(side.folder).name} for name, side in sides.items()}
    write_json(folder / SETUP, {"key": dict(key), **described})
    return sides


def _read_sides(folder: Path, key: Mapping[str, Any]) -> dict[str, Side] | None:
    """Return the sides of an earlier call with this key, or None."""
    try:
        setup = json.loads((folder / SETUP).read_text())
    except FileNotFoundError:
        return None
    if setup.pop("key") != json.loads(json.dumps(key)):
        return None
    return {
        name: Side(**{**side, "folder": str(folder / side["folder"]), "bounds": tuple(side["bounds"])})
        for name, side in setup.items()
    }


def _run_blocks(task: Task, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for block in batch["id"].to_pylist():
            yield pa.RecordBatch.from_pylist([asdict(task(block))], RESULT_TYPE)


def _write_start(task: GivenStart, given: pa.Table) -> pa.Table:
    block = given["block"][0].as_py()
    rows = given["row"].drop_null().to_numpy()
    vectors = given["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return pa.Table.from_pylist([asdict(task(block, rows, vectors.reshape(rows.size, -1)))], RESULT_TYPE)


def _vectors(spark: SparkSession, side: Side, factors: Factors) -> DataFrame:
    blocks, name = spark.range(0, side.n_blocks, 1, side.n_blocks), COLUMNS[side.name]
    return blocks.mapInArrow(partial(_read_vectors, side, factors, name), f"{name} INT, vector ARRAY<FLOAT>")


def _read_vectors(
    side: Side, factors: Factors, name: str, batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    basis = factors.basis.T.astype(np.float32)
    for block in (block for batch in batches for block in batch["id"].to_pylist()):
        first, last = side.rows(block)
        stored = read_factors(factors.folder, block, last - first)
        used = np.flatnonzero(np.diff(read_block(side, block).indptr))
        for part in np.split(used, range(BATCH_ROWS, used.size, BATCH_ROWS)):
            yield vectors_to_arrow(name, (part + first).astype(np.int32), stored[part] @ basis)
