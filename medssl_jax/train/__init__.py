"""The loop of a training run, the same for every method: steps, validation, stopping, compiled programs."""
