"""What every part stands on: errors, files that appear whole, locks, worker pools, progress."""
