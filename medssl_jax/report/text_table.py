"""Tables as text that lines up, or as Markdown: rows of cells, the first row the header."""

from collections.abc import Sequence


def text_table(rows: Sequence[Sequence[str]], *, markdown: bool = False, names: int = 1) -> str:
    """The table without a newline at its end; the first `names` columns stand left, the others right."""
    return _markdown(rows, names) if markdown else _aligned(rows, names)


def _aligned(rows: Sequence[Sequence[str]], names: int) -> str:
    return "\n".join("  ".join(row).rstrip() for row in _padded(rows, names))


def _markdown(rows: Sequence[Sequence[str]], names: int) -> str:
    header, *body = (f"| {' | '.join(row)} |" for row in _padded(rows, names))
    rule = "|" + "|".join(["---"] * names + ["---:"] * (len(rows[0]) - names)) + "|"
    return "\n".join([header, rule, *body])


def _padded(rows: Sequence[Sequence[str]], names: int) -> list[list[str]]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        [
            cell.ljust(width) if place < names else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    ]
