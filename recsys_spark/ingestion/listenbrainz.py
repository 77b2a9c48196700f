"""Format `listenbrainz`: listens of ListenBrainz dumps and exports, a JSON object a line.

A track is identified by the MusicBrainz id that the player sent, else by the one that ListenBrainz mapped, else by its
MessyBrainz id, else by artist and name.
"""

from collections.abc import Sequence

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.ingestion.discovery import RawFile
from recsys_spark.ingestion.json_files import read_json, read_json_rows
from recsys_spark.ingestion.reader import Reader, Role, with_named_items

__all__ = ["ListenBrainzReader"]

ENDINGS = (".listens", ".jsonl", ".json")
USERS = {"user_name": "user_name", "user_number": "user_id"}
IDS = {
    "sent_mbid": "track_metadata.additional_info.recording_mbid",
    "mapped_mbid": "track_metadata.mbid_mapping.recording_mbid",
    "msid": "recording_msid",
    "inner_msid": "track_metadata.additional_info.recording_msid",
}
OTHERS = {
    "played_at": "listened_at",
    "artist": "track_metadata.artist_name",
    "track": "track_metadata.track_name",
}


class ListenBrainzReader(Reader):
    """Reader of timed plays of tracks."""

    kind = "events"
    timed = True

    def role(self, file: RawFile) -> Role | None:
        """Return plays for `.listens`, `.jsonl` and `.json` files."""
        return "plays" if file.data_name.endswith(ENDINGS) else None

    def plays(self, spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
        """Read user, time and track; the user's name, or else number, is the id.

        Exports of one person leave out the user: `source.user` states it.
        """
        rows = read_json(read_json_rows(spark, files, "UTF-8", documents=False), {**USERS, **IDS, **OTHERS})
        user = F.coalesce(*[F.nullif(name, F.lit("")) for name in USERS], F.lit(self.settings.user))
        ids = [F.nullif(name, F.lit("")) for name in IDS]
        return with_named_items(rows.withColumn("user_id", user), ids, F.col("artist"), F.col("track"))
