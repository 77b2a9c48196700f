"""Shard folders made without Spark, and plays whose answer is known, for tests of training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from recsys_spark.core.shard_spec import ShardSpec
from recsys_spark.preparation.shards import _write_file
from recsys_spark.storage.shard_format import Manifest, ShardFile
from recsys_spark.training.epoch_schedule import mix
from recsys_spark.training.shard_loader import Rows

__all__ = ["Entries", "Tastes", "as_entries", "held_entries", "planted_tastes", "write_folder"]

# Row number -> column -> value, in the order in which a row's entries are to be stored.
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
    """The folder that write_shards would make of `rows`; `held` has the same rows, if anything is held out."""
    folder.mkdir(parents=True)
    places = {row: mix(row, seed) for row in rows}
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
        (written,) = _write_file(folder, pa.table(columns)).to_pylist()
        files.append(ShardFile(f"part-{written.pop('file'):05d}.parquet", **written))
    manifest = Manifest(shard_spec or ShardSpec(), *shape, seed, {"made": "by hand"}, tuple(files))
    manifest.write(folder)
    return manifest


def as_entries(rows: Rows) -> dict[int, dict[int, float]]:
    """What was read, in the form in which write_folder takes it."""
    return _as_entries(rows.numbers, rows.entries)


def held_entries(rows: Rows) -> dict[int, dict[int, float]]:
    """What is held out of the rows that were read."""
    return _as_entries(rows.numbers, rows.held)


class Tastes(NamedTuple):
    """Plays of two groups of rows, each of which likes its own half of the columns, and what is held out of them."""

    rows: dict[int, dict[int, float]]
    held: dict[int, dict[int, float]]
    shape: tuple[int, int]


def planted_tastes(n_rows: int = 40, n_columns: int = 24, ratings: bool = False) -> Tastes:
    """Even rows like even columns; of every row's pairs two liked ones are held out, and half of the others known.

    With `ratings` a row also knows some columns that it does not like, at 1 instead of 5.
    """
    generator = np.random.default_rng(0)
    rows, held = {}, {}
    for row in range(n_rows):
        liked = generator.permutation(np.arange(row % 2, n_columns, 2)).tolist()
        others = generator.permutation(np.arange(1 - row % 2, n_columns, 2)).tolist()[: n_columns // 4 * ratings]
        known = {column: 5.0 if ratings else 1.0 for column in liked[2 : 2 + n_columns // 4]}
        rows[row] = known | dict.fromkeys(others, 1.0)
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
