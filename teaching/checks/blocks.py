"""Read a hand-in, a script or a notebook in any encoding, and find its six graded blocks by their markers."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from .sections import ORDER_OF_COMMENTS, SECTIONS

START = re.compile(r"^\s*#[#\s]*(START|BEGIN)\s+SOLUTION", re.IGNORECASE)
END = re.compile(r"^\s*#[#\s]*END\s+SOLUTION", re.IGNORECASE)
NUMBER = re.compile(r"\b(?:GRADED|SECTION|BLOCK)\s*([1-6])\b", re.IGNORECASE)
# More than any solution has. A hand-in with more of them could keep the checks busy for ever.
LETTERS, LINES, MARKERS = (1_000_000, "letters of code"), (20_000, "lines"), (60, "markers")
LINE_ENDS = re.compile(r"\r\n|\r|\x0b|\x0c|\x1c|\x1d|\x1e|\x85|\u2028|\u2029")


@dataclass(frozen=True)
class Block:
    """The lines between two markers; counted from 1, both included. ``last < first``: none."""

    section: int
    first: int
    last: int


@dataclass
class Script:
    """The text of a hand-in as one script, its blocks by section, and remarks on what was odd about it."""

    text: str
    blocks: dict[int, Block] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        return self.text.split("\n")

    def code(self, section: int) -> str:
        """Return a block's lines."""
        block = self.blocks[section]
        return "\n".join(self.lines[block.first - 1 : block.last])

    def is_blank(self, section: int) -> bool:
        """Tell whether a block has no code but comments, ``pass``, ``...`` or ``raise NotImplementedError``."""
        return is_blank(self.code(section))


def is_blank(code: str) -> bool:
    """Tell whether there is nothing to grade in the lines of a block."""
    lines = [line.split("#")[0].strip() for line in code.split("\n")]
    return all(re.fullmatch(r"(pass|\.\.\.|raise NotImplementedError.*)?", line) for line in lines)


def read_script(name: str, content: bytes) -> Script:
    """Read a script or, if its name ends in .ipynb or it is one, a notebook.

    Raises:
        ValueError: it is a damaged notebook, or far too long.
    """
    text, notes = decode(content)
    if name.lower().endswith(".ipynb") or text.lstrip().startswith('{"cells"'):
        text = notebook_code(text)
    markers = sum(bool(START.match(line) or END.match(line)) for line in text.split("\n"))
    for number, most, what in ((len(text), *LETTERS), (text.count("\n"), *LINES), (markers, *MARKERS)):
        if number > most:
            raise ValueError(f"it has {number:,} {what}, more than the {most:,} that are read")
    script = Script(text, notes=notes)
    _find_blocks(script)
    return script


def read_file(path: Path) -> Script:
    """Read a hand-in from disk."""
    return read_script(path.name, path.read_bytes())


def decode(content: bytes) -> tuple[str, list[str]]:
    """Decode UTF-8, with or without a byte order mark, UTF-16 with one, or GBK; line ends become line feeds."""
    notes = []
    encodings = ["utf-16"] if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ["utf-8-sig", "gb18030"]
    for encoding in encodings + ["latin-1"]:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding != "utf-8-sig":
            notes.append(f"The file is encoded as {encoding}: save it as UTF-8.")
        break
    # Python does not count all of these as line ends, but an editor may have written them as such.
    text = LINE_ENDS.sub("\n", text).replace("\0", "")
    return text.expandtabs(4), notes


def notebook_code(text: str) -> str:
    """Return the code cells of a notebook in their order, without magics and the released notebook's test cells.

    Raises:
        ValueError: it is not a notebook.
    """
    try:
        cells = json.loads(text)["cells"]
        sources = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
        joined = ["".join(source) if isinstance(source, list) else str(source) for source in sources]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"it is not a notebook ({type(error).__name__}: {error})") from error
    joined = [code for code in joined if "assert_section(" not in code or "SOLUTION" in code]
    return "\n\n".join(re.sub(r"(?m)^([^\S\n]*)([%!?].*)$", r"\1pass  # \2", source) for source in joined)


def _find_blocks(script: Script) -> None:
    found = [block for block in _between_markers(script) if block]
    if not found:
        script.notes.append("No markers: put each answer between ### START SOLUTION HERE ### and its END.")
        return
    labels = _labels(script, found)
    for section, (first, last) in zip(labels, found, strict=True):
        if not section:
            script.notes.append(f"The block in line {first} answers none of the six sections; it was ignored.")
            continue
        known = script.blocks.get(section)
        block = Block(section, first, last)
        if known:
            script.notes.append(f"Section {section} is answered in lines {known.first} and {first}: the last counts.")
            if is_blank("\n".join(script.lines[first - 1 : last])):
                continue
        script.blocks[section] = block


def _between_markers(script: Script) -> list[tuple[int, int]]:
    """Return first and last line of each outermost pair of markers."""
    lines, found, start, depth = script.lines, [], 0, 0
    balanced = sum(bool(START.match(line)) for line in lines) <= sum(bool(END.match(line)) for line in lines)
    for number, line in enumerate(lines, 1):
        if START.match(line):
            if not depth:
                start, depth = number, 1
            elif is_blank("\n".join(lines[start : number - 1])):
                script.notes.append(f"The START marker in line {number} stands twice; the first counts.")
                depth += balanced
            elif balanced:
                script.notes.append(f"The markers in line {number} are nested; the outer ones count.")
                depth += 1
            else:
                script.notes.append(f"The block in line {start} has no END marker; it ends before line {number}.")
                found.append(_without_comments(lines, start + 1, number - 1))
                start = number
        elif END.match(line):
            if not depth:
                script.notes.append(f"The END marker in line {number} has no START; it was ignored.")
                continue
            depth -= 1
            if not depth:
                found.append((start + 1, number - 1))
    if depth:
        script.notes.append(f"The block in line {start} has no END marker.")
        found.append(_to_the_end_of_its_suite(lines, start + 1))
    return found


def _without_comments(lines: list[str], first: int, last: int) -> tuple[int, int]:
    """Leave out the comments at the end, which announce the next block."""
    while last >= first and (not lines[last - 1].strip() or lines[last - 1].lstrip().startswith("#")):
        last -= 1
    return first, last


def _to_the_end_of_its_suite(lines: list[str], first: int) -> tuple[int, int]:
    """End a block without END marker at its first blank line, or where the indentation falls below its own."""
    code = [line for line in lines[first - 1 :] if line.strip()]
    indent = len(code[0]) - len(code[0].lstrip()) if code else 0
    last = first - 1
    for line in lines[first - 1 :]:
        if last >= first and (not line.strip() or len(line) - len(line.lstrip()) < indent):
            break
        last += 1
    return first, last


def _labels(script: Script, found: list[tuple[int, int]]) -> list[int]:
    """Tell which section each pair of markers belongs to: by announcement, by code, by order; 0: none."""
    announced = [_announced(script.lines, first) for first, _ in found]
    bodies = ["\n".join(script.lines[first - 1 : last]) for first, last in found]
    everything = {section.number for section in SECTIONS}
    if all(announced):
        return announced
    coded = [_by_code(body) for body in bodies]
    merged = [a or c or _by_comment(body) for a, c, body in zip(announced, coded, bodies, strict=True)]
    if set(merged) == everything or len(found) != len(SECTIONS):
        return merged
    in_order = list(range(1, 7))
    agree = all(a in (0, n) for a, n in zip(announced, in_order, strict=True))
    return in_order if agree else merged


def _announced(lines: list[str], first: int) -> int:
    """Read the comments directly above a START marker."""
    above, number = [], first - 2
    while number > 0 and lines[number - 1].strip().startswith("#") and not END.match(lines[number - 1]):
        above.insert(0, lines[number - 1])
        number -= 1
    return _by_comment("\n".join(above))


def _by_comment(text: str) -> int:
    comments = "\n".join(line.partition("#")[2] for line in text.split("\n") if "#" in line)
    if number := NUMBER.search(comments):
        return int(number[1])
    patterns = {section.number: section.comment for section in SECTIONS}
    return next((n for n in ORDER_OF_COMMENTS if re.search(patterns[n], comments, re.IGNORECASE)), 0)


def _by_code(body: str) -> int:
    """Tell the section by the code; 0 if two claim the same number of matches."""
    code = "\n".join(line.split("#")[0] for line in body.split("\n"))
    counts = {section.number: len(re.findall(section.code, code)) for section in SECTIONS}
    most = max(counts.values())
    best = [number for number, count in counts.items() if count == most]
    return best[0] if most and len(best) == 1 else 0
