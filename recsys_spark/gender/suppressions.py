"""Users of whom no gender is to be known: kept as keyed hashes, so that the table names nobody.

A plain hash of an id can be found out by hashing all ids; without the key these cannot.
"""

import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf

from recsys_spark.core.errors import ConfigError
from recsys_spark.runtime.job import JobRun
from recsys_spark.storage.tables import Tables

__all__ = ["GENDER_SCOPES", "suppress", "user_hash", "without_suppressed"]

TABLE = "suppressions"
# Whoever wants nothing to be known does not want this either.
GENDER_SCOPES = ("gender", "all")
# One row of this scope is the hash of no id: by it a wrong key is recognised.
KEY_SCOPE, NO_ID = "key", ""


def user_hash(key: str) -> Callable[[str], Column]:
    """HMAC-SHA-256 (RFC 2104) of a column of ids, in lower-case hexadecimal.

    A function of Python's, though Spark could hash: what stands in a plan is shown to whoever looks at its interface.
    """
    secret = key.encode()

    @pandas_udf("string")  # type: ignore[call-overload,untyped-decorator]
    def hashed(ids: pd.Series) -> pd.Series:  # type: ignore[type-arg]
        return ids.map(lambda name: hmac.new(secret, name.encode(), hashlib.sha256).hexdigest(), na_action="ignore")

    return lambda column: hashed(F.col(column))


def suppress(run: JobRun, users: DataFrame) -> int:
    """Adds `users` (user_id) under the scope gender; who is there already stays as is. Returns how many were new.

    Raises ConfigError without a key, or with another one than before.
    """
    run.tables.ensure(TABLE)
    key = _checked_key(run)
    hashed = users.select(user_hash(key)("user_id").alias("user_hash")).distinct()
    first = run.spark.createDataFrame([(_hash_of_empty_id(key), KEY_SCOPE)], "user_hash STRING, scope STRING")
    rows = hashed.withColumn("scope", F.lit("gender")).unionByName(first)
    known = run.tables.read(TABLE).select("user_hash", "scope")
    new = rows.join(known, on=["user_hash", "scope"], how="left_anti").localCheckpoint()
    number = new.where(F.col("scope") != KEY_SCOPE).count()
    if number:
        dated = new.withColumn("created_at", F.lit(datetime.now(UTC)))
        run.tables.merge(TABLE, dated, ("user_hash", "scope"), None)
    return number


def without_suppressed(run: JobRun, users: DataFrame, scopes: tuple[str, ...] = GENDER_SCOPES) -> DataFrame:
    """Rows with a user_id, without those of suppressed users.

    Raises ConfigError where there are suppressions and not the key to recognise users by.
    """
    if not run.tables.exists(TABLE):
        return users
    rows = run.tables.read(TABLE).where(F.col("scope").isin(*scopes))
    if rows.isEmpty():
        return users
    hashed = users.withColumn("user_hash", user_hash(_checked_key(run))("user_id"))
    return hashed.join(rows.select("user_hash"), on="user_hash", how="left_anti").drop("user_hash")


def _checked_key(run: JobRun) -> str:
    key = run.config.suppress.key
    if key is None:
        raise ConfigError(
            "suppress.key is not set, so suppressed users cannot be recognised: set RECSYS_SUPPRESS__KEY to the key "
            "that they were suppressed with"
        )
    before = _hash_of_key(run.tables)
    if before is not None and not hmac.compare_digest(before, _hash_of_empty_id(key)):
        raise ConfigError("suppress.key is not the key that users were suppressed with: nobody would be recognised")
    return key


def _hash_of_key(tables: Tables) -> str | None:
    row = tables.read(TABLE).where(F.col("scope") == KEY_SCOPE).select("user_hash").first()
    return None if row is None else str(row["user_hash"])


def _hash_of_empty_id(key: str) -> str:
    return hmac.new(key.encode(), NO_ID.encode(), hashlib.sha256).hexdigest()
