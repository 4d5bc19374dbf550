"""The run in MLflow: parameters, curves, tags, the dataset, the files, and at the very end the model version."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Dataset as LoggedDataset
from mlflow.entities import DatasetInput, InputTag, Metric, Param
from mlflow.exceptions import MlflowException

from planner_model.dataset import Dataset
from planner_model.errors import TrainingError
from planner_model.fitting import FitState

TRAINING_EXPERIMENT = "planner-training"
DATASET_EXPERIMENT = "planner-datasets"
MODEL_PATH = "model"


class Tracking:
    """One server. Every failure of it becomes one sentence."""

    def __init__(self, url: str) -> None:
        self.url = url
        mlflow.set_tracking_uri(url)
        self.client = MlflowClient(tracking_uri=url)

    def _failed(self, what: str, error: MlflowException) -> TrainingError:
        first_line = str(error).strip().splitlines()[0][:200]
        # Thrown after all tries with everything that the HTTP library knows.
        cause = "it does not answer" if "HTTPConnectionPool" in first_line else first_line
        return TrainingError(f"MLflow at {self.url} {what}: {cause}")

    def ensure_experiment(self, name: str) -> str:
        """The id of the experiment, made when absent. Fails within seconds when the server is away."""
        try:
            found = self.client.get_experiment_by_name(name)
            return str(found.experiment_id) if found else str(self.client.create_experiment(name))
        except MlflowException as error:
            raise self._failed("cannot be used", error) from error

    def find_dataset(self, version: str) -> str | None:
        """The s3:// address of a dataset version, from the run that its build logged."""
        experiment = self.ensure_experiment(DATASET_EXPERIMENT)
        runs = self.client.search_runs([experiment], f"tags.dataset_version = '{version}'", max_results=1)
        return str(runs[0].data.tags["dataset_address"]) if runs else None

    def find_version(self, model_name: str, training_key: str) -> int | None:
        """The model version that a run with this key has registered, if any."""
        try:
            found = self.client.search_model_versions(f"name = '{model_name}' and tags.training_key = '{training_key}'")
        except MlflowException as error:
            raise self._failed("cannot be asked for model versions", error) from error
        return int(found[0].version) if found else None

    def start_run(self, name: str, tags: Mapping[str, str], parameters: Mapping[str, Any], dataset: Dataset) -> str:
        """Starts a run and logs what is known before training."""
        try:
            run = self.client.create_run(self.ensure_experiment(TRAINING_EXPERIMENT), run_name=name, tags=dict(tags))
            run_id = str(run.info.run_id)
            self.client.log_batch(run_id, params=[Param(key, str(value)) for key, value in parameters.items()])
            source = LoggedDataset(
                name=f"planner-{dataset.version[:12]}",
                digest=dataset.version[:36],
                source_type="s3" if dataset.location.startswith("s3://") else "local",
                source=dataset.location,
            )
            context = InputTag(key="mlflow.data.context", value="training")
            self.client.log_inputs(run_id, datasets=[DatasetInput(dataset=source, tags=[context])])
        except MlflowException as error:
            raise self._failed("refused the run", error) from error
        return run_id

    def log_epoch(self, run_id: str, stage: str, state: FitState) -> None:
        """Training loss of every step, validation loss and offline score of the last epoch."""
        result = state.results[-1]
        now = int(time.time() * 1000)
        metrics = [Metric(f"{stage}_loss", loss, now, step) for step, loss in result.losses]
        metrics.append(Metric(f"{stage}_validation_loss", result.validation_loss, now, state.step))
        metrics.append(Metric(f"{stage}_offline_score", result.offline_score, now, state.step))
        try:
            for start in range(0, len(metrics), 500):
                self.client.log_batch(run_id, metrics=metrics[start : start + 500])
        except MlflowException as error:
            raise self._failed("refused metrics", error) from error

    def finish_run(self, run_id: str, files: Path, metrics: Mapping[str, float]) -> None:
        """Uploads the model's files, logs the last figures and closes the run."""
        try:
            for name, value in metrics.items():
                self.client.log_metric(run_id, name, value)
            self.client.log_artifacts(run_id, str(files), MODEL_PATH)
            self.client.set_terminated(run_id, "FINISHED")
        except MlflowException as error:
            raise self._failed("did not take the model's files", error) from error

    def fail_run(self, run_id: str, status: str = "FAILED") -> None:
        """Closes the run as failed, as far as MLflow can still be reached."""
        try:
            self.client.set_terminated(run_id, status)
        except MlflowException:
            return

    def register(self, model_name: str, run_id: str, tags: Mapping[str, str]) -> int:
        """Registers the files of a finished run: the last step, in one request, so nothing is ever half registered."""
        try:
            if not self.client.search_registered_models(f"name = '{model_name}'"):
                self.client.create_registered_model(model_name)
            source = f"{self.client.get_run(run_id).info.artifact_uri}/{MODEL_PATH}"
            created = self.client.create_model_version(model_name, source, run_id, tags=dict(tags))
        except MlflowException as error:
            raise self._failed(f"did not register {model_name}", error) from error
        return int(created.version)

    def has_version(self, model_name: str, version: str) -> bool:
        """Whether the registry has this version. Raises TrainingError when it cannot be asked."""
        try:
            self.client.get_model_version(model_name, version)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise self._failed("cannot be asked for model versions", error) from error
        return True

    def download_model(self, model_name: str, version: str, folder: Path) -> Path:
        """Downloads the files of a model version and gives the folder they are in."""
        try:
            found = self.client.get_model_version(model_name, version)
            path = mlflow.artifacts.download_artifacts(str(found.source), dst_path=str(folder))
        except (MlflowException, OSError) as error:
            first_line = str(error).strip().splitlines()[0][:200]
            raise TrainingError(f"MLflow cannot give {model_name} version {version}: {first_line}") from error
        return Path(path)
