"""Tests of whole runs against a real MLflow server, started by training.integration.test.ts."""
