// The Python environments of the project, each by its requirements files.
import type { PythonPackages } from './python-environment.ts';

export const mlflowPackages: PythonPackages = {
  title: 'MLflow (900 MB)',
  files: ['infra/local/python/requirements-mlflow.txt'],
};

export const prefectPackages: PythonPackages = {
  title: 'Prefect (300 MB)',
  files: ['infra/local/python/requirements-prefect.txt'],
};

/** For machines without a GPU: what only a GPU needs is left out. */
export const trainingPackages: PythonPackages = {
  title: 'training (a minute or two and 4.7 GB)',
  files: ['training/requirements-cpu.txt', 'training/requirements-dev.txt'],
};
