"""What a run leaves in its folder, and how it is read again: checkpoints, records, hashes, weights to hand on."""
