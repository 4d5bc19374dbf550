"""What the door of the inference process takes and answers; its OpenAPI document follows from these."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict, Field

LONGEST_WAIT_MS = 60_000


class PlanBody(BaseModel):
    """A planning request for one model version."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str = Field(min_length=3, max_length=300, description="a version such as planner_model/3")
    input: dict[str, Any] = Field(description="the model input: domain/planning/model-input.ts makes it")
    batch_wait_ms: float | None = Field(None, ge=0, le=LONGEST_WAIT_MS, description="how long to wait for others")
    deadline_ms: float = Field(LONGEST_WAIT_MS, gt=0, le=LONGEST_WAIT_MS, description="later nobody reads the answer")
    shadow: bool = Field(False, description="goes only when no other request is due")


class LoadBody(BaseModel):
    """A model version that will be asked for."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str = Field(min_length=3, max_length=300)


class SlotAnswer(BaseModel):
    """What the model thinks of the candidates of a slot."""

    slot_id: str
    probabilities: list[float]


class SlotPlan(BaseModel):
    """The recipe for a slot; a slot without an allowed candidate is missing."""

    slot_id: str
    recipe_id: str


class PlanAnswer(BaseModel):
    """The answer to a planning request."""

    model: str
    slots: list[SlotAnswer]
    plan: list[SlotPlan]
    tokens_in: int
    tokens_out: int
    batch_size: int = Field(description="requests that went through the model together")
    ms: float = Field(description="from the arrival of the request")


class LoadedModels(BaseModel):
    """Versions in memory."""

    loaded: list[str]


class Health(BaseModel):
    """Whether the process can be asked for plans."""

    status: str
    models: list[str] = Field(default_factory=list)


class Refusal(BaseModel):
    """Every answer that is none."""

    code: str
    message: str


# Not 500: that is a defect, and the fuzzer finds it because it is not here.
MEANINGS = {
    400: "The request is wrong; the message says where",
    404: "The registry has no such model version",
    503: "The version cannot be loaded, too many requests wait, or memory is too small: after Retry-After",
    504: "The deadline of the request passed before its turn came",
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How a route says no, for its document."""
    return {status: {"model": Refusal, "description": MEANINGS[status]} for status in statuses}


def document(app: FastAPI) -> dict[str, Any]:
    """The document without the status that FastAPI has for a wrong body: the answer is 400 here."""
    if app.openapi_schema is None:
        found = get_openapi(title=app.title, version=app.version, routes=app.routes)
        for operations in found["paths"].values():
            for operation in operations.values():
                operation["responses"].pop("422", None)
        for name in ("HTTPValidationError", "ValidationError"):
            found["components"]["schemas"].pop(name, None)
        app.openapi_schema = found
    return app.openapi_schema
