"""Users of whom nothing, or no gender, is to be known: kept as keyed hashes, so that the table names nobody.

A plain hash of an id can be found out by hashing all ids; without the key these cannot.
"""

import hashlib
from datetime import UTC, datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark.errors import ConfigError
from recsys_spark.job import JobRun

__all__ = ["GENDER_SCOPES", "suppress", "user_hash", "without_suppressed"]

# Whoever wants nothing to be known does not want this either.
GENDER_SCOPES = ("gender", "all")
BLOCK_BYTES = 64


def user_hash(column: str, key: str) -> Column:
    """HMAC-SHA-256 of a column of ids (RFC 2104), in lower-case hexadecimal."""
    secret = key.encode()
    if len(secret) > BLOCK_BYTES:
        secret = hashlib.sha256(secret).digest()
    secret = secret.ljust(BLOCK_BYTES, b"\0")
    inner, outer = (F.lit(bytearray(byte ^ mask for byte in secret)) for mask in (0x36, 0x5C))
    digest = F.sha2(F.concat(inner, F.encode(column, "UTF-8")), 256)
    return F.sha2(F.concat(outer, F.unhex(digest)), 256)


def suppress(run: JobRun, users: DataFrame, scope: str) -> int:
    """Adds `users` (user_id) under a scope; who is there already stays as is. Returns how many were new.

    Raises ConfigError without a key.
    """
    key = _key(run)
    run.tables.ensure("suppressions")
    hashed = users.select(user_hash("user_id", key).alias("user_hash")).distinct()
    rows = hashed.withColumns({"scope": F.lit(scope), "created_at": F.lit(datetime.now(UTC))})
    known = run.tables.read("suppressions").select("user_hash", "scope")
    new = rows.join(known, on=["user_hash", "scope"], how="left_anti").localCheckpoint()
    number = new.count()
    if number:
        run.tables.merge("suppressions", new, ("user_hash", "scope"), None)
    return number


def without_suppressed(run: JobRun, users: DataFrame, scopes: tuple[str, ...] = GENDER_SCOPES) -> DataFrame:
    """Rows with a user_id, without those of suppressed users.

    Raises ConfigError where there are suppressions and no key to recognise users by.
    """
    if not run.tables.exists("suppressions"):
        return users
    rows = run.tables.read("suppressions").where(F.col("scope").isin(*scopes))
    if rows.isEmpty():
        return users
    hashed = users.withColumn("user_hash", user_hash("user_id", _key(run)))
    return hashed.join(rows.select("user_hash"), on="user_hash", how="left_anti").drop("user_hash")


def _key(run: JobRun) -> str:
    key = run.config.suppress.key
    if key is None:
        raise ConfigError(
            "suppress.key is not set, so suppressed users cannot be recognised: set RECSYS_SUPPRESS__KEY to the key "
            "that they were suppressed with"
        )
    return key
