"""Settings of all jobs, one class a section, with type, range, default and description.

Flags, environment variables, `--help`, conf/base.yaml and the validation are generated from these classes (load.py,
help.py). The settings of model kinds are defined in the rooms of the kinds and added by config_class.
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
from recsys_spark.config.mlflow import MlflowSettings
from recsys_spark.config.pipeline import PipelineSettings
from recsys_spark.config.recommendations import RecommendationsSettings
from recsys_spark.config.report import ReportSettings
from recsys_spark.config.sample import SampleSettings
from recsys_spark.config.similarity import SimilaritySettings
from recsys_spark.config.source import Section, SourceSettings
from recsys_spark.config.split import SplitSettings
from recsys_spark.config.training import ModelSettings, ShardsSettings, TrainingSettings
from recsys_spark.core.errors import ConfigError
from recsys_spark.core.names import KINDS, NETWORKS, all_kinds
from recsys_spark.core.paths import local_path

__all__ = ["BaseConfig", "config_class"]


class RunSettings(Section):
    """Section `run`."""

    seed: int = Field(42, ge=0, description="Seed of every random choice.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Lowest level of the messages on stderr."
    )


class SparkSettings(Section):
    """Section `spark`, for sessions that a job creates itself, not for spark-submit or notebooks."""

    master: str = Field("local[*]", description="Master of a session that the job creates itself.")
    cores: int | None = Field(
        None, ge=1, description="Cores of a Spark Connect session, which cannot state them; unset: they are counted."
    )
    max_connect_model_bytes: int = Field(
        1 << 28, ge=1, description="Largest model of MLlib that a Spark Connect server is given (bytes)."
    )
    driver_memory: str = Field("6g", pattern=r"^\d+[mg]$", description="Memory of the JVM of such a session.")
    shuffle_partitions: int | None = Field(
        None, ge=1, description="Shuffle partitions of such a session; unset: two per core, with small_data one."
    )
    small_data: bool = Field(
        False,
        description="Start and compile less in such a session: for up to about a million plays, where compiling takes"
        " longer than it saves.",
    )
    warehouse: str = Field("spark-warehouse", description="Folder of the local Hive catalog, used with tables.schema.")


class TablesSettings(Section):
    """Section `tables`."""

    root: str | None = Field(
        None, description="Folder or storage URI; each table is <root>/<table>. Excludes tables.schema."
    )
    schema_name: str | None = Field(
        None,
        alias="schema",
        pattern=r"^\w+(\.\w+)?$",
        description="Catalog address of the tables: schema or catalog.schema. Excludes tables.root.",
    )
    lock_timeout_seconds: float = Field(
        60, ge=0, description="Maximum wait for another job that writes the same table."
    )


class FilesSettings(Section):
    """Section `files`."""

    root: str | None = Field(
        None,
        description="Folder for matrices, shards, checkpoints and weights, shared by all executors;"
        " unset: <tables.root>/_files.",
    )


class InteractionsSettings(Section):
    """Section `interactions`."""

    min_user_items: int = Field(1, ge=1, description="Users with fewer different items are left out.")
    min_item_users: int = Field(1, ge=1, description="Items with fewer different users are left out.")
    rebuild: bool = Field(False, description="Build from all plays, even if only a few are new.")


class OutputsSettings(Section):
    """Section `outputs`."""

    max_item_matrix_bytes: int = Field(
        2 << 30, ge=1, description="Maximum size of the item matrix that executors map into memory (bytes)."
    )


class QuerySettings(Section):
    """Section `query`."""

    # Excluded from job_runs: a listener's taste is personal data.
    items: tuple[str, ...] = Field(
        (), exclude=True, description="Names or ids of items that a listener likes (short form: --items NAME NAME ...)."
    )
    user: str | None = Field(
        None,
        exclude=True,
        repr=False,
        min_length=1,
        description="Id of the user whose recommendations build_recommendations prints (short form: --user ID).",
    )


class BenchmarkSettings(Section):
    """Section `benchmark`."""

    measures: tuple[str, ...] = Field((), description="Names of the measures to take; empty: all.")
    scale: float = Field(0.1, ge=0.001, le=1, description="Size of the data as a share of the full size.")
    repeats: int = Field(
        3, ge=1, le=100, description="Alternating runs of this package and the reference; the median counts."
    )
    results: str | None = Field(
        None, description="Folder for the results as JSON lines and a table of the latest result of each measure."
    )
    peers: str | None = Field(
        None, description="Python with RePlay and implicit (make peers), for the measures that compare with them."
    )


class BaseConfig(Section):
    """All sections but `models`, which config_class adds."""

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
    report: ReportSettings = ReportSettings()  # type: ignore[call-arg]
    query: QuerySettings = QuerySettings()  # type: ignore[call-arg]
    evaluation: EvaluationSettings = EvaluationSettings()  # type: ignore[call-arg]
    compare: CompareSettings = CompareSettings()  # type: ignore[call-arg]
    search: SearchSettings = SearchSettings()  # type: ignore[call-arg]
    publish: PublishSettings = PublishSettings()  # type: ignore[call-arg]
    mlflow: MlflowSettings = MlflowSettings()  # type: ignore[call-arg]
    gender: GenderSettings = GenderSettings()  # type: ignore[call-arg]
    suppress: SuppressSettings = SuppressSettings()  # type: ignore[call-arg]
    pipeline: PipelineSettings = PipelineSettings()  # type: ignore[call-arg]
    benchmark: BenchmarkSettings = BenchmarkSettings()  # type: ignore[call-arg]
    reproduce: ReproduceSettings = ReproduceSettings()  # type: ignore[call-arg]

    def settings_of(self, kind: str) -> BaseModel:
        """Return the settings of one model kind (models.KIND.*).

        Raises ConfigError for a kind that does not exist.
        """
        if kind not in all_kinds():
            raise ConfigError(f"no model kind {kind!r}: choose one of {', '.join(all_kinds())}")
        settings: BaseModel | None = getattr(self.models, kind, None)  # type: ignore[attr-defined]
        return load_settings(kind)() if settings is None else settings

    def network_kind(self) -> str:
        """Return model.kind if it is a network.

        Raises ConfigError for other kinds.
        """
        if self.model.kind not in NETWORKS:
            raise ConfigError(f"model.kind: {self.model.kind!r} is not a network: choose one of {', '.join(NETWORKS)}")
        return self.model.kind

    def spark_kind(self) -> str:
        """Return model.kind if it trains on Spark.

        Raises ConfigError for other kinds.
        """
        if self.model.kind not in KINDS:
            raise ConfigError(
                f"model.kind: {self.model.kind!r} does not train on Spark: choose one of {', '.join(KINDS)}"
            )
        return self.model.kind

    @property
    def files_root(self) -> str:
        """Return the folder of matrices, shards and weights.

        Loading checks that a root is set.
        """
        root = self.files.root or f"{(self.tables.root or '').rstrip('/')}/_files"
        path = local_path(root)
        return root if path is None else str(path)

    @property
    def sample_path(self) -> str:
        """Return the folder of the generated sample."""
        return self.source.path or f"{self.files_root}/sample/{self.sample.format}"


@cache
def config_class(kinds: frozenset[str]) -> type[BaseConfig]:
    """Return BaseConfig with a `models` section of one sub-section for each kind.

    Only the requested kinds are loaded: a kind may define its settings beside its code, whose libraries other jobs do
    not need.
    """
    classes = {kind: load_settings(kind) for kind in sorted(kinds)}
    fields = {kind: (settings, settings()) for kind, settings in classes.items()}
    models = create_model("ModelsSettings", __base__=Section, **fields)  # type: ignore[call-overload]
    return create_model("Config", __base__=BaseConfig, models=(models, models()))
