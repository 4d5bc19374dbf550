-- The MLflow run of a dataset, and what a replay result needs to be found again: its baseline, its settings and its key.
ALTER TABLE exp.dataset_versions ADD COLUMN mlflow_run_id text;
COMMENT ON COLUMN exp.dataset_versions.mlflow_run_id IS 'Run in MLflow that describes the dataset; null where it was built without MLflow';
GRANT UPDATE (mlflow_run_id) ON exp.dataset_versions TO dataset_builder;

-- The same model may be compared on the same dataset with other tolerances: replay_key says what is the same replay.
ALTER TABLE exp.offline_replay_results
  DROP CONSTRAINT offline_replay_results_model_name_model_version_dataset_ver_key;
ALTER TABLE exp.offline_replay_results ADD COLUMN replay_key text UNIQUE;
ALTER TABLE exp.offline_replay_results ADD COLUMN baseline_model_name text;
ALTER TABLE exp.offline_replay_results ADD COLUMN settings jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN exp.offline_replay_results.replay_key IS 'SHA-256 over model, dataset, baseline and settings: the same replay has one row';
COMMENT ON COLUMN exp.offline_replay_results.settings IS 'Tolerances of the gate, seed and number of resamples';
GRANT SELECT, INSERT ON exp.offline_replay_results TO dataset_builder;
