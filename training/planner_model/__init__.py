"""The planner's model: reading datasets, scoring candidates, fine-tuning, decoding plans."""
