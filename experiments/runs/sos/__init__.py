"""A run of SOS, or of a method beside it, from its config: settings, slides, training, evaluation."""
