"""Writing a shard folder: executors write the files, the manifest comes last.

Rows are placed by a hash of their number and the seed, so that equal input gives equal files whatever partitions
Spark made of it, and each file is a random sample of all rows. A file is one task and one row group.
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
from recsys_spark.preparation.side_features import Profiles
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

__all__ = ["complete_shards", "write_shards"]

WRITTEN = "file INT, rows BIGINT, non_zeros BIGINT, held_non_zeros BIGINT, bytes BIGINT, sha256 STRING, payload STRING"


def complete_shards(folder: Path, inputs: dict[str, Any]) -> Manifest | None:
    """The manifest of a folder that was completed from the same inputs and has all its files; else None."""
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
    profiles: Profiles | None = None,
) -> Manifest:
    """Writes `rows` (sparse_rows, or with_held_out of them), with `profiles` beside them if there are any, as at most
    `n_files` files below `folder`.

    `shape` is that of the whole matrix; `inputs` say where the rows come from. A folder that was completed from the
    same inputs is used again; whatever else lies in it is replaced. A task holds the rows of one file. The driver
    gets one small row a file. Raises ConfigError where the driver does not see what executors wrote.
    """
    complete = complete_shards(folder, inputs)
    if complete is not None:
        return complete
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    for leftover in folder.iterdir():
        leftover.unlink()
    if profiles is not None:
        rows = profiles.beside(rows)
    place = F.xxhash64(F.col("row_idx"), F.lit(seed))
    placed = rows.withColumns({"place": place, "file": F.pmod(place, F.lit(n_files)).cast("int")})
    written = placed.groupBy("file").applyInArrow(partial(_write_file, folder), WRITTEN).collect()
    files = [ShardFile(_file_name(row["file"]), *list(row)[1:]) for row in sorted(written)]
    unseen = [file.name for file in files if not (folder / file.name).is_file()]
    if unseen:
        raise ConfigError(
            f"files.root: {unseen[0]} was written to {folder} and is not found there: set it to a folder that the"
            " driver and every executor share"
        )
    remove_drafts(folder)
    n_features = 0 if profiles is None else len(profiles.features)
    manifest = Manifest(shard_spec, *shape, seed, inputs, tuple(files), n_features)
    manifest.write(folder)
    return manifest


def _file_name(number: int) -> str:
    return f"part-{number:05d}.parquet"


def _write_file(folder: Path, table: pa.Table) -> pa.Table:
    """Writes one file; gives one row (WRITTEN)."""
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
    names = [name for name in WRITTEN.replace(",", "").split()[::2]]
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
    # One row group a file: Petastorm deals out row groups. Dictionaries would only cost: no two blocks are equal.
    with atomic_write(path) as draft:
        pq.write_table(table, draft, compression="zstd", row_group_size=max(1, len(blocks)), use_dictionary=False)
