"""Features of items: values of attributes and words of names.

Both are text from outside. Values longer than MAX_FEATURE are left out, and text after the first MAX_TEXT characters
is ignored. Letters and digits of any script make words.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

__all__ = ["Vocabulary", "attribute_values", "feature_entries", "fit_vocabulary", "item_features"]

# (feature, items that have it), the most frequent first: a feature's number is its place.
Vocabulary = list[tuple[str, int]]

MAX_FEATURE, MAX_TEXT = 100, 5_000


def item_features(items: DataFrame) -> DataFrame:
    """Return the distinct features of items: (item_id STRING, features ARRAY<STRING>), sorted.

    `items` has item_id, name, attributes. Features are `key=value` for each value of an attribute, where `|` separates
    values, and `~word` for each word of the name, all in lower case. The array is empty without name and attributes.
    """
    attributes = F.coalesce("attributes", F.create_map().cast("map<string,string>"))
    values = F.flatten(F.transform(F.map_entries(attributes), _values))
    words = F.filter(F.split(_text(F.col("name")), r"[^\p{L}\p{M}\p{N}]+"), lambda word: word != "")
    features = F.concat(values, F.transform(words, lambda word: F.concat(F.lit("~"), word)))
    short = F.filter(features, lambda feature: F.length(feature) <= MAX_FEATURE)
    return items.select("item_id", F.array_sort(F.array_distinct(short)).alias("features"))


def attribute_values(text: Column) -> Column:
    """Return the values ARRAY<STRING> of an attribute: separated by `|`, trimmed, without empty ones."""
    return F.filter(F.split(F.trim(text), r"\s*\|\s*"), lambda value: value != "")


def fit_vocabulary(features: DataFrame, min_items: int, max_features: int) -> Vocabulary:
    """Return the features that at least `min_items` rows of `features` (features ARRAY<STRING>) have.

    Of equally frequent features the smaller text comes first. The driver receives at most `max_features` small rows.
    """
    counted = (
        features.select(F.explode("features").alias("feature")).groupBy("feature").agg(F.count("*").alias("items"))
    )
    frequent = counted.where(F.col("items") >= min_items).orderBy(F.desc("items"), "feature").limit(max_features)
    return [(row["feature"], row["items"]) for row in frequent.collect()]


def feature_entries(features: DataFrame, vocabulary: Vocabulary, n_items: int) -> DataFrame:
    """Return weighted feature numbers of items, from `features` (item_idx, features).

    Columns: item_idx INT, numbers ARRAY<INT> ascending, weights ARRAY<DOUBLE>. Items without a feature of the
    vocabulary have no row. The weight is log((1 + n) / (1 + items)) + 1, with `items` those of the `n_items` items
    that have the feature: rare features weigh more. The weights of an item are scaled to length 1, so that items with
    many features do not weigh more.
    """
    weighted = features.sparkSession.createDataFrame(
        [(feature, number, items) for number, (feature, items) in enumerate(vocabulary)],
        "feature STRING, number INT, items BIGINT",
    ).withColumn("weight", F.log((1 + n_items) / (1 + F.col("items"))) + 1)
    pairs = features.select("item_idx", F.explode("features").alias("feature"))
    found = pairs.join(F.broadcast(weighted), on="feature", how="inner")
    entries = found.groupBy("item_idx").agg(F.sort_array(F.collect_list(F.struct("number", "weight"))).alias("entries"))
    # Summed in the order of the sorted entries: the same sum for any partitioning.
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
