"""Map of a model's items, from the tables to an HTML file."""

import logging
from pathlib import Path

from recsys_spark.config.model import BaseConfig
from recsys_spark.core.atomic_files import atomic_write
from recsys_spark.core.errors import ConfigError
from recsys_spark.core.logs import step
from recsys_spark.core.paths import local_path
from recsys_spark.models.versions import ModelVersion
from recsys_spark.recommend.trained_model import load_model
from recsys_spark.report.map_clusters import k_means
from recsys_spark.report.map_groups import Groups, group_by_clusters, group_by_values
from recsys_spark.report.map_items import MapItems, read_map_items, read_neighbours, read_similar_items
from recsys_spark.report.map_layout import NEIGHBOURS, lay_out, principal_plane
from recsys_spark.report.map_neighbours import nearest, neighbour_preservation, random_preservation, unit_length
from recsys_spark.report.map_page import ItemMap, map_page
from recsys_spark.storage.tables import Tables

__all__ = ["build_map", "map_path", "write_page"]

log = logging.getLogger(__name__)

CLUSTERS = "clusters"
GENRES = "genres"
# Neighbours of each item that measure the quality of a layout.
COMPARED_NEIGHBOURS = 10


def map_path(config: BaseConfig, model: ModelVersion) -> Path:
    """Return map.path, or its default; raise ConfigError if it is not a local path."""
    given = config.map.path
    path = local_path(given) if given is not None else Path(config.files_root) / "maps" / f"{model.version}.html"
    if path is None:
        raise ConfigError(f"map.path: {given} is not a local path: name a file on this machine")
    return path


def build_map(tables: Tables, config: BaseConfig, model: ModelVersion) -> tuple[ItemMap, dict[str, int]]:
    """Return the map of a model version's most played items, and its row counts.

    The driver holds at most map.max_items items with their vectors, and map.neighbours of each. Raises ConfigError for
    a kind without item vectors and for an attribute that no item has, MissingInputError without item_similarity.
    """
    settings = config.map
    vectors = load_model(config.files_root, model).item_vectors
    similar = read_similar_items(tables, model)
    items = read_map_items(tables, vectors, settings.colour or GENRES, settings.max_items)
    unit = unit_length(items.vectors)
    with step(f"computing the layout of {len(items.item_id):,} items"):
        near = nearest(unit, NEIGHBOURS)
        points = lay_out(unit, near, config.run.seed)
    compared = near[:, :COMPARED_NEIGHBOURS]
    log.info(
        "share of the %d nearest items of each item that stay nearest: %.1f %% on the map, %.1f %% on the two principal"
        " components, %.1f %% at random",
        compared.shape[1],
        100 * neighbour_preservation(compared, points),
        100 * neighbour_preservation(compared, principal_plane(unit)),
        100 * random_preservation(*compared.shape),
    )
    groups = _groups(config, items)
    neighbours = read_neighbours(similar, items.item_id, settings.neighbours)
    counts = {
        "items": len(items.item_id),
        "items_without_vector": items.without_vector,
        "groups": len(groups.names),
        "neighbours": sum(len(each.places) for each in neighbours),
    }
    shown = ItemMap(model.version, model.kind, items.item_id, items.name, items.users, points, groups, neighbours)
    return shown, counts


def write_page(path: Path, item_map: ItemMap) -> None:
    """Write the page of a map atomically; raise ConfigError if the path cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as draft:
            draft.write_text(map_page(item_map), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"map.path: {path} cannot be written: {error}") from error


def _groups(config: BaseConfig, items: MapItems) -> Groups:
    settings = config.map
    if settings.colour != CLUSTERS and any(items.text):
        return group_by_values(settings.colour or GENRES, items.text)
    if settings.colour not in (None, CLUSTERS):
        raise ConfigError(
            f"map.colour: no item on the map has an attribute {settings.colour!r}: choose another, or {CLUSTERS}"
        )
    clusters = k_means(unit_length(items.vectors), settings.clusters, config.run.seed)
    return group_by_clusters(clusters.tolist(), items.name)
