"""The table of finished runs as text, CSV and JSON: ``python -m helpers runs``."""

import json
import textwrap
from collections.abc import Sequence
from typing import Any

from helpers.common.files import csv_text
from helpers.common.text import align, duration
from helpers.runs.table import RunRow, Table

WIDTH, LONGEST = 100, 24  # characters of a line, and of a setting's value
COLUMNS = ("run", "photos", "backbone", "epochs", "best", "95 % interval", "last 5", "time", "device", "to the first")


def format_text(table: Table) -> str:
    """Format accuracies, explanations, settings that differ, and notes."""
    rows = [COLUMNS, *map(_cells, table.rows)]
    parts = [align(rows, right=(3, 4, 6, 7)), _explanations(table), _settings(table)]
    if table.notes:
        parts.append("\n".join(["not compared, or with reservations:", *(f"  {note}" for note in table.notes)]))
    return "\n\n".join(filter(None, parts))


def format_csv(table: Table) -> str:
    """Format a line per run; the settings that differ are columns of their own."""
    lines = [row.to_dict() for row in table.rows]
    lines = [line | {name: line["settings"].get(name) for name in table.differing} for line in lines]
    columns = [name for name in lines[0] if name != "settings"]
    return csv_text([columns, *([line[name] for name in columns] for line in lines)])


def format_json(table: Table) -> str:
    """Format the rows as dictionaries under ``runs``, and the ``notes``."""
    value = {"runs": [row.to_dict() for row in table.rows], "notes": list(table.notes)}
    return json.dumps(value, indent=2, ensure_ascii=False)


def _cells(row: RunRow) -> tuple[str, ...]:
    accuracy = f"{100 * row.best:.2f}", f"{100 * row.low:.1f} to {100 * row.high:.1f}", f"{100 * row.last_five:.2f}"
    difference = row.no_difference
    if row.difference:
        mean, low, high = (100 * value for value in row.difference)
        difference = f"{mean:+.2f} ({low:+.1f} to {high:+.1f}), p {row.p_value:.2g}"
    return (
        row.name,
        row.group,
        row.backbone,
        str(row.epochs),
        *accuracy,
        duration(row.seconds),
        row.device,
        difference,
    )


def _explanations(table: Table) -> str:
    """Say what the columns mean, and which rows must not be compared."""
    lines = [
        f"{group}: {row.dataset}, {row.photos:,} {'drawings' if row.demo else 'photos'}, {row.val_photos} of them for "
        f"validation{' (the demo: says nothing about real flowers)' if row.demo else ''}"
        for group, row in table.groups.items()
    ]
    if len({group.split(" ")[0] for group in table.groups}) > 1:
        lines.append("Runs on other photos (another letter) cannot be compared: neither accuracies nor differences.")
    if any(" split " in group for group in table.groups):
        lines.append("Runs on another split of the same photos can be compared by their intervals only.")
    lines.append(
        "best (%): of the best epoch, chosen on the same photos, with Wilson's interval. last 5: mean of the last five."
    )
    if any(row.difference for row in table.rows):
        lines.append(
            "to the first: points more than the first run of the group, paired by photo; p is McNemar's, adjusted for"
            "\nthe number of rows (Holm). The epochs were chosen on these very photos, so p-values are optimistic."
        )
    return "\n".join(lines)


def _settings(table: Table) -> str:
    """Return the settings that differ: a row each, a column per run, numbered if their names are too long."""
    if len(table.rows) < 2:
        return ""
    if not table.differing:
        return "The runs have the same recipe."
    title, names = "settings that differ", [row.name for row in table.rows]
    values = [(name, [_value(row.settings.get(name)) for row in table.rows]) for name in table.differing]
    rows = [(name, first, *("·" if each == first else each for each in others)) for name, (first, *others) in values]
    text = align([(title, *names), *rows])
    if max(map(len, text.splitlines())) > WIDTH:
        numbers = [str(i + 1) for i in range(len(names))]
        legend = ", ".join(f"{number}: {name}" for number, name in zip(numbers, names, strict=True))
        blocks = "\n\n".join(map(align, _blocks([(title, *numbers), *rows])))
        text = f"{blocks}\n{textwrap.fill(legend, WIDTH, break_long_words=False)}"
    return f"{text}\n· as the first run"


def _blocks(rows: Sequence[tuple[str, ...]]) -> list[list[tuple[str, ...]]]:
    """Divide a table's columns into tables that fit into a line, each with the first column."""
    titles, *columns = zip(*rows, strict=True)
    blocks = [[titles]]
    for column in columns:
        if sum(max(map(len, each)) + 2 for each in (*blocks[-1], column)) > WIDTH + 2:
            blocks.append([titles])
        blocks[-1].append(column)
    return [list(zip(*block, strict=True)) for block in blocks]


def _value(value: Any) -> str:
    """Format a setting; of a path only its end, since folders lie elsewhere on every machine."""
    if value is None:
        return "–"
    text = str(value).replace("\\", "/").rstrip("/").rpartition("/")[2] or "none"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
