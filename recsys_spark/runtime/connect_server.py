"""Check of the Spark Connect server that SPARK_REMOTE names."""

import socket
from urllib.parse import urlsplit

from recsys_spark.core.errors import ConfigError

__all__ = ["check_server"]

DEFAULT_PORT = 15002
TIMEOUT_SECONDS = 10.0


def check_server(address: str) -> None:
    """Connect to a server once; pyspark itself would try for many minutes without a word.

    Args:
        address: `sc://HOST[:PORT][/;PARAMETERS]`.

    Raises:
        ConfigError: The address is no such address, or nothing listens there.
    """
    if address.startswith("local"):
        return  # pyspark starts a server of its own
    parts = urlsplit(address)
    try:
        host, port = parts.hostname, parts.port or DEFAULT_PORT
    except ValueError:
        host, port = None, 0
    if parts.scheme != "sc" or host is None:
        raise ConfigError(f"SPARK_REMOTE must be sc://HOST:PORT, got {address!r}")
    try:
        socket.create_connection((host, port), TIMEOUT_SECONDS).close()
    except OSError as error:
        raise ConfigError(
            f"no Spark Connect server answers at {host}:{port} ({error.strerror or error}): start it, correct"
            " SPARK_REMOTE, or unset SPARK_REMOTE for a local session"
        ) from error
