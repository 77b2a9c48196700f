"""What the product can read and train: one line a format, one line a model kind.

Lines name modules instead of importing them, so that a job loads only what it uses and a cluster
without torch can run the Spark half. A new format is one file in ingestion/ and one line here; a new
model is one file and one line here, and every job knows it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recsys_spark.factorization.kind import ModelKind
    from recsys_spark.ingestion.reader import Reader

__all__ = ["FORMATS", "KINDS", "load_kind", "load_reader"]

FORMATS = {
    "plays": "recsys_spark.ingestion.plays:PlaysReader",
    "movielens": "recsys_spark.ingestion.movielens:MovieLensReader",
    "lastfm_360k": "recsys_spark.ingestion.lastfm_360k:Lastfm360kReader",
    "lastfm_gender": "recsys_spark.ingestion.lastfm_gender:LastfmGenderReader",
    "anime": "recsys_spark.ingestion.anime:AnimeReader",
    "sample": "recsys_spark.ingestion.sample:SampleReader",
}

KINDS = {
    "popularity": "recsys_spark.factorization.popularity:Popularity",
    "als": "recsys_spark.factorization.als:Als",
}


def load_reader(source_format: str) -> "type[Reader]":
    """The reader class of a source format; KeyError for an unknown one."""
    return _load(FORMATS[source_format])


def load_kind(kind: str) -> "type[ModelKind]":
    """The class of a model kind; KeyError for an unknown one."""
    return _load(KINDS[kind])


def _load(line: str) -> type:
    module, name = line.split(":")
    loaded: type = getattr(import_module(module), name)
    return loaded
