"""What is said of items, as features: values of attributes, and words of names.

Both are other people's text. Values that are longer than any category are left out, and so is what comes after the
first few thousand characters; letters and digits of any script make words.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

__all__ = ["Vocabulary", "attribute_values", "feature_entries", "fit_vocabulary", "item_features"]

# (feature, items that have it), the most frequent first: a feature's number is its place.
Vocabulary = list[tuple[str, int]]

MAX_FEATURE, MAX_TEXT = 100, 5_000


def item_features(items: DataFrame) -> DataFrame:
    """(item_id STRING, features ARRAY<STRING>) of `items` (item_id, name, attributes), different ones, sorted.

    `key=value` for each of an attribute's values, which `|` parts, and `~word` for each word of the name, all in lower
    case. Empty where nothing is known.
    """
    attributes = F.coalesce("attributes", F.create_map().cast("map<string,string>"))
    values = F.flatten(F.transform(F.map_entries(attributes), _values))
    words = F.filter(F.split(_text(F.col("name")), r"[^\p{L}\p{M}\p{N}]+"), lambda word: word != "")
    said = F.concat(values, F.transform(words, lambda word: F.concat(F.lit("~"), word)))
    kept = F.filter(said, lambda feature: F.length(feature) <= MAX_FEATURE)
    return items.select("item_id", F.array_sort(F.array_distinct(kept)).alias("features"))


def attribute_values(text: Column) -> Column:
    """ARRAY<STRING>: what an attribute lists, parted by `|`, without space around it; empty ones are left out."""
    return F.filter(F.split(F.trim(text), r"\s*\|\s*"), lambda value: value != "")


def fit_vocabulary(features: DataFrame, min_items: int, max_features: int) -> Vocabulary:
    """The features that at least `min_items` rows of `features` (features ARRAY<STRING>) have; of equally frequent
    ones the smaller text comes first. At most `max_features` small rows reach the driver.
    """
    counted = (
        features.select(F.explode("features").alias("feature")).groupBy("feature").agg(F.count("*").alias("items"))
    )
    frequent = counted.where(F.col("items") >= min_items).orderBy(F.desc("items"), "feature").limit(max_features)
    return [(row["feature"], row["items"]) for row in frequent.collect()]


def feature_entries(features: DataFrame, vocabulary: Vocabulary, n_items: int) -> DataFrame:
    """(item_idx INT, numbers ARRAY<INT> ascending, weights ARRAY<DOUBLE>) of `features` (item_idx, features); items
    without a known feature have no row.

    A feature weighs the more the fewer of the `n_items` items have it, log((1 + n) / (1 + items)) + 1, and the weights
    of an item are scaled to length 1, so that items of which much is said do not weigh more.
    """
    known = features.sparkSession.createDataFrame(
        [(feature, number, items) for number, (feature, items) in enumerate(vocabulary)],
        "feature STRING, number INT, items BIGINT",
    ).withColumn("weight", F.log((1 + n_items) / (1 + F.col("items"))) + 1)
    pairs = features.select("item_idx", F.explode("features").alias("feature"))
    found = pairs.join(F.broadcast(known), on="feature", how="inner")
    entries = found.groupBy("item_idx").agg(F.sort_array(F.collect_list(F.struct("number", "weight"))).alias("entries"))
    # Summed in the order of the sorted entries: the same however the items are spread.
    square = F.aggregate("entries", F.lit(0.0), lambda total, entry: total + entry.weight * entry.weight)
    return entries.withColumn("length", F.sqrt(square)).select(
        "item_idx",
        F.col("entries.number").alias("numbers"),
        F.transform("entries", lambda entry: entry.weight / F.col("length")).alias("weights"),
    )


def _values(entry: Column) -> Column:
    key = F.concat(_text(entry.key), F.lit("="))
    return F.transform(attribute_values(_text(entry.value)), lambda value: F.concat(key, value))


def _text(text: Column) -> Column:
    return F.lower(F.trim(F.substring(F.coalesce(text, F.lit("")), 1, MAX_TEXT)))
