"""The format of a shard folder: Parquet files of CSR blocks, and the manifest that vouches for them.

A Parquet row holds a block of up to 256 sparse rows as little-endian buffers: columns `rows`, `indptr`, `indices`,
`values`, where profiles stand beside the rows `side`, (rows, fields) numbers of features, 0 for nothing known, and
where the folder has something to predict, `held_indptr`, `held_indices`, `held_values`. That reads many times faster
than a row a user, and needs no schema that would have to be unpickled. The manifest is written last and is the truth:
a folder without one was never finished. Known to the Spark side, which writes, and to the training side, which reads;
imports neither.
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
    """One file: how much it holds and what its bytes hash to.

    `payload` is the hash of the rows themselves, whatever the compression; `sha256` that of the file.
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
    """What a complete shard folder holds. `n_rows` and `n_columns` are those of the matrix, not of the files;
    features of profiles are numbered from 1 to `side_features`.
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
        """Rows in the files: those with at least one entry."""
        return sum(file.rows for file in self.files)

    @property
    def non_zeros(self) -> int:
        """Entries in the files."""
        return sum(file.non_zeros for file in self.files)

    @property
    def held_non_zeros(self) -> int:
        """Held-out entries in the files."""
        return sum(file.held_non_zeros for file in self.files)

    @property
    def digest(self) -> str:
        """A hash of all that determines what training sees."""
        files = [(file.name, file.rows, file.payload) for file in self.files]
        content = self._as_dict() | {"inputs": None, "files": files}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def _as_dict(self) -> dict[str, Any]:
        """Return the fields under the names that manifests have on disk."""
        content = asdict(self)
        content["recipe"] = content.pop("shard_spec")
        return content

    def write(self, folder: Path) -> None:
        """Makes the folder complete; in one step, so that no reader sees half of it."""
        write_json(folder / MANIFEST, {"format": FORMAT, **self._as_dict()})

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """The manifest of a complete folder; MissingInputError for any other."""
        try:
            content = json.loads((folder / MANIFEST).read_text())
            if content.pop("format") != FORMAT:
                raise MissingInputError(f"{folder} was written by another version: delete it, run write_shards")
            content["shard_spec"] = ShardSpec.from_dict(content.pop("recipe"))
            content["files"] = tuple(ShardFile(**file) for file in content["files"])
            return cls(**content)
        except FileNotFoundError:
            raise MissingInputError(f"{folder} holds no complete shards: run write_shards") from None
        except (ValueError, TypeError, KeyError, AttributeError):
            raise MissingInputError(f"{folder / MANIFEST} is damaged: delete the folder, run write_shards") from None

    def check_names(self, folder: Path) -> None:
        """Refuses a folder that lacks a file, or holds one that the manifest does not know, by name.

        Raises TrainingError.
        """
        present = {file.name for file in folder.iterdir()} - {MANIFEST}
        stated = {file.name for file in self.files}
        for names, what in ((stated - present, "is missing"), (present - stated, "does not belong there")):
            if names:
                raise TrainingError(
                    f"shard {folder / min(names)} {what}: delete the folder {folder} and run write_shards again"
                )

    def check_file(self, folder: Path, file: ShardFile) -> None:
        """Refuses a file whose bytes are not those that were written. Raises TrainingError."""
        path = folder / file.name
        if path.stat().st_size != file.bytes or file_digest(path) != file.sha256:
            raise TrainingError(
                f"shard {path} is damaged or from another run: delete the folder {folder} and run write_shards again"
            )


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def rows_digest(blocks: list[dict[str, NDArray[Any]]]) -> str:
    """SHA-256 of the buffers of blocks, in their order."""
    digest = hashlib.sha256()
    for block in blocks:
        for name in sorted(block):
            digest.update(np.ascontiguousarray(block[name]).view(np.uint8).data)
    return digest.hexdigest()
