"""The HTTP door of the inference process: health, metrics, loaded versions, plans."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException

from planner_model.memory import TooLittleMemoryError
from planner_model.serving.batching import BadInputError, PlanBatcher, QueueFullError, TooLateError
from planner_model.serving.bodies import Health, LoadBody, LoadedModels, PlanAnswer, PlanBody, document, refusals
from planner_model.serving.exposition import CONTENT_TYPE, ServingMetrics
from planner_model.serving.log_lines import write_line
from planner_model.serving.model_shelf import ModelShelf, ModelUnavailableError, UnknownModelError
from planner_model.serving.options import ServingOptions

RETRY_AFTER_SECONDS = 1


@dataclass
class Serving:
    """What the routes work with."""

    options: ServingOptions
    shelf: ModelShelf
    batcher: PlanBatcher
    metrics: ServingMetrics
    log: logging.Logger
    ready: bool = False


def _refusal(status: int, code: str, message: str) -> JSONResponse:
    headers = {"retry-after": str(RETRY_AFTER_SECONDS)} if status == 503 else None
    return JSONResponse({"code": code, "message": message}, status_code=status, headers=headers)


def create_app(serving: Serving) -> FastAPI:
    """The application; whoever runs it says when it is ready."""
    app = FastAPI(title="Planner inference", version="1", docs_url=None, redoc_url=None)
    app.openapi = lambda: document(app)  # type: ignore[method-assign]

    @app.exception_handler(RequestValidationError)
    async def refuse_body(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return _refusal(400, "invalid", f"{place}: {first['msg']}")

    @app.exception_handler(HTTPException)
    async def refuse_path(_: Request, error: HTTPException) -> JSONResponse:
        return _refusal(error.status_code, "not-found" if error.status_code == 404 else "invalid", str(error.detail))

    @app.get("/health/live")
    async def live() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/health/ready", response_model=Health, responses={503: {"model": Health, "description": "Not yet"}})
    async def ready() -> JSONResponse:
        status = 200 if serving.ready else 503
        text = "ready" if serving.ready else "not ready"
        return JSONResponse({"status": text, "models": serving.shelf.loaded}, status_code=status)

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> PlainTextResponse:
        return PlainTextResponse(serving.metrics.expose(), media_type=CONTENT_TYPE)

    @app.get("/v1/models")
    async def models() -> dict[str, list[str]]:
        return {"loaded": serving.shelf.loaded}

    @app.post("/v1/models", response_model=LoadedModels, responses=refusals(400, 404, 503))
    async def load(body: LoadBody) -> Response:
        async def work() -> Response:
            await serving.shelf.take(body.model)
            return JSONResponse({"loaded": serving.shelf.loaded})

        return (await _answer(serving, work))[1]

    @app.post("/v1/plans", response_model=PlanAnswer, responses=refusals(400, 404, 503, 504))
    async def plan(body: PlanBody) -> Response:
        started = time.perf_counter()

        async def work() -> Response:
            deadline_s = body.deadline_ms / 1000
            try:
                planner = await asyncio.wait_for(serving.shelf.take(body.model), deadline_s)
            except TimeoutError:
                raise TooLateError from None
            wait_ms = serving.options.batch_wait_ms if body.batch_wait_ms is None else body.batch_wait_ms
            planned = await serving.batcher.plan(
                body.model,
                planner,
                body.input,
                wait_s=wait_ms / 1000,
                deadline_s=deadline_s - (time.perf_counter() - started),
                is_shadow=body.shadow,
            )
            seconds = time.perf_counter() - started
            serving.metrics.seconds.observe(seconds, body.model)
            serving.metrics.tokens.add(planned.tokens_in, body.model, "in")
            serving.metrics.tokens.add(planned.tokens_out, body.model, "out")
            return JSONResponse(
                {
                    "model": body.model,
                    "slots": planned.slots,
                    "plan": planned.plan,
                    "tokens_in": planned.tokens_in,
                    "tokens_out": planned.tokens_out,
                    "batch_size": planned.batch_size,
                    "ms": seconds * 1000,
                }
            )

        outcome, response = await _answer(serving, work)
        # Not a series for every name that somebody made up.
        serving.metrics.plans.add(1, body.model if body.model in serving.shelf.loaded else "", outcome)
        return response

    return app


async def _answer(serving: Serving, work: Callable[[], Awaitable[Response]]) -> tuple[str, Response]:
    """The outcome and its answer; no failure leaves without both."""
    try:
        return "answered", await work()
    except UnknownModelError as error:
        return "unknown-model", _refusal(404, "unknown-model", str(error))
    except ModelUnavailableError as error:
        write_line(serving.log, logging.WARNING, "a model version cannot be loaded", cause=str(error))
        return "unavailable", _refusal(503, "model-unavailable", str(error))
    except QueueFullError:
        message = f"{serving.options.max_queue} requests wait already: come back after the seconds in Retry-After"
        return "queue-full", _refusal(503, "queue-full", message)
    except TooLateError:
        return "too-late", _refusal(504, "too-late", "the deadline of the request passed before its turn came")
    except TooLittleMemoryError as error:
        write_line(serving.log, logging.WARNING, "a request cannot be answered", cause=str(error))
        return "out-of-memory", _refusal(503, "out-of-memory", str(error))
    except BadInputError as error:
        return "bad-input", _refusal(400, "invalid", f"body.input: {error}")
    except Exception:
        serving.log.exception("a request failed")
        return "failed", _refusal(500, "internal", "the process failed; its log says why")
