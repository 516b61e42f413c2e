"""All finished runs side by side: ``python -m helpers.run_table``, or with the folders of some of them.

Accuracy, time and device of each, the settings in which they differ, and, where two runs were examined on the same
photos, their paired difference. Nothing but the run folders' JSON and CSV files is read.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import sys
import textwrap
from pathlib import Path
from typing import Any

from helpers import checkpoint
from helpers.errors import RunError, UserError
from helpers.recipe import Recipe
from helpers.run_rows import Row, Table, gather, run_folders
from helpers.runs import project_root, work_folder

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
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*plain, *settings])
    for line in lines:
        writer.writerow([*(line[name] for name in plain), *(line["settings"].get(name) for name in settings)])
    return text.getvalue()


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
                _percent(row.last_five),
                _duration(row.seconds),
                row.device,
                _against(row),
            )
        )
    return _aligned(cells, right=(3, 4, 6, 7))


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
    text = _aligned(cells)
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


def _aligned(cells: list[tuple[str, ...]], right: tuple[int, ...] = ()) -> str:
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    return "\n".join(
        "  ".join(
            f"{cell:>{width}}" if i in right else f"{cell:<{width}}"
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    )


def _value(value: Any) -> str:
    """A setting; of a path only its end, since folders lie elsewhere on every machine."""
    if value is None:
        return "–"
    return str(value).replace("\\", "/").rstrip("/").rpartition("/")[2] or "none"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.2f}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s"


def main(arguments: list[str] | None = None) -> int:
    """Compare from the command line. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m helpers.run_table", description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", help="folders of runs, or names in the work_dir; default: all")
    parser.add_argument("--work-dir", help="folder of runs, such as report/results; default: work_dir")
    parser.add_argument("--figure", help="where the figure goes; default: work_dir/runs.png")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--csv", action="store_true", help="print CSV")
    options = parser.parse_args(arguments)
    try:
        usual = work_folder(Recipe(), project_root(Path(__file__).parent))
        work_dir = Path(options.work_dir) if options.work_dir else usual
        table = gather(run_folders(work_dir, options.runs))
        figure = Path(options.figure) if options.figure else usual / "runs.png"
        if not table.rows:
            raise RunError("\n".join([f"{work_dir}: no finished run to compare (make run makes one)", *table.others]))
        _save_figure(table, figure)
    except UserError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(as_json(table) if options.json else as_csv(table).rstrip() if options.csv else as_text(table))
    print(f"figure: {os.path.relpath(figure)}", file=sys.stderr)
    return 0


def _save_figure(table: Table, path: Path) -> None:
    from helpers.run_plots import overlay  # matplotlib, which the table does without

    picture = io.BytesIO()
    overlay(table.rows).savefig(picture, format="png", dpi=120, bbox_inches="tight")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"{path.parent} cannot be made ({error.strerror}): choose another place with --figure"
        ) from error
    checkpoint.write_atomically(path, picture.getvalue())


if __name__ == "__main__":
    sys.exit(main())
