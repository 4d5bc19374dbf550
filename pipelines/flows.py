"""Scheduled work as thin flows: each submits jobs under keys made of its scheduled time, so that a repetition finds them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from prefect import Flow, flow
from prefect.runtime import flow_run

from jobs import run_job

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def _scheduled() -> datetime:
    """The time for which this run was scheduled, in UTC; a run started by hand has the time of its start."""
    return flow_run.scheduled_start_time.astimezone(UTC)


def _text(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


@flow(name="reconcile-hourly", log_prints=True)
def reconcile_hourly() -> None:
    """Compares the last three full hours of aggregates with a recount of the stored events, and repairs them."""
    end = _scheduled().replace(minute=0, second=0, microsecond=0)
    window = {"from": _text(end - 3 * HOUR), "to": _text(end), "repair": "yes"}
    run_job("reconcile", f"hourly-{end:%Y-%m-%dT%H}", window)


@flow(name="reconcile-daily", log_prints=True)
def reconcile_daily() -> None:
    """Compares and repairs the last two full days, for events that came late."""
    end = _scheduled().replace(hour=0, minute=0, second=0, microsecond=0)
    run_job("reconcile", f"daily-{end:%Y-%m-%d}", {"from": _text(end - 2 * DAY), "to": _text(end), "repair": "yes"})


@flow(name="upkeep-daily", log_prints=True)
def upkeep_daily() -> None:
    """Tables of coming days, and retention."""
    run_job("upkeep", f"daily-{_scheduled():%Y-%m-%d}", {})


@flow(name="promotion-checks", log_prints=True)
def promotion_checks() -> None:
    """One look at every promotion under way: takes the step that is due, or waits."""
    run_job("promotion-check", f"at-{_scheduled():%Y-%m-%dT%H-%M}", {})


@flow(name="compaction-hourly", log_prints=True)
def compaction_hourly() -> None:
    """One file for each hour of the archive that has closed."""
    run_job("compaction", f"hourly-{_scheduled():%Y-%m-%dT%H}", {})


def _dataset_of(day: datetime) -> dict[str, Any]:
    cutoff = day.replace(hour=0, minute=0, second=0, microsecond=0)
    return run_job("dataset-build", f"daily-{cutoff:%Y-%m-%d}", {"model": "planner", "label-cutoff": _text(cutoff)})


@flow(name="dataset-daily", log_prints=True)
def dataset_daily() -> None:
    """A dataset version of everything before today."""
    _dataset_of(_scheduled())


def _trained_on(day: datetime, model: str) -> tuple[str, str, str]:
    """The key of the training, the model version and its dataset."""
    dataset = str(_dataset_of(day)["result"]["datasetVersion"])
    key = f"daily-{model.replace('/', '-')}-{dataset[:12]}"
    result = run_job("training", key, {"model": model, "dataset": dataset})["result"]
    return key, f"{result['model']}/{result['version']}", dataset


@flow(name="training-daily", log_prints=True)
def training_daily(model: str = "tiny") -> None:
    """A model version trained on today's dataset; the same dataset trains nothing new."""
    _trained_on(_scheduled(), model)


@flow(name="replay-daily", log_prints=True)
def replay_daily(model: str = "tiny") -> None:
    """Today's model version judged on the test split of its dataset; a pass makes it a candidate."""
    key, version, dataset = _trained_on(_scheduled(), model)
    run_job("offline-replay", key, {"model": version, "dataset": dataset})


# In UTC. The dataset comes after the reconciliation of its day, the training after its dataset.
SCHEDULES: dict[str, tuple[Flow[..., None], str]] = {
    "promotion-checks": (promotion_checks, "*/5 * * * *"),
    "reconcile-hourly": (reconcile_hourly, "10 * * * *"),
    "compaction-hourly": (compaction_hourly, "25 * * * *"),
    "upkeep-daily": (upkeep_daily, "30 0 * * *"),
    "reconcile-daily": (reconcile_daily, "30 1 * * *"),
    "dataset-daily": (dataset_daily, "30 2 * * *"),
    "training-daily": (training_daily, "30 3 * * *"),
    "replay-daily": (replay_daily, "30 4 * * *"),
}
