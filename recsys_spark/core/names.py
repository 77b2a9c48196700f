"""Names of source formats and model kinds.

A line names a module without importing it. A job therefore loads only the modules that it uses, and a cluster without
torch can run the jobs on Spark. A new format or model needs one file in its folder and one line here. Its settings may
have a file and a line of their own, so that `--help` and configurations load neither Spark nor torch.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from importlib import import_module
from typing import Any

__all__ = [
    "FORMATS",
    "ITEM_KNN",
    "KINDS",
    "NETWORKS",
    "SETTINGS",
    "SIMILARITY_METRIC",
    "UNSCORED_KINDS",
    "all_kinds",
    "load_named",
    "nearest_name",
    "training_command",
    "training_job",
]

FORMATS = {
    "plays": "recsys_spark.ingestion.plays:PlaysReader",
    "movielens": "recsys_spark.ingestion.movielens:MovieLensReader",
    "lastfm_360k": "recsys_spark.ingestion.lastfm_360k:Lastfm360kReader",
    "lastfm_gender": "recsys_spark.ingestion.lastfm_gender:LastfmGenderReader",
    "lastfm_1k": "recsys_spark.ingestion.lastfm_1k:Lastfm1kReader",
    "lastfm_2k": "recsys_spark.ingestion.lastfm_2k:Lastfm2kReader",
    "listenbrainz": "recsys_spark.ingestion.listenbrainz:ListenBrainzReader",
    "spotify": "recsys_spark.ingestion.spotify:SpotifyReader",
    "book_crossing": "recsys_spark.ingestion.book_crossing:BookCrossingReader",
    "anime": "recsys_spark.ingestion.anime:AnimeReader",
    "sample": "recsys_spark.ingestion.sample_format:SampleReader",
}

# Versions of this kind are lists of similar items from shared users (similarity.method). They score no users.
ITEM_KNN = "item_knn"
# The metric by which the quality gate compares them, with each other and with the lists of models.
SIMILARITY_METRIC = "similar_recall@10"
# Kinds of versions in models that score no items for users.
UNSCORED_KINDS = ("gender", ITEM_KNN)

KINDS = {
    "popularity": "recsys_spark.models.popularity:Popularity",
    "biased_mean": "recsys_spark.models.biased_mean:BiasedMean",
    "als": "recsys_spark.models.als:Als",
    "lsa": "recsys_spark.models.lsa:Lsa",
    "ease": "recsys_spark.models.ease:Ease",
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

# Settings of kinds in modules without Spark and torch. A kind without a line has them as `Settings` of its class alone.
SETTINGS = {
    "popularity": "recsys_spark.models.settings.popularity:PopularitySettings",
    "biased_mean": "recsys_spark.models.settings.biased_mean:BiasedMeanSettings",
    "als": "recsys_spark.models.settings.als:AlsSettings",
    "lsa": "recsys_spark.models.settings.lsa:LsaSettings",
    "ease": "recsys_spark.models.settings.ease:EaseSettings",
    "song_autoencoder": "recsys_spark.networks.settings.song_autoencoder:SongAutoencoderSettings",
    "autorec_item": "recsys_spark.networks.settings.autorec:AutoRecItemSettings",
    "autorec_user": "recsys_spark.networks.settings.autorec:AutoRecUserSettings",
    "deeprec": "recsys_spark.networks.settings.deeprec:DeepRecSettings",
    "cdae": "recsys_spark.networks.settings.cdae:CdaeSettings",
    "mult_vae": "recsys_spark.networks.settings.mult_vae:MultVaeSettings",
    "svae": "recsys_spark.networks.settings.svae:SvaeSettings",
    "matrix_factorization": "recsys_spark.networks.settings.matrix_factorization:MatrixFactorizationSettings",
    "implicit_factorization": "recsys_spark.networks.settings.implicit_factorization:ImplicitFactorizationSettings",
    "neural_encoder": "recsys_spark.networks.settings.neural_encoder:NeuralEncoderSettings",
}


def all_kinds() -> tuple[str, ...]:
    """Return every kind of model; kinds that train on Spark come first."""
    return (*KINDS, *NETWORKS)


def training_job(kind: str) -> str:
    """Return the name of the job that trains a kind."""
    if kind == "gender":
        return "train_gender_model"
    if kind == ITEM_KNN:
        return "build_item_similarity"
    return "train_torch_model" if kind in NETWORKS else "train_spark_model"


def training_command(kind: str) -> str:
    """Return the job that trains a kind, with the setting that selects it."""
    setting = "--similarity.method random_walk" if kind == ITEM_KNN else f"--model.kind {kind}"
    return f"{training_job(kind)} {setting}"


def load_named(line: str) -> Any:
    """Import the class that a `module:Class` line names.

    Raises ImportError when a library that the module needs is not installed.
    """
    module, name = line.split(":")
    return getattr(import_module(module), name)


def nearest_name(name: str, names: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the most similar name, or an empty text."""
    matches = get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean {matches[0]!r}?" if matches else ""
