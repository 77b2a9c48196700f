"""Writer of shard folders: executors write the files, the driver writes the manifest last.

A hash of row number and seed places each row, so that equal input gives equal files for any partitioning, and each
file is a random sample of all rows. A file is one task and one row group.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.core.atomic_files import atomic_write, remove_drafts
from recsys_spark.core.csr import Csr
from recsys_spark.core.errors import ConfigError, MissingInputError, TrainingError
from recsys_spark.core.shard_spec import ShardSpec
from recsys_spark.preparation.side_features import SideFeatures
from recsys_spark.storage.shard_format import (
    BLOCK_ROWS,
    BUFFERS,
    HELD_BUFFERS,
    MANIFEST,
    SIDE,
    SIDE_TYPE,
    Manifest,
    ShardFile,
    file_digest,
    rows_digest,
)

__all__ = ["read_complete_manifest", "write_shard_file", "write_shards"]

FILE_SCHEMA = (
    "file INT, rows BIGINT, non_zeros BIGINT, held_non_zeros BIGINT, bytes BIGINT, sha256 STRING, payload STRING"
)


def read_complete_manifest(folder: Path, inputs: dict[str, Any]) -> Manifest | None:
    """Return the manifest of a complete folder made from the same inputs, else None."""
    try:
        manifest = Manifest.read(folder)
        manifest.check_names(folder)
    except (MissingInputError, TrainingError):
        return None
    return manifest if manifest.inputs == inputs else None


def write_shards(
    rows: DataFrame,
    folder: Path,
    shard_spec: ShardSpec,
    shape: tuple[int, int],
    n_files: int,
    seed: int,
    inputs: dict[str, Any],
    side_features: SideFeatures | None = None,
) -> Manifest:
    """Write `rows` (of sparse_rows or with_held_out) as at most `n_files` files below `folder`.

    `side_features`, if any, are written beside the rows. `shape` is that of the whole matrix; `inputs` describe the
    source of the rows. A folder that is complete and has the same inputs is reused; the content of any other is
    replaced. A task holds the rows of one file; the driver receives one small row a file. Raises ConfigError if the
    driver does not see the files that executors wrote.
    """
    complete = read_complete_manifest(folder, inputs)
    if complete is not None:
        return complete
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    for leftover in folder.iterdir():
        leftover.unlink()
    if side_features is not None:
        rows = side_features.add_to(rows)
    place = F.xxhash64(F.col("row_idx"), F.lit(seed))
    placed = rows.withColumns({"place": place, "file": F.pmod(place, F.lit(n_files)).cast("int")})
    written = placed.groupBy("file").applyInArrow(partial(write_shard_file, folder), FILE_SCHEMA).collect()
    files = [ShardFile(_file_name(row["file"]), *list(row)[1:]) for row in sorted(written)]
    unseen = [file.name for file in files if not (folder / file.name).is_file()]
    if unseen:
        raise ConfigError(
            f"an executor wrote {unseen[0]} to {folder}, and the driver does not find it there: set files.root to a "
            "folder that the driver and every executor share"
        )
    remove_drafts(folder)
    n_features = 0 if side_features is None else len(side_features.vocabulary)
    manifest = Manifest(shard_spec, *shape, seed, inputs, tuple(files), n_features)
    manifest.write(folder)
    return manifest


def _file_name(number: int) -> str:
    return f"part-{number:05d}.parquet"


def write_shard_file(folder: Path, table: pa.Table) -> pa.Table:
    """Write the rows of one file and return one row of FILE_SCHEMA.

    `table` has file, row_idx, place, indices, values, and optionally held_indices, held_values and the side column.
    """
    number = table["file"][0].as_py()
    order = np.lexsort((table["row_idx"].to_numpy(), table["place"].to_numpy()))
    row_idx = table["row_idx"].to_numpy()[order]
    entries = _csr(table, "indices", "values").take(order)
    held = _csr(table, "held_indices", "held_values").take(order) if "held_indices" in table.column_names else None
    side = _side(table, order)
    starts = range(0, len(order), BLOCK_ROWS)
    blocks = [_block(row_idx, entries, held, side, start, min(start + BLOCK_ROWS, len(order))) for start in starts]
    path = folder / _file_name(number)
    _save(blocks, path)
    counts = [len(order), entries.indices.size, 0 if held is None else held.indices.size, path.stat().st_size]
    names = [name for name in FILE_SCHEMA.replace(",", "").split()[::2]]
    values = [number, *counts, file_digest(path), rows_digest(blocks)]
    types = [pa.int32(), *[pa.int64()] * 4, pa.string(), pa.string()]
    return pa.table({name: pa.array([value], kind) for name, value, kind in zip(names, values, types, strict=True)})


def _csr(table: pa.Table, indices: str, values: str) -> Csr:
    lists = table[indices].combine_chunks()
    lengths = np.diff(lists.offsets.to_numpy()).astype(np.int64)
    flat = table[values].combine_chunks().flatten()
    return Csr.from_lengths(lengths, lists.flatten().to_numpy(), flat.to_numpy())


def _side(table: pa.Table, order: NDArray[np.intp]) -> NDArray[np.int32] | None:
    if SIDE not in table.column_names:
        return None
    codes: NDArray[np.int32] = table[SIDE].combine_chunks().flatten().to_numpy()
    return codes.reshape(len(order), -1)[order]


def _block(
    row_idx: NDArray[np.int32],
    entries: Csr,
    held: Csr | None,
    side: NDArray[np.int32] | None,
    start: int,
    stop: int,
) -> dict[str, NDArray[Any]]:
    part = entries.between(start, stop)
    block: dict[str, NDArray[Any]] = {
        "rows": row_idx[start:stop],
        "indptr": part.indptr,
        "indices": part.indices,
        "values": part.values,
    }
    if held is not None:
        held_part = held.between(start, stop)
        block |= {f"held_{name}": getattr(held_part, name) for name in ("indptr", "indices", "values")}
    if side is not None:
        block[SIDE] = side[start:stop]
    kinds = BUFFERS | HELD_BUFFERS | {SIDE: SIDE_TYPE}
    return {name: np.ascontiguousarray(array, dtype=kinds[name]) for name, array in block.items()}


def _save(blocks: list[dict[str, NDArray[Any]]], path: Path) -> None:
    columns = {name: pa.array([block[name].tobytes() for block in blocks], pa.binary()) for name in blocks[0]}
    table = pa.table(columns)
    # Petastorm distributes row groups: one a file. Dictionaries would only cost time, as no two blocks are equal.
    with atomic_write(path) as draft:
        pq.write_table(table, draft, compression="zstd", row_group_size=max(1, len(blocks)), use_dictionary=False)
