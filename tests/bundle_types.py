"""Check of a job against the types of Databricks' SDK.

The types are generated from the interface of the platform. Run by the Python of .venv-deploy:
bundle_types.py < job.json; what the types keep of the job is printed as JSON.
"""

import json
import sys

from databricks.sdk.service.jobs import JobSettings

if __name__ == "__main__":
    # Unknown keys and values of enumerations are left out.
    print(json.dumps(JobSettings.from_dict(json.load(sys.stdin)).as_dict()))
