"""What the product can read and train: one line a format, one line a model kind.

Lines name modules instead of importing them, so that a job loads only what it uses and a cluster
without torch can run the Spark half. A new format is one file in ingestion/ and one line here; a new
model is one file and one line here, and every job knows it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import BaseModel

    from recsys_spark.factorization.kind import ModelKind
    from recsys_spark.ingestion.reader import Reader
    from recsys_spark.networks.network import Network

__all__ = [
    "FORMATS",
    "KINDS",
    "NETWORKS",
    "all_kinds",
    "load_kind",
    "load_network",
    "load_reader",
    "load_settings",
    "training_job",
]

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
    "biased_mean": "recsys_spark.factorization.biased_mean:BiasedMean",
    "als": "recsys_spark.factorization.als:Als",
    "lsa": "recsys_spark.factorization.lsa:Lsa",
    "ease": "recsys_spark.factorization.ease:Ease",
}

NETWORKS = {
    "song_autoencoder": "recsys_spark.networks.song_autoencoder:SongAutoencoder",
    "autorec_item": "recsys_spark.networks.autorec:AutoRecItem",
    "autorec_user": "recsys_spark.networks.autorec:AutoRecUser",
    "deeprec": "recsys_spark.networks.deeprec:DeepRec",
    "cdae": "recsys_spark.networks.cdae:Cdae",
    "mult_vae": "recsys_spark.networks.mult_vae:MultVae",
    "svae": "recsys_spark.networks.svae:Svae",
    "matrix_factorization": "recsys_spark.networks.matrix_factorization:MatrixFactorization",
    "implicit_factorization": "recsys_spark.networks.implicit_factorization:ImplicitFactorization",
    "neural_encoder": "recsys_spark.networks.neural_encoder:NeuralEncoder",
}


def load_reader(source_format: str) -> "type[Reader]":
    """The reader class of a source format; KeyError for an unknown one."""
    return _load(FORMATS[source_format])


def load_kind(kind: str) -> "type[ModelKind]":
    """The class of a kind that trains on Spark; KeyError for an unknown one."""
    return _load(KINDS[kind])


def load_network(kind: str) -> "type[Network]":
    """The class of a kind that trains with torch; KeyError for an unknown one, ImportError without torch."""
    return _load(NETWORKS[kind])


def load_settings(kind: str) -> "type[BaseModel]":
    """The class of a kind's settings; KeyError for an unknown kind, ImportError for a network without torch."""
    return load_kind(kind).Settings if kind in KINDS else load_network(kind).Settings


def all_kinds() -> tuple[str, ...]:
    """Every kind of model, those that train on Spark first."""
    return (*KINDS, *NETWORKS)


def training_job(kind: str) -> str:
    """The job that trains a kind."""
    if kind == "gender":
        return "train_gender_model"
    return "train_torch_model" if kind in NETWORKS else "train_spark_model"


def _load(line: str) -> type:
    module, name = line.split(":")
    loaded: type = getattr(import_module(module), name)
    return loaded
