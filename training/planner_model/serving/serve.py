"""Starts the inference process and runs it until a signal."""

import asyncio
import logging
import signal

import uvicorn

from planner_model.errors import TrainingError
from planner_model.serving.app import Serving, create_app
from planner_model.serving.batching import PlanBatcher
from planner_model.serving.exposition import ServingMetrics
from planner_model.serving.log_lines import open_log, write_line
from planner_model.serving.model_shelf import ModelUnavailableError, UnknownModelError, create_shelf
from planner_model.serving.options import ServingOptions

DRAIN_SECONDS = 20


def serve(options: ServingOptions) -> None:
    """Serves until SIGTERM or SIGINT: no new connections then, and what has begun is answered first.

    Raises TrainingError when a named version cannot be loaded.
    """
    # The server takes the signals while it runs and hands them on when it has drained: the process then ends by itself.
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: None)
    asyncio.run(_serve(options))


async def _serve(options: ServingOptions) -> None:
    metrics = ServingMetrics()
    serving = Serving(
        options,
        create_shelf(options.mlflow_url, options.max_models, metrics),
        PlanBatcher(max_batch=options.max_batch, max_queue=options.max_queue, metrics=metrics),
        metrics,
        open_log(options.log_level),
    )
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(serving),
            host=options.host,
            port=options.port,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
    )

    def stop(_: object) -> None:
        server.should_exit = True

    loading = asyncio.create_task(_load_named(serving))
    batches = asyncio.create_task(serving.batcher.run())
    batches.add_done_callback(stop)
    loading.add_done_callback(lambda task: stop(task) if task.cancelled() or task.exception() else None)
    await server.serve()
    serving.ready = False
    for task in (loading, batches):
        failure = task.exception() if task.done() and not task.cancelled() else None
        task.cancel()
        if isinstance(failure, UnknownModelError | ModelUnavailableError):
            raise TrainingError(str(failure)) from failure
        if failure is not None:
            raise failure


async def _load_named(serving: Serving) -> None:
    """Loads what was named on the command line; the process is ready after that."""
    for reference in serving.options.model:
        await serving.shelf.keep(reference)
        write_line(serving.log, logging.INFO, "loaded", model=reference)
    serving.ready = True
    write_line(serving.log, logging.INFO, "ready", models=serving.shelf.loaded)
