"""A report that is facts, tables and one picture, as Markdown and as a page of one file."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from medssl_jax.report import page
from medssl_jax.report.text_table import text_table

TEMPLATE = Path(__file__).with_name("tables_page.html")


class TablesPage(NamedTuple):
    """The text of a report, none of it HTML: each table below its heading, its first row the header.

    `notes` are what is odd, `how_to_read` what the columns mean.
    """

    title: str
    facts: Mapping[str, str]
    tables: Sequence[tuple[str, Sequence[Sequence[str]]]]
    notes: Sequence[str]
    how_to_read: str

    def markdown(self) -> str:
        """As a Markdown document."""
        parts = [f"# {self.title}", "\n".join(f"- {name}: {value}" for name, value in self.facts.items())]
        parts += [
            part for heading, cells in self.tables for part in (f"## {heading}", text_table(cells, markdown=True))
        ]
        return "\n\n".join([*parts, *self.notes, self.how_to_read]) + "\n"

    def html(self, *, figure: bytes) -> str:
        """As an HTML page of one file, with the picture, a PNG."""
        sections = [
            page.section(
                html.escape(heading),
                page.scrolled(
                    page.table(
                        [html.escape(cell) for cell in header],
                        [page.row(*(html.escape(cell) for cell in cells)) for cells in rows],
                    ),
                    name=html.escape(heading),
                ),
            )
            for heading, (header, *rows) in self.tables
        ]
        return page.fill_page(
            TEMPLATE,
            title=html.escape(self.title),
            notices=page.notices(self.notes),
            facts=page.fact_list(self.facts),
            tables="\n".join(sections),
            figure=page.png_file_uri(figure),
            how_to_read=html.escape(self.how_to_read),
            footer=page.software(),
        )
