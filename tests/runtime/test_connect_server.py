"""The address in SPARK_REMOTE is tried before pyspark, which would wait for minutes."""

import socket

import pytest

from recsys_spark.core.errors import ConfigError
from recsys_spark.runtime import session
from recsys_spark.runtime.connect_server import check_server


def test_a_server_that_listens_passes():
    with socket.create_server(("127.0.0.1", 0)) as server:
        check_server(f"sc://127.0.0.1:{server.getsockname()[1]}/;user_id=a")
    check_server("local[2]")


def test_a_port_without_server_is_named_with_the_remedy():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ConfigError, match=f"no Spark Connect server answers at 127.0.0.1:{port}.*unset SPARK_REMOTE"):
        check_server(f"sc://127.0.0.1:{port}")


@pytest.mark.parametrize("address", ["http://a:1", "sc://", "sc://a:port", "a"])
def test_other_addresses_are_refused(address):
    with pytest.raises(ConfigError, match="must be sc://HOST:PORT"):
        check_server(address)


def test_a_missing_client_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setenv("SPARK_REMOTE", "sc://a:1")
    monkeypatch.setattr(session, "check_server", lambda address: None)

    class Builder:
        def getOrCreate(self):
            raise ImportError("grpcio >= 1.48.1 must be installed")

    monkeypatch.setattr(session, "SparkSession", type("SparkSession", (), {"builder": Builder()}))
    with pytest.raises(ConfigError, match=r"grpcio >= 1\.48\.1 must be installed.*: run "):
        session._submitted_session()
