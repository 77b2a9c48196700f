"""Shard folders written without Spark, and synthetic plays, for tests of training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from recsys_spark.core.shard_spec import ShardSpec
from recsys_spark.preparation.shards import write_shard_file
from recsys_spark.storage.shard_format import Manifest, ShardFile
from recsys_spark.training.epoch_schedule import derive_seed
from recsys_spark.training.shard_loader import Rows

__all__ = ["Entries", "Tastes", "as_entries", "held_entries", "planted_tastes", "write_folder"]

# Row number -> column -> value, in the order in which the entries of a row are stored.
Entries = Mapping[int, Mapping[int, float]]


def write_folder(
    folder: Path,
    rows: Entries,
    shape: tuple[int, int],
    held: Entries | None = None,
    n_files: int = 3,
    shard_spec: ShardSpec | None = None,
    seed: int = 1,
) -> Manifest:
    """Write a shard folder of `rows`, as write_shards does; `held` are held-out entries of the same rows."""
    folder.mkdir(parents=True)
    places = {row: derive_seed(row, seed) for row in rows}
    files = []
    for number in sorted({place % n_files for place in places.values()}):
        inside = [row for row in rows if places[row] % n_files == number]
        columns: dict[str, Any] = {
            "file": pa.array([number] * len(inside), pa.int32()),
            "row_idx": pa.array(inside, pa.int32()),
            "place": pa.array([places[row] for row in inside], pa.int64()),
            **_lists(rows, inside, ""),
            **({} if held is None else _lists(held, inside, "held_")),
        }
        (written,) = write_shard_file(folder, pa.table(columns)).to_pylist()
        files.append(ShardFile(f"part-{written.pop('file'):05d}.parquet", **written))
    manifest = Manifest(shard_spec or ShardSpec(), *shape, seed, {"made": "by hand"}, tuple(files))
    manifest.write(folder)
    return manifest


def as_entries(rows: Rows) -> dict[int, dict[int, float]]:
    """Return rows in the form that write_folder takes."""
    return _as_entries(rows.numbers, rows.entries)


def held_entries(rows: Rows) -> dict[int, dict[int, float]]:
    """Return the held-out entries of rows in the form that write_folder takes."""
    return _as_entries(rows.numbers, rows.held)


class Tastes(NamedTuple):
    """Plays of two groups of rows with different halves of the columns, and held-out plays."""

    rows: dict[int, dict[int, float]]
    held: dict[int, dict[int, float]]
    shape: tuple[int, int]


def planted_tastes(n_rows: int = 40, n_columns: int = 24, ratings: bool = False) -> Tastes:
    """Build plays in which even rows like even columns, and odd rows odd columns.

    Two liked columns of every row are held out, and half of its other liked columns are in the training data. With
    `ratings` a row also has some columns of the other half, rated 1 instead of 5.
    """
    generator = np.random.default_rng(0)
    rows, held = {}, {}
    for row in range(n_rows):
        liked = generator.permutation(np.arange(row % 2, n_columns, 2)).tolist()
        others = generator.permutation(np.arange(1 - row % 2, n_columns, 2)).tolist()[: n_columns // 4 * ratings]
        training = {column: 5.0 if ratings else 1.0 for column in liked[2 : 2 + n_columns // 4]}
        rows[row] = training | dict.fromkeys(others, 1.0)
        held[row] = dict.fromkeys(liked[:2], 5.0 if ratings else 1.0)
    return Tastes(rows, held, (n_rows, n_columns))


def _lists(rows: Entries, inside: list[int], prefix: str) -> dict[str, pa.Array]:
    return {
        f"{prefix}indices": pa.array([list(rows[row].keys()) for row in inside], pa.list_(pa.int32())),
        f"{prefix}values": pa.array([list(rows[row].values()) for row in inside], pa.list_(pa.float32())),
    }


def _as_entries(numbers: Any, csr: Any) -> dict[int, dict[int, float]]:
    return {
        int(number): dict(zip(csr.indices[first:last].tolist(), csr.values[first:last].tolist(), strict=True))
        for number, first, last in zip(numbers, csr.indptr, csr.indptr[1:], strict=False)
    }
