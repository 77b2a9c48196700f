"""Archive of the Java classes that Spark loads: `python -m recsys_spark.runtime.class_archive`.

Most of the start of a local session is reading and checking some ten thousand classes. The JVM can store them once in
a file and map it at each start (class data sharing, JEP 350). The archive belongs to one JDK and one set of jars; it
lies beside the jars, and sessions use it where it is. For another JDK or other jars the command makes another one.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from recsys_spark.core.errors import RecsysError

__all__ = ["archive_file", "archive_option", "main", "make_archive"]

# A pipeline of a few rows loads the classes of most jobs.
WORKLOAD = [
    *("--sample.users", "60", "--sample.items", "50", "--sample.rows", "1500", "--models.als.max_iter", "2"),
    *("--models.als.rank", "4", "--pipeline.kinds", "als", "--pipeline.report", "false", "--spark.small_data", "true"),
]
# Options of the driver's JVM that spark-submit and pyspark read from the environment.
DRIVER_OPTIONS = "SPARK_SUBMIT_OPTS"


def archive_file() -> Path | None:
    """Return the place of the archive for this JDK and these jars; None if one is missing."""
    home, pyspark = os.environ.get("JAVA_HOME"), find_spec("pyspark")
    java = shutil.which(str(Path(home) / "bin" / "java") if home else "java")
    if java is None or pyspark is None or pyspark.origin is None:
        return None
    folder = Path(pyspark.origin).parent / "jars"
    # The JVM compares names, sizes and times too, and loads no archive of other classes.
    parts = [(file.name, file.stat()) for file in sorted(folder.glob("*.jar"))]
    parts.append((str(Path(java).resolve()), Path(java).resolve().stat()))
    text = "\n".join(f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in parts)
    return folder.parent / f"recsys-classes-{hashlib.sha256(text.encode()).hexdigest()[:16]}.jsa"


def archive_option() -> str:
    """Return the JVM options that use the archive; empty where there is none."""
    file = archive_file()
    if file is None or not file.exists() or "ArchiveClassesAtExit" in os.environ.get(DRIVER_OPTIONS, ""):
        return ""
    if " " in str(file):  # Spark splits the options at blanks.
        return ""
    # By default the JVM prints a warning to stdout when an archive does not fit.
    return f"-XX:SharedArchiveFile={file} -Xlog:disable -Xlog:all=error:stderr "


def make_archive(file: Path) -> None:
    """Run a small pipeline whose JVM writes its classes to `file` when it ends.

    A JVM crashes on half an archive, so the file gets its name only when it is complete.

    Raises RecsysError when the pipeline fails, or its folder cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".recsys-classes-", dir=file.parent) as work:
            draft = Path(work) / file.name
            _run_workload(Path(work), draft)
            if not draft.exists():
                raise RecsysError("the JVM wrote no archive of classes: JDK 17 or 21 is needed")
            draft.replace(file)
    except OSError as error:
        raise RecsysError(
            f"{file} cannot be written ({error.strerror}): use a virtual environment that you may change"
        ) from error
    for other in file.parent.glob("recsys-classes-*.jsa"):
        if other != file:
            other.unlink()


def main() -> int:
    """Make the archive unless it exists, print its place and return the exit code."""
    file = archive_file()
    try:
        if file is None:
            raise RecsysError("there is no JDK or no pyspark: install JDK 17 or 21, and this package with Spark")
        if not file.exists():
            make_archive(file)
    except RecsysError as error:
        print(f"class_archive: {error}", file=sys.stderr)
        return error.exit_code
    print(f"class_archive: {file}")
    return 0


def _run_workload(work: Path, draft: Path) -> None:
    """Run the pipeline; return when its JVM has ended, which is later than its Python."""
    command = [sys.executable, "-m", "recsys_spark.jobs.run_pipeline", "--tables.root", str(work / "tables"), *WORKLOAD]
    environment = {**os.environ, DRIVER_OPTIONS: f"-XX:ArchiveClassesAtExit={draft}"}
    # The JVM holds the pipe too, so this waits for both.
    done = subprocess.run(
        command, env=environment, cwd=work, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode != 0:
        raise RecsysError(f"the pipeline that loads the classes failed:\n{done.stdout[-2_000:]}")


if __name__ == "__main__":
    sys.exit(main())
