"""Users excluded from gender prediction, stored as keyed hashes of their ids.

A plain hash can be reversed by hashing all ids. A keyed hash cannot be reversed without the key.
"""

import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf

from recsys_spark.config.gender import SuppressSettings
from recsys_spark.core.errors import ConfigError
from recsys_spark.storage.tables import Tables

__all__ = ["GENDER_SCOPES", "suppress", "user_hash", "without_suppressed"]

TABLE = "suppressions"
# The scope `all` includes gender.
GENDER_SCOPES = ("gender", "all")
# One row of this scope is the hash of an empty id, by which a wrong key is detected.
KEY_SCOPE, NO_ID = "key", ""


def user_hash(key: str) -> Callable[[str], Column]:
    """Return a function that hashes a column of ids by HMAC-SHA-256 (RFC 2104).

    The hash is lower-case hexadecimal. It is computed in Python and not by a Spark expression, as Spark shows the
    literals of a plan, and so the key, in its user interface.
    """
    secret = key.encode()

    @pandas_udf("string")  # type: ignore[call-overload,untyped-decorator]
    def hashed(ids: pd.Series) -> pd.Series:  # type: ignore[type-arg]
        return ids.map(lambda name: hmac.new(secret, name.encode(), hashlib.sha256).hexdigest(), na_action="ignore")

    return lambda column: hashed(F.col(column))


def suppress(tables: Tables, users: DataFrame, settings: SuppressSettings) -> int:
    """Add `users` (user_id) under the scope gender and return the number of new ones.

    Raises ConfigError without a key, or with another key than before.
    """
    tables.ensure(TABLE)
    key = _checked_key(tables, settings)
    hashed = users.select(user_hash(key)("user_id").alias("user_hash")).distinct()
    key_row = tables.spark.createDataFrame([(_hash_of_empty_id(key), KEY_SCOPE)], "user_hash STRING, scope STRING")
    rows = hashed.withColumn("scope", F.lit("gender")).unionByName(key_row)
    recorded = tables.read(TABLE).select("user_hash", "scope")
    new = rows.join(recorded, on=["user_hash", "scope"], how="left_anti").localCheckpoint()
    number = new.where(F.col("scope") != KEY_SCOPE).count()
    if number:
        dated = new.withColumn("created_at", F.lit(datetime.now(UTC)))
        tables.merge(TABLE, dated, ("user_hash", "scope"), None)
    return number


def without_suppressed(
    tables: Tables, users: DataFrame, settings: SuppressSettings, scopes: tuple[str, ...] = GENDER_SCOPES
) -> DataFrame:
    """Return the rows (user_id, ...) of users who are not suppressed.

    Raises ConfigError where there are suppressions but no key, or another key.
    """
    if not tables.exists(TABLE):
        return users
    rows = tables.read(TABLE).where(F.col("scope").isin(*scopes))
    if rows.isEmpty():
        return users
    hashed = users.withColumn("user_hash", user_hash(_checked_key(tables, settings))("user_id"))
    return hashed.join(rows.select("user_hash"), on="user_hash", how="left_anti").drop("user_hash")


def _checked_key(tables: Tables, settings: SuppressSettings) -> str:
    key = settings.key
    if key is None:
        raise ConfigError(
            "suppress.key is not set, so suppressed users cannot be recognised: set RECSYS_SUPPRESS__KEY to the key "
            "that they were suppressed with"
        )
    before = _hash_of_key(tables)
    if before is not None and not hmac.compare_digest(before, _hash_of_empty_id(key)):
        raise ConfigError(
            "suppress.key is not the key that users were suppressed with, so they cannot be recognised: set "
            "RECSYS_SUPPRESS__KEY to that key"
        )
    return key


def _hash_of_key(tables: Tables) -> str | None:
    row = tables.read(TABLE).where(F.col("scope") == KEY_SCOPE).select("user_hash").first()
    return None if row is None else str(row["user_hash"])


def _hash_of_empty_id(key: str) -> str:
    return hmac.new(key.encode(), NO_ID.encode(), hashlib.sha256).hexdigest()
