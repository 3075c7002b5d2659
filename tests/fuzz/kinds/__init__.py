"""One module a kind of input; see `tests.fuzz.trial.Kind`."""
