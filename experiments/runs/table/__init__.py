"""Tables of runs: declared, made by however many processes, reported."""
