"""Format of shard folders: Parquet files of CSR blocks and a manifest.

A Parquet row holds a block of up to 256 sparse rows as little-endian buffers in the columns `rows`, `indptr`, `indices`
and `values`. Folders with side features have the column `side`, (rows, fields) feature numbers, 0 for a missing value.
Folders with held-out data have `held_indptr`, `held_indices` and `held_values`. Blocks are read many times faster than
one row per user and need no pickled schema. The manifest is written last: a folder without one is incomplete. Both the
Spark jobs, which write shards, and the training, which reads them, import this module; it imports neither library.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys_spark.core.atomic_files import write_json
from recsys_spark.core.errors import MissingInputError, TrainingError
from recsys_spark.core.shard_spec import ShardSpec

__all__ = [
    "BLOCK_ROWS",
    "BUFFERS",
    "FORMAT",
    "HELD_BUFFERS",
    "MANIFEST",
    "SIDE",
    "SIDE_TYPE",
    "Manifest",
    "ShardFile",
    "file_digest",
    "rows_digest",
]

BLOCK_ROWS = 256
BUFFERS = {"rows": "<i4", "indptr": "<i8", "indices": "<i4", "values": "<f4"}
HELD_BUFFERS = {"held_indptr": "<i8", "held_indices": "<i4", "held_values": "<f4"}
SIDE = "side"
SIDE_TYPE = "<i4"
MANIFEST = "manifest.json"
FORMAT = 1


@dataclass(frozen=True)
class ShardFile:
    """Size and checksums of one shard file.

    `payload` is the hash of the uncompressed rows, `sha256` the hash of the file.
    """

    name: str
    rows: int
    non_zeros: int
    held_non_zeros: int
    bytes: int
    sha256: str
    payload: str


@dataclass(frozen=True)
class Manifest:
    """Content of a complete shard folder.

    `n_rows` and `n_columns` are the shape of the whole matrix, including rows without entries. Side features are
    numbered from 1 to `side_features`.
    """

    shard_spec: ShardSpec
    n_rows: int
    n_columns: int
    seed: int
    inputs: dict[str, Any]
    files: tuple[ShardFile, ...]
    side_features: int = 0

    @property
    def rows(self) -> int:
        """Return the number of rows with at least one entry, over all files."""
        return sum(file.rows for file in self.files)

    @property
    def non_zeros(self) -> int:
        """Return the number of entries in all files."""
        return sum(file.non_zeros for file in self.files)

    @property
    def held_non_zeros(self) -> int:
        """Return the number of held-out entries in all files."""
        return sum(file.held_non_zeros for file in self.files)

    @property
    def digest(self) -> str:
        """Return a hash of the content of the shards, independent of compression and inputs."""
        files = [(file.name, file.rows, file.payload) for file in self.files]
        content = self._as_dict() | {"inputs": None, "files": files}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def _as_dict(self) -> dict[str, Any]:
        """Return the fields under the names that manifests have on disk."""
        content = asdict(self)
        content["recipe"] = content.pop("shard_spec")
        return content

    def write(self, folder: Path) -> None:
        """Write the manifest atomically, which completes the folder."""
        write_json(folder / MANIFEST, {"format": FORMAT, **self._as_dict()})

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Read the manifest of a complete folder.

        Raises MissingInputError for any other folder.
        """
        try:
            content = json.loads((folder / MANIFEST).read_text())
            if content.pop("format") != FORMAT:
                raise MissingInputError(f"{folder} was written by another version: delete it and run write_shards")
            content["shard_spec"] = ShardSpec.from_dict(content.pop("recipe"))
            content["files"] = tuple(ShardFile(**file) for file in content["files"])
            return cls(**content)
        except FileNotFoundError:
            raise MissingInputError(f"{folder} holds no complete shards: run write_shards") from None
        except (ValueError, TypeError, KeyError, AttributeError):
            raise MissingInputError(f"{folder / MANIFEST} is damaged: delete the folder and run write_shards") from None

    def check_names(self, folder: Path) -> None:
        """Check that the folder holds exactly the files of the manifest.

        Raises TrainingError with the name of a missing or additional file.
        """
        present = {file.name for file in folder.iterdir()} - {MANIFEST}
        listed = {file.name for file in self.files}
        for names, problem in ((listed - present, "is missing"), (present - listed, "does not belong there")):
            if names:
                raise TrainingError(
                    f"shard {folder / min(names)} {problem}: delete the folder {folder} and run write_shards again"
                )

    def check_file(self, folder: Path, file: ShardFile) -> None:
        """Check the size and checksum of a file.

        Raises TrainingError if they differ from the manifest.
        """
        path = folder / file.name
        if path.stat().st_size != file.bytes or file_digest(path) != file.sha256:
            raise TrainingError(
                f"shard {path} is damaged or from another run: delete the folder {folder} and run write_shards again"
            )


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def rows_digest(blocks: list[dict[str, NDArray[Any]]]) -> str:
    """Return the SHA-256 of the buffers of blocks, in their order."""
    digest = hashlib.sha256()
    for block in blocks:
        for name in sorted(block):
            digest.update(np.ascontiguousarray(block[name]).view(np.uint8).data)
    return digest.hexdigest()
