"""Model versions in memory: the named ones for good, others on demand, up to a limit."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from planner_model.errors import TrainingError
from planner_model.model_folder import PlannerModel
from planner_model.scoring import load_model, split_reference
from planner_model.serving.exposition import ServingMetrics

ABSENT_FOR_SECONDS = 10.0
"""How long the registry is not asked again for a version that it did not have."""


class UnknownModelError(Exception):
    """There is no such model version."""


class ModelUnavailableError(Exception):
    """The version exists, or may exist, and cannot be loaded now."""


def load_registered(reference: str, mlflow_url: str) -> PlannerModel:
    """Loads a version from MLflow. Raises UnknownModelError when there is none, TrainingError for every other cause."""
    from planner_model.tracking import Tracking

    try:
        name, version = split_reference(reference)
    except TrainingError as error:
        raise UnknownModelError(str(error)) from error
    if not Tracking(mlflow_url).has_version(name, version):
        raise UnknownModelError(f"MLflow has no version {version} of {name}")
    return load_model(reference, mlflow_url)


class ModelShelf:
    """Loads each version once, one at a time, in a thread of its own; forgets the longest unused one when it is full."""

    def __init__(
        self, load: Callable[[str], PlannerModel], *, limit: int, metrics: ServingMetrics, clock: Callable[[], float]
    ) -> None:
        self._load, self._limit, self._metrics, self._clock = load, limit, metrics, clock
        self._models: OrderedDict[str, PlannerModel] = OrderedDict()
        self._kept: set[str] = set()
        self._loading: dict[str, asyncio.Future[PlannerModel]] = {}
        self._absent: dict[str, float] = {}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model-load")

    @property
    def loaded(self) -> list[str]:
        """References of the versions in memory."""
        return sorted(self._models)

    async def keep(self, reference: str) -> None:
        """Loads a version that is never forgotten."""
        await self.take(reference)
        self._kept.add(reference)

    async def take(self, reference: str) -> PlannerModel:
        """The version, loaded now when it is not there. Raises UnknownModelError or ModelUnavailableError."""
        model = self._models.get(reference)
        if model is not None:
            self._models.move_to_end(reference)
            return model
        if self._clock() < self._absent.get(reference, 0.0):
            raise UnknownModelError(self._describe_absent(reference))
        loading = self._loading.get(reference)
        if loading is None:
            if len(self._kept | self._loading.keys()) >= self._limit:
                raise ModelUnavailableError(
                    f"{self._limit} versions are in memory for good or being loaded, and --max-models is {self._limit}"
                )
            loading = asyncio.ensure_future(self._load_now(reference))
            self._loading[reference] = loading
            loading.add_done_callback(lambda _: self._loading.pop(reference, None))
        # Whoever gives up waiting does not stop the load that others wait for.
        return await asyncio.shield(loading)

    async def _load_now(self, reference: str) -> PlannerModel:
        try:
            model = await _in_thread(self._thread, lambda: self._load(reference))
        except UnknownModelError as error:
            self._absent = {name: until for name, until in self._absent.items() if until > self._clock()}
            self._absent[reference] = self._clock() + ABSENT_FOR_SECONDS
            self._metrics.loads.add(1, "unknown")
            raise UnknownModelError(self._describe_absent(reference)) from error
        except Exception as error:  # files of a model may be broken in many ways; none of them is the caller's fault
            self._metrics.loads.add(1, "failed")
            cause = str(error) if isinstance(error, TrainingError) else f"{type(error).__name__}: {error}"
            raise ModelUnavailableError(f"{reference} cannot be loaded: {cause}") from error
        self._models[reference] = model
        for name in [name for name in self._models if name not in self._kept and name != reference]:
            if len(self._models) <= self._limit:
                break
            del self._models[name]
        self._metrics.loads.add(1, "loaded")
        self._metrics.loaded.set(len(self._models))
        return model

    def _describe_absent(self, reference: str) -> str:
        there = ", ".join(self.loaded) or "none"
        return f"there is no model version {reference}; loaded are: {there}"


def _in_thread(thread: ThreadPoolExecutor, work: Callable[[], PlannerModel]) -> Awaitable[PlannerModel]:
    return asyncio.get_running_loop().run_in_executor(thread, work)


def create_shelf(mlflow_url: str, limit: int, metrics: ServingMetrics) -> ModelShelf:
    """A shelf of versions from MLflow."""
    return ModelShelf(
        lambda reference: load_registered(reference, mlflow_url), limit=limit, metrics=metrics, clock=time.monotonic
    )
