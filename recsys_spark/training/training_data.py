"""Shards of a training run, checked before the first step, and their statistics."""

from dataclasses import dataclass
from pathlib import Path

import torch

from recsys_spark.core.errors import TrainingError
from recsys_spark.networks.network import Shape
from recsys_spark.storage.shard_format import Manifest
from recsys_spark.training.epoch_schedule import Epoch
from recsys_spark.training.ranks import Ranks
from recsys_spark.training.shard_loader import Counts, check_counts
from recsys_spark.training.spec import TrainSpec
from recsys_spark.training.validation import TrainingStatistics

__all__ = ["TrainingData", "open_training_data"]


@dataclass(frozen=True)
class TrainingData:
    """Training shards, validation shards or None, and statistics of the training data."""

    folder: Path
    manifest: Manifest
    validation: tuple[Path, Manifest] | None
    statistics: TrainingStatistics

    @property
    def shape(self) -> Shape:
        """Return the shape of the matrix that the shards hold."""
        return Shape(self.manifest.n_rows, self.manifest.n_columns, self.manifest.side_features)

    @property
    def digests(self) -> tuple[str, ...]:
        """Return the digests of the manifests, which identify the data."""
        return (self.manifest.digest, *([] if self.validation is None else [self.validation[1].digest]))


def open_training_data(spec: TrainSpec, ranks: Ranks) -> TrainingData:
    """Open and check the shards of a training run; the ranks share the files to check.

    Raises TrainingError with the file name for shards that are damaged, missing, or of another folder.
    """
    folder = Path(spec.train_folder)
    manifest = _check_shards(folder, ranks)
    if not manifest.rows:
        raise TrainingError("the shards are empty, so there is no training data: run ingest_plays with more data")
    validation = None
    if spec.validation_folder is not None:
        validation = (Path(spec.validation_folder), _check_shards(Path(spec.validation_folder), ranks))
    return TrainingData(folder, manifest, validation, _compute_statistics(folder, manifest, ranks))


def _check_shards(folder: Path, ranks: Ranks) -> Manifest:
    manifest = Manifest.read(folder)
    manifest.check_names(folder)
    for file in manifest.files[ranks.rank :: ranks.world]:
        manifest.check_file(folder, file)
    return manifest


def _compute_statistics(folder: Path, manifest: Manifest, ranks: Ranks) -> TrainingStatistics:
    """Compute the statistics of the training data in one pass over the shards.

    The rows read are compared with the manifest, as in any other pass.
    """
    counts, read = torch.zeros(manifest.n_columns, dtype=torch.int64), Counts()
    lowest, highest, trained_rows = torch.inf, -torch.inf, torch.zeros(manifest.n_rows, dtype=torch.uint8)
    for rows in Epoch(folder, manifest, 4096, ranks.world).batches(ranks.rank, read):
        trained_rows[torch.from_numpy(rows.numbers[rows.entries.lengths() > 0])] = 1
        if rows.entries.indices.size:
            counts += torch.bincount(torch.from_numpy(rows.entries.indices.copy()), minlength=manifest.n_columns)
            lowest = min(lowest, float(rows.entries.values.min()))
            highest = max(highest, float(rows.entries.values.max()))
    check_counts(ranks.sum(torch.from_numpy(read.as_array()).to(ranks.device)).cpu().numpy(), manifest, folder)
    ends = torch.tensor([-lowest, highest], device=ranks.device)
    trained = ranks.sum(trained_rows.to(ranks.device)) > 0
    return TrainingStatistics(ranks.sum(counts.to(ranks.device)), *_range(ranks.largest(ends)), trained)


def _range(ends: torch.Tensor) -> tuple[float, float]:
    return -float(ends[0]), float(ends[1])
