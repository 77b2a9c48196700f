"""Installation of the pinned Delta jars in pyspark: `python -m recsys_spark.runtime.delta_jars`.

Sessions, spark-submit and tests of this environment then have Delta on the class path, without `--packages`, and start
without network. pip does not track the jars: after a new installation of pyspark this command must run again. The
resolver of Spark downloads the jars and uses the mirrors in its configuration. Only jars with the committed checksums
are installed.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from recsys_spark.core.errors import RecsysError

__all__ = ["COORDINATES", "ensure_jars", "install_jar", "invalid_jars", "main", "pinned_jars"]

COORDINATES = "io.delta:delta-spark_2.13:4.0.1"
# pyspark contains this dependency; a second copy could be of another version.
SHIPPED_WITH_SPARK = "org.antlr:antlr4-runtime"
ATTEMPTS = 3


def pinned_jars() -> dict[str, str]:
    """Return file name -> SHA-256 of each jar, from the committed list (`sha256sum` format)."""
    lines = (files("recsys_spark") / "resources" / "delta-jars.sha256").read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def invalid_jars(folder: Path, pins: dict[str, str]) -> list[str]:
    """Return the pinned jars that are missing in `folder` or have another checksum."""
    return [name for name, digest in pins.items() if _sha256(folder / name) != digest]


def install_jar(source: Path, target: Path, digest: str) -> None:
    """Copy `source` to `target` atomically, if it has the pinned SHA-256.

    Raises RecsysError for another checksum, and for a folder that cannot be written.
    """
    found = _sha256(source)
    if found != digest:
        raise RecsysError(
            f"{target.name} was resolved with SHA-256 {found}, but {digest} is pinned, so it was not installed: "
            "check proxies, mirrors and the local Maven repository for another file"
        )
    try:
        with tempfile.TemporaryDirectory(prefix=".delta-jars-", dir=target.parent) as staging:
            copy = Path(shutil.copyfile(source, Path(staging) / target.name))
            copy.replace(target)
    except OSError as error:
        raise RecsysError(
            f"{target} cannot be written ({error.strerror}): use a virtual environment that you may change"
        ) from error


def ensure_jars(spark_home: Path, pins: dict[str, str]) -> list[str]:
    """Install exactly the pinned Delta jars in `spark_home` and return the names of new jars.

    Raises RecsysError when they cannot be resolved, or have another checksum.
    """
    folder = spark_home / "jars"
    invalid = invalid_jars(folder, pins)
    if invalid:
        with tempfile.TemporaryDirectory(prefix="delta-jars-") as work:
            resolved = _resolve(spark_home, Path(work))
            for name in invalid:
                install_jar(resolved / f"io.delta_{name}", folder / name, pins[name])
    for jar in _other_delta_jars(folder, pins):
        jar.unlink()
    return invalid


def main() -> int:
    """Install missing jars, print their names and return the exit code."""
    pyspark = find_spec("pyspark")
    try:
        if pyspark is None or pyspark.origin is None:
            raise RecsysError("pyspark is not installed in this environment: install it first")
        installed = ensure_jars(Path(pyspark.origin).parent, pinned_jars())
    except RecsysError as error:
        print(f"delta_jars: {error}", file=sys.stderr)
        return error.exit_code
    print(f"delta_jars: {'installed ' + ', '.join(installed) if installed else 'nothing to do'}")
    return 0


def _sha256(file: Path) -> str | None:
    if not file.is_file():
        return None
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _other_delta_jars(folder: Path, pins: dict[str, str]) -> list[Path]:
    # With two versions on the class path, the order of the folder would decide.
    found = [*folder.glob("*delta-spark_*.jar"), *folder.glob("*delta-storage-*.jar")]
    return [jar for jar in found if jar.name not in pins]


def _resolve(spark_home: Path, work: Path) -> Path:
    """Resolve the jars by submitting an empty script and return their folder."""
    script = work / "empty.py"
    script.touch()
    output = ""
    for attempt in range(ATTEMPTS):
        # A new folder for each attempt excludes the cache of the user and incomplete downloads.
        ivy = work / f"ivy-{attempt}"
        done = subprocess.run(
            [*_submission(spark_home, ivy), str(script)],
            env={**os.environ, "SPARK_HOME": str(spark_home), "SPARK_LOCAL_IP": "127.0.0.1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            return ivy / "jars"
        output = done.stdout
    print(output, file=sys.stderr)
    raise RecsysError(
        f"Spark could not resolve {COORDINATES}; its output is above: check the network and the JDK, "
        "set a mirror by spark.jars.ivySettings in spark-defaults.conf, "
        f"or copy {' and '.join(pinned_jars())} into {spark_home / 'jars'}"
    )


def _submission(spark_home: Path, ivy: Path) -> list[str]:
    settings = {
        "spark.master": "local[1]",
        "spark.jars.packages": COORDINATES,
        "spark.jars.excludes": SHIPPED_WITH_SPARK,
        "spark.jars.ivy": str(ivy),
        "spark.pyspark.python": sys.executable,
    }
    options = [part for key, value in settings.items() for part in ("--conf", f"{key}={value}")]
    return [str(spark_home / "bin" / "spark-submit"), *options]


if __name__ == "__main__":
    sys.exit(main())
