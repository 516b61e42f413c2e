"""All finished runs side by side: ``python -m helpers runs``, or with the folders of some of them.

Accuracy, time and device of each, the settings in which they differ, and, where two runs were examined on the same
photos, their paired difference. Nothing but the run folders' JSON and CSV files is read.
"""

from __future__ import annotations

import json
import textwrap
from typing import Any

from helpers.common.files import csv_text
from helpers.common.text import align, duration
from helpers.runs.table import Row, Table

WIDTH = 120  # characters of a terminal's line


COLUMNS = ("run", "photos", "backbone", "epochs", "best", "95 % interval", "last 5", "time", "device", "to the first")


def as_text(table: Table) -> str:
    """Everything there is to say about the runs, as aligned text."""
    parts = [_accuracies(table), _notes(table), _settings(table)]
    if table.others:
        parts.append("not compared, or with reservations:\n" + "\n".join(f"  {line}" for line in table.others))
    return "\n\n".join(part for part in parts if part)


def as_csv(table: Table) -> str:
    """A line per run; the settings that differ are columns of their own."""
    lines = [row.to_dict() for row in table.rows]
    settings = list(table.differing)
    plain = [name for name in lines[0] if name != "settings"]
    rows = [[*(line[name] for name in plain), *(line["settings"].get(name) for name in settings)] for line in lines]
    return csv_text([[*plain, *settings], *rows])


def as_json(table: Table) -> str:
    return json.dumps(
        {"runs": [row.to_dict() for row in table.rows], "others": list(table.others)}, indent=2, ensure_ascii=False
    )


def _accuracies(table: Table) -> str:
    """The runs in groups of the same photos."""
    cells = [COLUMNS]
    for row in table.rows:
        cells.append(
            (
                row.name,
                row.group,
                row.backbone,
                str(row.epochs),
                f"{100 * row.best:.2f}",
                f"{100 * row.low:.1f} to {100 * row.high:.1f}",
                "–" if row.last_five is None else f"{100 * row.last_five:.2f}",
                duration(row.seconds),
                row.device,
                _against(row),
            )
        )
    return align(cells, right=(3, 4, 6, 7))


def _notes(table: Table) -> str:
    """What the columns mean, and which rows must not be compared."""
    lines = [
        f"{group}: {row.dataset}, {row.photos:,} {'drawings' if row.demo else 'photos'}, {row.val_photos} of them for "
        f"validation{' (the demo: says nothing about real flowers)' if row.demo else ''}"
        for group, row in table.groups.items()
    ]
    if len({group.split(" ")[0] for group in table.groups}) > 1:
        lines.append("Runs on other photos (another letter) cannot be compared: neither accuracies nor differences.")
    if any(" split " in group for group in table.groups):
        lines.append("Of another split of the same photos only the intervals can be compared.")
    lines.append(
        "best (%): of the best epoch, chosen on the same photos, with Wilson's interval. last 5: mean of the last five."
    )
    if any(row.difference for row in table.rows):
        lines.append(
            "to the first: points more than the first run examined on the same photos, paired; p is McNemar's, raised "
            "for the number\nof rows (Holm). Both runs' epochs were chosen on these very photos: p is smaller than it "
            "should be all the same."
        )
    return "\n".join(lines)


def _settings(table: Table) -> str:
    """The settings that are not the same in all runs: a line each, a column per run if that fits."""
    if len(table.rows) < 2:
        return ""
    if not table.differing:
        return "The runs have the same recipe."
    cells = [("settings that differ", *(row.name for row in table.rows))]
    cells += [(name, *(_value(row.settings.get(name)) for row in table.rows)) for name in table.differing]
    text = align(cells)
    if max(map(len, text.splitlines())) > WIDTH:
        text = "\n".join(["settings that differ", *(_in_words(name, table.rows) for name in table.differing)])
    return text


def _in_words(name: str, rows: tuple[Row, ...]) -> str:
    """Each value of the setting with the runs that have it."""
    runs: dict[str, list[str]] = {}
    for row in rows:
        runs.setdefault(_value(row.settings.get(name)), []).append(row.name)
    text = "; ".join(f"{value}: {', '.join(having)}" for value, having in runs.items())
    return textwrap.fill(f"{name:<16}  {text}", WIDTH, subsequent_indent=" " * 18, break_long_words=False)


def _against(row: Row) -> str:
    if row.difference is None:
        return row.why_no_difference
    mean, low, high = (100 * value for value in row.difference)
    return f"{mean:+.2f} ({low:+.1f} to {high:+.1f}), p {row.p_value:.2g}"


def _value(value: Any) -> str:
    """A setting; of a path only its end, since folders lie elsewhere on every machine."""
    if value is None:
        return "–"
    return str(value).replace("\\", "/").rstrip("/").rpartition("/")[2] or "none"
