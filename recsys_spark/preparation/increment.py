"""Plays added since interactions were last built, from the commits of both tables."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.config.model import InteractionsSettings
from recsys_spark.storage.local_log import Commit
from recsys_spark.storage.tables import Tables

__all__ = ["Increment", "find_increment"]


@dataclass(frozen=True)
class Increment:
    """Plays to build from: none, those of some runs, or all (`run_ids` None).

    `plays_run` is the run that committed `plays_version`. It distinguishes this version from the same version number
    of a table that was created again.
    """

    plays_version: int
    plays_run: str | None
    fingerprint: str
    run_ids: tuple[str, ...] | None

    @property
    def is_empty(self) -> bool:
        """Return True if interactions are up to date with this version of plays."""
        return self.run_ids == ()

    def new_plays(self, plays: DataFrame) -> DataFrame:
        """Return the plays that are not in interactions yet."""
        return plays if self.run_ids is None else plays.where(F.col("run_id").isin(*self.run_ids))

    def affected_plays(self, plays: DataFrame) -> DataFrame:
        """Return all plays, old and new, of the pairs with new plays.

        A pair's row is always computed from all of its plays.
        """
        if self.run_ids is None:
            return plays
        pairs = self.new_plays(plays).select("user_id", "item_id").distinct()
        return plays.join(pairs, on=["user_id", "item_id"], how="left_semi")


def find_increment(tables: Tables, settings: InteractionsSettings) -> Increment:
    """Compare the plays version that interactions were built from with the present one.

    All plays are used when the settings changed, when plays changed other than by appending, or when support filters
    are set: one new play can then admit or exclude whole users and items.
    """
    version = tables.data_version("plays")
    commits = {commit.version: commit for commit in tables.commits("plays")}
    fingerprint = settings.model_dump_json(exclude={"rebuild"})
    everything = Increment(version, _run_of(commits, version), fingerprint, None)
    if settings.rebuild or not tables.exists("interactions"):
        return everything
    # The last commit that changed rows; if it was no build, such as RESTORE, the content of the table is unknown.
    built = next((c.metadata for c in tables.commits("interactions") if c.changes_rows), {})
    if built.get("fingerprint") != fingerprint or built.get("plays_run") != _run_of(commits, built["plays_version"]):
        return everything
    run_ids = _appended_runs(commits, built["plays_version"], version)
    if run_ids and (settings.min_user_items > 1 or settings.min_item_users > 1):
        return everything
    return replace(everything, run_ids=run_ids)


def _run_of(commits: Mapping[int, Commit], version: int) -> str | None:
    """Return the run that committed a version; None for other commits and expired log entries."""
    return commits[version].metadata.get("run_id") if version in commits else None


def _appended_runs(commits: Mapping[int, Commit], after: int, until: int) -> tuple[str, ...] | None:
    """Return the runs that appended plays in the versions `after` + 1 to `until`.

    None if a version did something else, or is no longer in the log, which is kept for a limited time.
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
