"""Tables of `experiments.table`, each a file with `get_table(data)`, which gives None on data it is not made of."""
