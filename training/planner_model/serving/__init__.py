"""The inference process: loaded model versions, batches, and the HTTP door."""
