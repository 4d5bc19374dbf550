"""Submits a job to the queue with the operators' command line and waits for its end."""

import json
import subprocess
from pathlib import Path
from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

ROOT = Path(__file__).parent.parent


class JobEndedBadlyError(Exception):
    """The job is dead or cancelled: it had its own attempts, and a person decides what comes next."""


def _is_worth_a_retry(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Trouble on the way to the queue is; a job that has ended is not."""
    result = state.result(raise_on_failure=False)
    return not isinstance(result, JobEndedBadlyError)


@task(retries=5, retry_delay_seconds=[5, 10, 20, 40, 80], retry_condition_fn=_is_worth_a_retry, persist_result=False)
def run_job(kind: str, key: str, parameters: dict[str, str]) -> dict[str, Any]:
    """Gives the result of the job with this key, which is submitted unless it is there; so a retry does nothing twice."""
    given = [part for name, value in parameters.items() for part in ("--param", f"{name}={value}")]
    command = ["node", "ops/main.ts", "jobs", "submit", kind, "--key", key, *given, "--wait", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if not done.stdout.strip():
        raise RuntimeError(done.stderr.strip() or f"ops ended with exit code {done.returncode}")
    job: dict[str, Any] = json.loads(done.stdout)
    create_markdown_artifact(key=f"job-{kind}", markdown=_describe(job), description=f"job {kind}/{key}")
    if job["state"] != "completed":
        raise JobEndedBadlyError(f"the job {kind}/{key} is {job['state']}: {job['error']}")
    return job


def _describe(job: dict[str, Any]) -> str:
    result = json.dumps(job["result"], indent=2)
    rows = [(name, job[name]) for name in ("state", "submittedAt", "startedAt", "endedAt", "failedAttempts", "error")]
    table = "\n".join(f"| {name} | {'' if value is None else value} |" for name, value in rows)
    return f"# {job['kind']}/{job['key']}\n\n| | |\n|---|---|\n{table}\n\n```json\n{result}\n```\n"
