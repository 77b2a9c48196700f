"""Puts the pinned Delta jars among the jars of the installed pyspark: `python -m recsys_spark.runtime.delta_jars`.

Sessions, spark-submit and tests of this environment then have Delta on the class path, with no `--packages`,
no resolution at each start and no network. The price is a change that pip knows nothing of: a pyspark
installed afresh has lost the jars, and this has to run again. Spark's own resolver fetches them, so a mirror
is named where Spark looks for one; the committed checksums decide what is let in.
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

__all__ = ["COORDINATES", "ensure_jars", "install_jar", "main", "pinned_jars", "unfit_jars"]

COORDINATES = "io.delta:delta-spark_2.13:4.0.1"
# pyspark ships this dependency itself; a second copy could only disagree with it.
SHIPPED_WITH_SPARK = "org.antlr:antlr4-runtime"
ATTEMPTS = 3


def pinned_jars() -> dict[str, str]:
    """File name -> SHA-256 of each jar, from the committed list (the format of `sha256sum`)."""
    lines = (files("recsys_spark") / "resources" / "delta-jars.sha256").read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def unfit_jars(folder: Path, pins: dict[str, str]) -> list[str]:
    """The pinned jars that `folder` lacks or holds with other bytes."""
    return [name for name, digest in pins.items() if _sha256(folder / name) != digest]


def install_jar(source: Path, target: Path, digest: str) -> None:
    """Copies `source` to `target` in one step, if it has the pinned SHA-256.

    A process killed half-way leaves no half a jar: the copy becomes a `.jar` by a rename only.
    Raises RecsysError for other bytes, and for a folder that cannot be written.
    """
    found = _sha256(source)
    if found != digest:
        raise RecsysError(
            f"{target.name} was resolved with SHA-256 {found}, but {digest} is pinned: it is not installed. "
            "Look for a proxy, mirror or local Maven repository that serves another file."
        )
    try:
        with tempfile.TemporaryDirectory(prefix=".delta-jars-", dir=target.parent) as staging:
            copy = Path(shutil.copyfile(source, Path(staging) / target.name))
            copy.replace(target)
    except OSError as error:
        raise RecsysError(
            f"{target} cannot be written ({error.strerror}): install into a virtual environment of your own"
        ) from error


def ensure_jars(spark_home: Path, pins: dict[str, str]) -> list[str]:
    """Brings the jars folder of `spark_home` to exactly the pinned Delta jars; returns the names installed.

    Raises RecsysError when they cannot be resolved, or are not what was pinned.
    """
    folder = spark_home / "jars"
    unfit = unfit_jars(folder, pins)
    if unfit:
        with tempfile.TemporaryDirectory(prefix="delta-jars-") as work:
            resolved = _resolve(spark_home, Path(work))
            for name in unfit:
                install_jar(resolved / f"io.delta_{name}", folder / name, pins[name])
    for jar in _other_delta_jars(folder, pins):
        jar.unlink()
    return unfit


def main() -> int:
    """Installs what is missing and says so; returns the exit code."""
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
    # Two versions on one class path: the order of the folder would choose between them.
    found = [*folder.glob("*delta-spark_*.jar"), *folder.glob("*delta-storage-*.jar")]
    return [jar for jar in found if jar.name not in pins]


def _resolve(spark_home: Path, work: Path) -> Path:
    """The folder of resolved jars: submitting a script that does nothing leaves the resolution alone."""
    script = work / "nothing.py"
    script.touch()
    words = ""
    for attempt in range(ATTEMPTS):
        # A private folder, new each time: neither the user's cache nor a file half loaded has a say.
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
        words = done.stdout
    print(words, file=sys.stderr)
    raise RecsysError(
        f"Spark could not resolve {COORDINATES}, its words are above. Check the network and the JDK, "
        "name a mirror by spark.jars.ivySettings in spark-defaults.conf, "
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
