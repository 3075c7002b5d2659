"""Mutated inputs to every reader of the project: each is refused in one line, or what was read is proved right.

    python -m tests.fuzz --inputs=10000
    python -m tests.fuzz --kind=nifti --seed=17

The first tries all kinds of input and ends with a table, the second shows one input again: its kind and seed name it. A
kind (`kinds/`) is a module that knows how to make a small valid input, how to alter it, how a command reads it, and how
to judge what was read, by an oracle that shares no code with the reader.
"""
