"""The feedback page of one hand-in, in HTML. Whatever a hand-in brought along is escaped."""

from html import escape

from teaching.checks.command import POINTS
from teaching.checks.sandbox import Report
from teaching.checks.sections import SECTIONS
from teaching.hand_ins import Student

PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 48rem; margin: 2rem auto; padding: 0 1rem; color: #222; }}
section {{ border-left: 4px solid #b3261e; padding: 0 1rem; margin: 1.5rem 0; overflow-wrap: anywhere; }}
section.right {{ border-color: #2e7d32; }}
h2 {{ font-size: 1.1rem; margin: 0; }}
p {{ margin: .3rem 0; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{points} of {most} points{file}</p>
{sections}
{warnings}
</body>
</html>
"""


def page(student: Student, report: Report, warnings: list[str]) -> str:
    """Return the page: per section the points, what was seen and, if it is not right, what was expected and a hint."""
    shown = []
    for section in SECTIONS:
        part = report.sections[section.number]
        right = bool(part["passed"])
        lines = [f"<h2>{section.number} {escape(section.title)}: {section.points * right} of {section.points}</h2>"]
        lines.append(f"<p>Seen: {_text(part['seen'])}</p>")
        if not right:
            lines += [f"<p>Expected: {escape(section.expected)}</p>", f"<p>Hint: {escape(section.hint)}</p>"]
        kind = ' class="right"' if right else ""
        shown.append(f"<section{kind}>\n" + "\n".join(lines) + "\n</section>")
    listed = "\n".join(f"<li>{_text(each)}</li>" for each in warnings)
    return PAGE.format(
        title=_text(f"Assignment 1: {student.name} ({student.number})" if student.name else student.number),
        points=report.points,
        most=POINTS,
        file=f", {_text(report.name)}" if report.name else "",
        sections="\n".join(shown),
        warnings=f"<h2>Warnings, without points</h2>\n<ul>\n{listed}\n</ul>" if warnings else "",
    )


def _text(text: str) -> str:
    return escape("".join(letter if letter.isprintable() else " " for letter in str(text)))
