"""Every setting of every job: its type, range, default and meaning, one class a stage.

The classes are the single source: flags, environment variables, `--help`, conf/base.yaml and the
validation all come from them (config_layers.py). Settings of one model kind stand beside that
model's code and are gathered here by the registry.
"""

from functools import cache
from typing import Literal

from pydantic import BaseModel, Field, create_model

from recsys_spark.config.content import ContentSettings
from recsys_spark.config.evaluation import (
    CompareSettings,
    EvaluationSettings,
    PublishSettings,
    ReproduceSettings,
    SearchSettings,
)
from recsys_spark.config.gender import GenderSettings, SuppressSettings
from recsys_spark.config.kinds import load_settings
from recsys_spark.config.map import MapSettings
from recsys_spark.config.output import RecommendationsSettings
from recsys_spark.config.sample import SampleSettings
from recsys_spark.config.source import Section, SourceSettings
from recsys_spark.config.split import Fit, SplitSettings
from recsys_spark.core.errors import ConfigError
from recsys_spark.core.names import KINDS, NETWORKS, all_kinds
from recsys_spark.core.paths import local_path

__all__ = ["BaseConfig", "TrainingSettings", "config_class"]


class RunSettings(Section):
    seed: int = Field(42, ge=0, description="Every random choice derives from it.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe message written to stderr."
    )


class SparkSettings(Section):
    """Used only where this process makes the session itself: not under spark-submit or in a notebook."""

    master: str = Field("local[*]", description="Master of a session that the job makes itself.")
    driver_memory: str = Field("6g", pattern=r"^\d+[mg]$", description="Memory of such a session's JVM.")
    shuffle_partitions: int | None = Field(
        None, ge=1, description="Partitions of a shuffle in such a session; unset: two a core."
    )
    warehouse: str = Field("spark-warehouse", description="Folder of the local Hive catalog, used with tables.schema.")


class TablesSettings(Section):
    root: str | None = Field(
        None, description="Directory or storage URI; each table is <root>/<table>. Excludes tables.schema."
    )
    schema_name: str | None = Field(
        None,
        alias="schema",
        pattern=r"^\w+(\.\w+)?$",
        description="Catalog address of the tables: schema or catalog.schema. Excludes tables.root.",
    )
    lock_timeout_seconds: float = Field(
        60, ge=0, description="How long to wait for another job that writes the same table."
    )


class FilesSettings(Section):
    root: str | None = Field(
        None,
        description="Folder for matrices, shards, checkpoints and weights, seen by every executor;"
        " unset: <tables.root>/_files.",
    )


class InteractionsSettings(Section):
    min_user_items: int = Field(1, ge=1, description="Users with fewer different items are left out.")
    min_item_users: int = Field(1, ge=1, description="Items with fewer different users are left out.")
    rebuild: bool = Field(False, description="Build from all plays even where only a few are new.")


class ShardsSettings(Section):
    files: int = Field(
        8, ge=1, le=10_000, description="Files of a shard folder; a multiple of training.processes keeps them busy."
    )


class TrainingSettings(Section):
    processes: int = Field(1, ge=1, le=1024, description="Processes that train one network together.")
    local: bool = Field(True, description="Train on the driver's machine (true) or on executors, one process a task.")
    use_gpu: bool = Field(False, description="Train on GPUs, one a process, with NCCL; else on CPUs with gloo.")
    mixed_precision: bool = Field(True, description="On GPUs: products of matrices in TensorFloat-32.")
    threads: int = Field(0, ge=0, description="Threads of each process on a CPU; 0: the machine's cores, shared out.")
    retries: int = Field(2, ge=0, le=100, description="New starts after a lost process or executor.")
    timeout_minutes: float = Field(10, gt=0, description="How long a process waits for the others before it gives up.")
    checkpoint_minutes: float = Field(10, gt=0, description="Checkpoints within an epoch, besides one at its end.")
    keep_checkpoints: int = Field(2, ge=1, description="Newest checkpoints kept; the best weights are kept beside.")
    max_steps: int = Field(
        0, ge=0, description="End after so many steps, to try a size out: no model comes of it; 0: never."
    )
    tracking_uri: str | None = Field(None, description="MLflow address that each epoch is reported to; unset: none.")


class ModelSettings(Section):
    kind: str = Field("als", description=f"Kind of model a job works on: {', '.join(all_kinds())}.")
    version: str | None = Field(
        None, pattern=r"^[a-z0-9_]+-[0-9a-f]{12}$", description="One version instead of the kind's newest."
    )
    fit: Fit = Field(
        "train",
        description="What to train on: the training part of the split, or, once that has shown what the settings are"
        " worth, its validation part as well (train_and_validation) or all interactions (everything). Without a split"
        " all interactions are its training part.",
    )


class OutputsSettings(Section):
    max_item_matrix_bytes: int = Field(
        2 << 30, ge=1, description="Largest item matrix that executors may be asked to map (bytes)."
    )


class SimilaritySettings(Section):
    neighbours: int = Field(50, ge=1, le=10_000, description="Nearest items kept for each item.")


class QuerySettings(Section):
    # What somebody likes is not for job_runs to keep.
    items: tuple[str, ...] = Field(
        (), exclude=True, description="Names or ids of items that a listener likes (also: --items NAME NAME ...)."
    )


class BenchmarkSettings(Section):
    measures: tuple[str, ...] = Field((), description="Measures to take, by name; none: all.")
    scale: float = Field(0.1, ge=0.001, le=1, description="Size of the data, as a share of the full one.")
    repeats: int = Field(3, ge=1, le=100, description="Turns of ours and the reference; the median counts.")
    results: str | None = Field(
        None, description="Folder that keeps the lines, and a table of the latest of each measure."
    )
    peers: str | None = Field(
        None, description="Python that has RePlay and implicit (make peers); some measures compare with them."
    )


class PipelineSettings(Section):
    kinds: tuple[str, ...] = Field(
        ("popularity", "als"), min_length=1, description="Models that run_pipeline trains, in order."
    )
    gender: bool = Field(
        False, description="Also learn and predict genders at the end, where enough profiles state one."
    )
    start: str | None = Field(None, alias="from", description="First step to run; earlier ones are left out.")
    final_fit: bool = Field(
        False, description="With a split: once models are judged, train them on everything before outputs are built."
    )


class BaseConfig(Section):
    """All sections but `models`, which the registry adds (config_class)."""

    run: RunSettings = RunSettings()  # type: ignore[call-arg]
    spark: SparkSettings = SparkSettings()  # type: ignore[call-arg]
    tables: TablesSettings = TablesSettings()  # type: ignore[call-arg]
    files: FilesSettings = FilesSettings()  # type: ignore[call-arg]
    source: SourceSettings = SourceSettings()  # type: ignore[call-arg]
    sample: SampleSettings = SampleSettings()
    interactions: InteractionsSettings = InteractionsSettings()  # type: ignore[call-arg]
    split: SplitSettings = SplitSettings()
    model: ModelSettings = ModelSettings()  # type: ignore[call-arg]
    shards: ShardsSettings = ShardsSettings()  # type: ignore[call-arg]
    training: TrainingSettings = TrainingSettings()  # type: ignore[call-arg]
    outputs: OutputsSettings = OutputsSettings()  # type: ignore[call-arg]
    similarity: SimilaritySettings = SimilaritySettings()  # type: ignore[call-arg]
    recommendations: RecommendationsSettings = RecommendationsSettings()  # type: ignore[call-arg]
    content: ContentSettings = ContentSettings()  # type: ignore[call-arg]
    map: MapSettings = MapSettings()  # type: ignore[call-arg]
    query: QuerySettings = QuerySettings()  # type: ignore[call-arg]
    evaluation: EvaluationSettings = EvaluationSettings()  # type: ignore[call-arg]
    compare: CompareSettings = CompareSettings()  # type: ignore[call-arg]
    search: SearchSettings = SearchSettings()  # type: ignore[call-arg]
    publish: PublishSettings = PublishSettings()  # type: ignore[call-arg]
    gender: GenderSettings = GenderSettings()  # type: ignore[call-arg]
    suppress: SuppressSettings = SuppressSettings()  # type: ignore[call-arg]
    pipeline: PipelineSettings = PipelineSettings()  # type: ignore[call-arg]
    benchmark: BenchmarkSettings = BenchmarkSettings()  # type: ignore[call-arg]
    reproduce: ReproduceSettings = ReproduceSettings()  # type: ignore[call-arg]

    def settings_of(self, kind: str) -> BaseModel:
        """The settings of one model kind (models.KIND.*).

        Raises ConfigError for a kind that does not exist.
        """
        if kind not in all_kinds():
            raise ConfigError(f"no model kind {kind!r}; there are {', '.join(all_kinds())}")
        settings: BaseModel | None = getattr(self.models, kind, None)  # type: ignore[attr-defined]
        return load_settings(kind)() if settings is None else settings

    def network_kind(self) -> str:
        """model.kind, for jobs that work on networks. Raises ConfigError for any other kind."""
        if self.model.kind not in NETWORKS:
            raise ConfigError(f"model.kind: {self.model.kind!r} is no network; there are {', '.join(NETWORKS)}")
        return self.model.kind

    def spark_kind(self) -> str:
        """model.kind, for jobs that train on Spark. Raises ConfigError for any other kind."""
        if self.model.kind not in KINDS:
            raise ConfigError(f"model.kind: {self.model.kind!r} does not train on Spark; there are {', '.join(KINDS)}")
        return self.model.kind

    @property
    def files_root(self) -> str:
        """Where matrices, shards and weights go; checked to be set when the layers are read."""
        root = self.files.root or f"{(self.tables.root or '').rstrip('/')}/_files"
        path = local_path(root)
        return root if path is None else str(path)

    @property
    def sample_path(self) -> str:
        """Where the generated sample lies."""
        return self.source.path or f"{self.files_root}/sample/{self.sample.format}"


@cache
def config_class(kinds: frozenset[str]) -> type[BaseConfig]:
    """BaseConfig with a `models` section that holds one sub-section for each of these kinds.

    Not of all kinds at once: the settings of a network stand beside the network, and a job that uses none shall
    neither wait for torch nor need it.
    """
    classes = {kind: load_settings(kind) for kind in sorted(kinds)}
    fields = {kind: (settings, settings()) for kind, settings in classes.items()}
    models = create_model("ModelsSettings", __base__=Section, **fields)  # type: ignore[call-overload]
    return create_model("Config", __base__=BaseConfig, models=(models, models()))
