"""A folder of hand-ins becomes a table, pages and results; what strangers named or wrote is data."""

import csv
import io
import json
import os
import zipfile
from html.parser import HTMLParser

import pytest

from helpers.common.errors import UserError
from helpers.common.files import read_csv
from teaching.__main__ import main
from teaching.checks.sandbox import Report
from teaching.checks.sections import SECTIONS
from teaching.grade import NOTHING, Grade, grade, gradescope, table
from teaching.hand_ins import HandIn, Student, find_hand_ins, read_roster
from tests.teaching.cases import CELLS, MUTANTS, TEXT, as_notebook

SCRIPT = TEXT.encode()
SHORT = b"### START SOLUTION HERE ###\ncriterion = nn.CrossEntropyLoss()\n### END SOLUTION HERE ###\n"
NASTY = "<script>alert(1)</script>"


def write(path, content=SCRIPT):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def zipped(path, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def the_only(folder):
    (found,) = find_hand_ins(folder, [])
    return found


def verdict(passed=(), seen="fine", **parts):
    sections = {s.number: {"passed": s.number in passed, "seen": seen, "attempts": []} for s in SECTIONS}
    return Report(parts.pop("name", "main.py"), sections, **parts)


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """A folder of three hand-ins, graded by the command; several tests look at what it wrote."""
    root = tmp_path_factory.mktemp("grading")
    write(root / "in" / "2023001 Li Wei" / "Ex2" / "main.py")
    zipped(root / "in" / "2023002.zip", {"Ex2/main.py": MUTANTS["no zero_grad"][1]})
    write(root / "in" / "<b>somebody" / "final.py", b"print('hello')\n")
    roster = "学号,姓名\n2023001,李伟\n2023002,<i>Ann\n2023003,=cmd()\n".encode("gb18030")
    command = ["grade", str(root / "in"), "--roster", str(write(root / "roster.csv", roster))]
    assert main([*command, "--output", str(root / "out")]) == 0
    return root / "out"


def test_a_folder_is_graded_into_a_table(graded):
    heading, *rows = list(csv.reader(io.StringIO((graded / "grades.csv").read_text("utf-8-sig"))))
    by_number = {row[0]: dict(zip(heading, row, strict=True)) for row in rows}
    assert {number: row["points"] for number, row in by_number.items()} == {
        **{"2023001": "60", "2023002": "50", "2023003": "0"},
        "<b>somebody": "0",
    }
    assert by_number["2023002"]["section 5"] == "0"
    assert by_number["2023001"]["name"] == "李伟"
    assert by_number["2023003"]["name"] == "'=cmd()"
    assert "No markers" in by_number["<b>somebody"]["warnings"]


def test_each_student_gets_a_page(graded):
    page = (graded / "2023002.html").read_text("utf-8")
    assert "50 of 60 points" in page
    assert SECTIONS[4].hint in page.replace("&#x27;", "'")
    assert SECTIONS[0].hint not in page
    assert NOTHING in (graded / "2023003.html").read_text("utf-8")
    assert all({"b", "i"}.isdisjoint(Tags(path.read_text("utf-8")).tags) for path in graded.glob("*.html"))


def test_each_student_gets_results_for_gradescope(graded):
    results = json.loads((graded / "2023002.json").read_text("utf-8"))
    assert results["score"] == 50 == sum(test["score"] for test in results["tests"])
    assert [test["max_score"] for test in results["tests"]] == [10] * 6
    assert [test["status"] for test in results["tests"]].index("failed") == 4


def test_the_script_with_the_most_answers_is_graded_and_the_others_named(tmp_path):
    write(tmp_path / "s" / "main.py", SHORT)
    write(tmp_path / "s" / "old" / "train.py")
    found = the_only(tmp_path)
    assert found.file == os.path.join("s", "old", "train.py")
    assert "Several scripts" in found.warnings[0]
    assert os.path.join("s", "main.py") in found.warnings[0]


@pytest.mark.parametrize(
    ("name", "content"),
    [("作业一.ipynb", as_notebook(CELLS)), ("main.py", SCRIPT), ("My Solution (2).PY", SCRIPT)],
)
def test_any_name_is_found_in_a_folder_as_in_a_zip_file(tmp_path, name, content):
    write(tmp_path / "a" / "s1" / "Ex2" / name, content)
    zipped(tmp_path / "b" / "s1" / "hand in.zip", {f"Ex2/{name}": content, f"__MACOSX/._{name}": b"x"})
    for each in (the_only(tmp_path / "a"), the_only(tmp_path / "b")):
        assert each.content == content
        assert each.student.number == "s1"
        assert not each.warnings


def test_zip_files_are_read_in_place_and_do_not_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("teaching.hand_ins.ALL_CODE_BYTES", 3 * len(SCRIPT))
    folder = tmp_path / "in"
    zipped(folder / "s1.zip", {"../../slip.py": SCRIPT, "/etc/slip.py": SCRIPT} | {f"{i}.py": SCRIPT for i in range(9)})
    zipped(folder / "s2.zip", {"big.py": b" " * (6 << 20), "main.py": SHORT})
    write(folder / "s3.zip", b"PK no zip")
    zipped(folder / "s4.zip", {"Ex2.zip": b"PK"})
    write(folder / "s5.rar", b"Rar!")
    first, second, third, fourth, fifth = find_hand_ins(folder, [])
    assert "the rest was not read" in first.warnings[0]
    assert second.content == SHORT  # not the one of 6 MB
    assert "cannot be opened" in third.warnings[0]
    assert "s4.zip/Ex2.zip is an archive in an archive" in fourth.warnings[0]
    assert "s5.rar is an archive that is not read here: unpack it" in fifth.warnings[0]
    assert [path.name for path in tmp_path.rglob("*") if path.suffix not in (".zip", ".rar")] == ["in"]


def test_links_are_not_followed(tmp_path):
    secret = write(tmp_path / "secret" / "main.py")
    folder = tmp_path / "in"
    write(folder / "honest" / "main.py", SHORT)
    for link, target in (("honest/link.py", secret), ("honest/far", secret.parent), ("top", secret.parent)):
        (folder / link).symlink_to(target)
    (folder / "top.py").symlink_to(secret)
    found = the_only(folder)
    assert found.student.number == "honest"
    assert found.content == SHORT
    assert not found.warnings


def test_a_file_that_cannot_be_read_is_named_and_the_others_go_on(tmp_path, monkeypatch):
    write(tmp_path / "a" / "main.py")
    write(tmp_path / "b" / "main.py")

    def read(path):
        if path.parent.name == "a":
            raise PermissionError(13, "Permission denied")
        return path.read_bytes()

    monkeypatch.setattr("teaching.hand_ins.read_bytes", read)
    a, b = find_hand_ins(tmp_path, [])
    assert any("cannot be read (Permission denied)" in each for each in a.warnings)
    assert b.content == SCRIPT


def test_files_of_the_trap_and_too_large_ones_are_warned_of(tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr("teaching.hand_ins.LARGE", 4 << 10)
    write(tmp_path / "s" / "main.py", SHORT)
    write(tmp_path / "s" / "log.txt", b"val Loss: 0.5004 Acc: 0.7999\n" * 5)
    torch.save({"fc.weight": torch.zeros(2, 512), "fc.bias": torch.zeros(2)}, tmp_path / "s" / "best_model.pth")
    write(tmp_path / "s" / "other.pth", b"no weights")
    text = " ".join(the_only(tmp_path).warnings)
    for part in ("best_model.pth is larger", "tells two classes apart", "log.txt stays at 79.99 %", "other.pth cannot"):
        assert part in text, text


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.data = set(), ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        assert not any(name.startswith("on") for name, _ in attrs)
        self.tags.add(tag)

    def handle_data(self, data):
        self.data += data


def test_what_strangers_wrote_is_text_in_pages_tables_and_results(tmp_path, monkeypatch):
    names = [NASTY, "=HYPERLINK(1)", "../../up", "..", "a\nb", "CON", "x" * 200]
    found = [HandIn(Student(name, NASTY), "=1+1.py", b"x", [f"{NASTY}\udc80"]) for name in names]
    report = verdict([1], f"{NASTY} {{points}}\x1b[2J\udc80", name=f"{NASTY}.py", remarks=["@SUM(1)\udcfe"])
    monkeypatch.setattr("teaching.grade.find_hand_ins", lambda *_: found)
    monkeypatch.setattr("teaching.grade.check", lambda *_, **__: report)
    out = tmp_path / "out"
    grades = grade(tmp_path, out, log=lambda line: line.encode())
    assert {path.parent for path in tmp_path.rglob("*") if path.is_file()} == {out}
    assert len(list(out.glob("*.html"))) == len(list(out.glob("*.json"))) == len(names)
    for path in out.glob("*.html"):
        seen = Tags(path.read_text("utf-8"))
        assert seen.tags <= {
            *["html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "section", "ul", "li"]
        }
        assert NASTY in seen.data
        assert "\x1b" not in seen.data
    for row in list(csv.reader(io.StringIO((out / "grades.csv").read_text("utf-8-sig"))))[1:]:
        assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for cell in row)
    assert [row[0] for row in read_csv(out / "grades.csv")[1:]][1] == "=HYPERLINK(1)"
    assert gradescope(grades[0])["score"] == 10
    assert "\x1b" not in (out / "CON.json").read_text("utf-8")


def test_names_that_no_encoding_has_do_not_end_the_grading(tmp_path):
    write(tmp_path / "in" / os.fsdecode(b"bad\xff\n") / os.fsdecode(b"a\xfe\n.py"), SHORT)
    zipped(tmp_path / "in" / "z.zip", {"\x1b[2J\n.py": SHORT})
    for each in find_hand_ins(tmp_path / "in", []):
        text = f"{each.student.number} {each.file}"
        assert text.isprintable()
        assert text.encode()


@pytest.mark.parametrize(
    ("isolated", "said"),
    [
        (["network", "processes", "files"], []),
        (["network"], ["changing files"]),
        ([], ["the network and changing files"]),
    ],
)
def test_grading_says_what_the_system_does_not_keep_hand_ins_from(tmp_path, monkeypatch, isolated, said):
    write(tmp_path / "in" / "1.py", SHORT)
    monkeypatch.setattr("teaching.grade.check", lambda *_, **__: verdict(isolated=isolated))
    lines = []
    grade(tmp_path / "in", tmp_path / "out", log=lines.append)
    assert len(lines) == 1 + len(said)
    assert all(f"does not keep hand-ins from {each}" in lines[-1] for each in said)


def test_attempts_are_in_the_table():
    report = verdict([2])
    report.sections[3]["attempts"] = ["opens network connections"]
    (heading, row) = table([Grade(HandIn(Student("1")), report)])
    assert dict(zip(heading, row, strict=True))["refused"] == "opens network connections"


def test_names_meet_the_roster_as_whole_words(tmp_path):
    for name in ("12-main.py", "x_123.py", "Li_Wei-final.py", "999.py"):
        write(tmp_path / name, SHORT)
    roster = [Student("12", "A"), Student("123", "B"), Student("7", "Li Wei"), Student("8", "Nobody")]
    found = {each.student.number: each.file for each in find_hand_ins(tmp_path, roster)}
    assert found == {"12": "12-main.py", "123": "x_123.py", "7": "Li_Wei-final.py", "8": "", "999.py": "999.py"}


def test_a_hand_in_of_two_students_of_one_name_is_given_to_neither(tmp_path):
    for name in ("Li Wei.py", "ab-1.py"):
        write(tmp_path / name, SHORT)
    roster = [Student("7", "Li Wei"), Student("8", "li_wei"), Student("AB1", "A"), Student("ab-1", "B")]
    found = {each.student.number: each.file for each in find_hand_ins(tmp_path, roster)}
    assert found == {"7": "", "8": "", "AB1": "", "ab-1": "ab-1.py", "Li Wei.py": "Li Wei.py"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name,mark\nA,1\n", "no column of student numbers"),
        (b"", "no column of student numbers"),
        (b"id,name\n1,A\n1,B\n", "has the number 1 twice"),
        (b"PK\x03\x04\xff\xff\xff\x00", "no column of student numbers"),
    ],
)
def test_a_roster_that_is_none_is_refused(tmp_path, content, message):
    with pytest.raises(UserError, match=message):
        read_roster(write(tmp_path / "roster.csv", content))


def test_folders_and_rosters_that_are_not_there_are_named_and_nothing_is_written(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    write(tmp_path / "in" / "1.py", SHORT)
    out = str(tmp_path / "out")
    for arguments, said in (
        ([str(tmp_path / "none")], "is no folder: name the folder"),
        ([str(tmp_path / "empty")], "holds no hand-in"),
        ([str(tmp_path / "in"), "--roster", str(tmp_path / "no.csv")], "cannot be read"),
        ([str(tmp_path / "in"), "--output", str(tmp_path / "in" / "1.py" / "x")], "name another folder with --output"),
    ):
        assert main(["grade", *arguments, *([] if "--output" in arguments else ["--output", out])]) == 1
        assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    with pytest.raises(SystemExit):
        main(["grade", str(tmp_path / "in"), "--workers", "0"])
    assert "--workers" in capsys.readouterr().err
