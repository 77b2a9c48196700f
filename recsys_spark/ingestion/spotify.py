"""Format `spotify`: the streaming history that Spotify exports for one person, as JSON arrays.

Account data has StreamingHistory*.json, the extended history Streaming_History_Audio_*.json or endsong_*.json. Episodes
and audiobooks are items like tracks. Every row is a play, however short.
"""

from collections.abc import Sequence

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.core.errors import ConfigError
from recsys_spark.ingestion.discovery import RawFile
from recsys_spark.ingestion.json_files import missing_keys, read_json, read_json_rows
from recsys_spark.ingestion.reader import Reader, Role, with_named_items

__all__ = ["SpotifyReader"]

PREFIXES = ("streaminghistory", "streaming_history_audio", "endsong")
IDS = ("spotify_track_uri", "spotify_episode_uri", "audiobook_chapter_uri")
CREATORS = (
    "master_metadata_album_artist_name",
    "episode_show_name",
    "audiobook_title",
    "artistName",
    "podcastName",
)
TITLES = (
    "master_metadata_track_name",
    "episode_name",
    "audiobook_chapter_title",
    "trackName",
    "episodeName",
)
TIMES = ("ts", "endTime")
USER = "username"


class SpotifyReader(Reader):
    """Reader of timed plays of one person."""

    kind = "events"
    timed = True

    def role(self, file: RawFile) -> Role | None:
        """Return plays for the JSON files of the audio history."""
        name = file.data_name
        return "plays" if name.endswith(".json") and name.startswith(PREFIXES) else None

    def check(self, spark: SparkSession, files: Sequence[RawFile]) -> None:
        """Raise ConfigError when neither the settings nor the files state the user."""
        if self.settings.user is None and missing_keys(self._rows(spark, files), [USER]):
            raise ConfigError(
                f"source.user: {files[0].uri} states no user; set source.user to an id of the person, such as a name"
            )

    def plays(self, spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
        """Read track, episode or chapter, and the UTC time of its end."""
        names = (*IDS, *CREATORS, *TITLES, *TIMES, USER)
        rows = read_json(self._rows(spark, files), {name: name for name in names})
        # Account data states the time as 2024-05-01 18:30, in UTC.
        time = F.coalesce("ts", F.concat("endTime", F.lit(":00Z")))
        user = F.coalesce(F.lit(self.settings.user), F.col(USER))
        rows = rows.withColumns({"user_id": user, "played_at": time})
        return with_named_items(rows, [F.col(name) for name in IDS], F.coalesce(*CREATORS), F.coalesce(*TITLES))

    def _rows(self, spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
        return read_json_rows(spark, files, "UTF-8", documents=True)
