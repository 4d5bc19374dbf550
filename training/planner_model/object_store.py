"""The S3 object store of datasets, with the settings that every process of Trialstream uses."""

import os

from pyarrow import fs

from planner_model.errors import TrainingError


def open_object_store() -> fs.S3FileSystem:
    """A connection from S3_ENDPOINT, S3_REGION, S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY."""
    missing = [n for n in ("S3_REGION", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY") if not os.environ.get(n)]
    if missing:
        raise TrainingError(f"the dataset is in the object store, and {', '.join(missing)} is not set")
    endpoint = os.environ.get("S3_ENDPOINT", "")
    scheme, _, address = endpoint.rpartition("://")
    return fs.S3FileSystem(
        access_key=os.environ["S3_ACCESS_KEY_ID"],
        secret_key=os.environ["S3_SECRET_ACCESS_KEY"],
        region=os.environ["S3_REGION"],
        connect_timeout=5,
        request_timeout=60,
        **({"endpoint_override": address, "scheme": scheme or "https"} if endpoint else {}),
    )
