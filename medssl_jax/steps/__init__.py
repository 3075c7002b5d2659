"""One step of training: its settings, the state it changes, and FocalMix's and SOS's step as pure functions."""
