"""Training: the state and the steps, the trainer, checkpoints and records of a run."""
