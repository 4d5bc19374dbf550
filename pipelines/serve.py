"""Registers the flows with their schedules at the Prefect server and runs them when they are due: python serve.py --help."""

import argparse
from datetime import timedelta

from prefect import serve
from prefect.deployments.runner import RunnerDeployment

from flows import SCHEDULES


def main() -> None:
    """Runs until it is stopped."""
    parser = argparse.ArgumentParser(prog="serve.py", description="Runs the scheduled flows.", allow_abbrev=False)
    parser.add_argument("--only", action="append", choices=SCHEDULES, help="only this flow; repeatable")
    parser.add_argument("--every", type=int, metavar="SECONDS", help="instead of the schedules, for a try")
    options = parser.parse_args()
    deployments: list[RunnerDeployment] = []
    for name, (flow, cron) in SCHEDULES.items():
        if options.only is not None and name not in options.only:
            continue
        schedule = {"cron": cron} if options.every is None else {"interval": timedelta(seconds=options.every)}
        deployment = flow.to_deployment(name="scheduled", **schedule)
        # Outside of an event loop it is never a coroutine.
        assert isinstance(deployment, RunnerDeployment)
        deployments.append(deployment)
    serve(*deployments, limit=2, print_starting_message=False)


if __name__ == "__main__":
    main()
