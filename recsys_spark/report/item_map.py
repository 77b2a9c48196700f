"""A model's items as a map: from the tables to a file."""

import logging
from pathlib import Path

from recsys_spark.core.atomic_files import atomic_write
from recsys_spark.core.errors import ConfigError
from recsys_spark.core.logs import step
from recsys_spark.core.paths import local_path
from recsys_spark.models.versions import ModelVersion
from recsys_spark.recommend.stored_model import open_model
from recsys_spark.report.map_clusters import k_means
from recsys_spark.report.map_groups import Groups, groups_of_clusters, groups_of_values
from recsys_spark.report.map_items import MapItems, map_items, neighbours_on_map, similar_items
from recsys_spark.report.map_layout import NEIGHBOURS, lay_out, principal_plane
from recsys_spark.report.map_nearest import nearest, unit_length
from recsys_spark.report.map_page import ItemMap, map_page
from recsys_spark.report.map_preservation import kept_by_chance, kept_neighbours
from recsys_spark.runtime.job import JobRun

__all__ = ["build_map", "map_path", "write_page"]

log = logging.getLogger(__name__)

CLUSTERS = "clusters"
GENRES = "genres"
# Neighbours that a layout is judged by.
JUDGED = 10


def map_path(run: JobRun, model: ModelVersion) -> Path:
    """map.path, or its default. Raises ConfigError where it is no local path."""
    wanted = run.config.map.path
    path = local_path(wanted) if wanted is not None else Path(run.config.files_root) / "maps" / f"{model.version}.html"
    if path is None:
        raise ConfigError(f"map.path: {wanted} is not a local path")
    return path


def build_map(run: JobRun, model: ModelVersion) -> ItemMap:
    """The map of a version's most played items.

    The driver holds at most map.max_items items with their vectors, and map.neighbours of each. Raises ConfigError for
    a kind without item vectors and an attribute that no item has, MissingInputError without item_similarity.
    """
    vectors = open_model(run, model).item_vectors
    similar = similar_items(run, model)
    items = map_items(run, vectors, run.config.map.colour or GENRES)
    unit = unit_length(items.vectors)
    with step(f"layout of {len(items.item_id)} items"):
        near = nearest(unit, NEIGHBOURS)
        points = lay_out(unit, near, run.config.run.seed)
    judged = near[:, :JUDGED]
    log.info(
        "of the %d nearest items of each the map keeps %.1f %%; the two principal components %.1f %%, chance %.1f %%",
        judged.shape[1],
        100 * kept_neighbours(judged, points),
        100 * kept_neighbours(judged, principal_plane(unit)),
        100 * kept_by_chance(*judged.shape),
    )
    groups = _groups(run, items)
    neighbours = neighbours_on_map(run, similar, items.item_id)
    run.count(groups=len(groups.names), neighbours=sum(len(each.places) for each in neighbours))
    return ItemMap(model.version, model.kind, items.item_id, items.name, items.users, points, groups, neighbours)


def write_page(path: Path, item_map: ItemMap) -> None:
    """In one step: nobody opens half a page. Raises ConfigError where the path cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as draft:
            draft.write_text(map_page(item_map), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"map.path: {path} cannot be written: {error}") from error


def _groups(run: JobRun, items: MapItems) -> Groups:
    settings = run.config.map
    if settings.colour != CLUSTERS and any(items.text):
        return groups_of_values(settings.colour or GENRES, items.text)
    if settings.colour not in (None, CLUSTERS):
        raise ConfigError(f"map.colour: no item on the map has an attribute {settings.colour!r}")
    clusters = k_means(unit_length(items.vectors), settings.clusters, run.config.run.seed)
    return groups_of_clusters(clusters.tolist(), items.name)
