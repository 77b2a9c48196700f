"""Which plays are new since interactions were last built, read from the commits of the two tables."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.config.model import InteractionsSettings
from recsys_spark.storage.commits import Commit
from recsys_spark.storage.tables import Tables

__all__ = ["Increment", "increment"]


@dataclass(frozen=True)
class Increment:
    """What a build has to look at: nothing, some runs' plays, or (`run_ids` None) everything.

    The run that committed the version of plays tells it from the same version of a table that was made anew.
    """

    plays_version: int
    plays_run: str | None
    fingerprint: str
    run_ids: tuple[str, ...] | None

    @property
    def is_empty(self) -> bool:
        """Whether interactions already show this version of plays."""
        return self.run_ids == ()

    def new_plays(self, plays: DataFrame) -> DataFrame:
        """The plays that no build has seen."""
        return plays if self.run_ids is None else plays.where(F.col("run_id").isin(*self.run_ids))

    def affected_plays(self, plays: DataFrame) -> DataFrame:
        """All plays of the pairs that occur in the new ones: a pair's row is always computed from all of them."""
        if self.run_ids is None:
            return plays
        pairs = self.new_plays(plays).select("user_id", "item_id").distinct()
        return plays.join(pairs, on=["user_id", "item_id"], how="left_semi")


def increment(tables: Tables, settings: InteractionsSettings) -> Increment:
    """Compares the plays version that interactions were built from with the present one.

    Everything is looked at anew when the settings changed, when plays were changed other than by appending, or when
    support filters are set: there, one new play can let in or push out whole users and items.
    """
    version = tables.data_version("plays")
    commits = {commit.version: commit for commit in tables.commits("plays")}
    fingerprint = settings.model_dump_json(exclude={"rebuild"})
    everything = Increment(version, _run_of(commits, version), fingerprint, None)
    if settings.rebuild or not tables.exists("interactions"):
        return everything
    # Whatever changed the rows last: where that was no build of ours, nothing is known of what they show.
    built = next((c.metadata for c in tables.commits("interactions") if c.changes_rows), {})
    if built.get("fingerprint") != fingerprint or built.get("plays_run") != _run_of(commits, built["plays_version"]):
        return everything
    run_ids = _appended_runs(commits, built["plays_version"], version)
    if run_ids and (settings.min_user_items > 1 or settings.min_item_users > 1):
        return everything
    return replace(everything, run_ids=run_ids)


def _run_of(commits: Mapping[int, Commit], version: int) -> str | None:
    """The run that made a version; None if somebody else did, or the log no longer tells."""
    return commits[version].metadata.get("run_id") if version in commits else None


def _appended_runs(commits: Mapping[int, Commit], after: int, until: int) -> tuple[str, ...] | None:
    """The run ids whose plays were appended in these versions; None if something else happened in them, or may have
    happened: logs are kept for a time only.
    """
    run_ids = []
    for version in range(after + 1, until + 1):
        if version not in commits:
            return None
        if commits[version].changes_rows:
            if "appended_run_id" not in commits[version].metadata:
                return None
            run_ids.append(commits[version].metadata["appended_run_id"])
    return tuple(run_ids) if after <= until else None
