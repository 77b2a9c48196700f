"""DAGs of a folder as Airflow loads them, and outcomes of their first tasks.

Run by the Python of .venv-deploy: airflow_tasks.py FOLDER CODE ...; the last line of stdout is a JSON object with
import errors, tasks, and the error of the first task for each exit code. The spark-submit on PATH takes the code from
the variable CODE.
"""

import json
import os
import sys
from typing import Any

from airflow.dag_processing.dagbag import DagBag


def described(dag: Any) -> dict[str, Any]:
    """Return the settings of a DAG and its tasks in topological order."""
    tasks = [
        {
            "task_id": task.task_id,
            "application": task.application,
            "application_args": task.application_args,
            "properties_file": task.properties_file,
            "conf": task.conf,
            "retries": task.retries,
            "upstream": sorted(task.upstream_task_ids),
        }
        for task in dag.topological_sort()
    ]
    return {"max_active_runs": dag.max_active_runs, "catchup": dag.catchup, "tasks": tasks}


def outcome(dag: Any, code: str) -> str | None:
    """Run the first task of a DAG; return the name of its error."""
    os.environ["CODE"] = code
    try:
        dag.topological_sort()[0].execute({})
    except Exception as error:
        return type(error).__name__
    return None


if __name__ == "__main__":
    bag = DagBag(sys.argv[1])
    dags = {
        name: {**described(dag), "outcomes": {code: outcome(dag, code) for code in sys.argv[2:]}}
        for name, dag in bag.dags.items()
    }
    print(json.dumps({"errors": bag.import_errors, "dags": dags}))
