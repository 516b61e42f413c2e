"""The numbers of the READMEs are those of the results they point to, and their commands are run, or parsed."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
from _pytest.config import _prepareconfig
from accelerate.commands.launch import launch_command_parser
from papermill import inspect_notebook
from papermill.cli import papermill as papermill_cli

from benchmarks import bench
from benchmarks.bench import MEANINGS
from helpers import commands
from helpers.commands.compare import _recipes
from helpers.commands.parameters import parameters_of, recipe_of
from helpers.comparison import narrative, read_results, verdicts
from teaching import __main__ as teaching

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
TEXTS = [README, *((ROOT / folder / "README.md").read_text(encoding="utf-8") for folder in ("benchmarks", "teaching"))]
LINES = [
    line
    for text in TEXTS
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
# The options that a text names for a target: "make report … ARGS='…'", or in a list "- `runs` … `ARGS="…"`".
ARGUMENTS = [
    f"make {target} {arguments}"
    for text in TEXTS
    for item in re.split(r"\n(?=- |\n|make )", text)
    if (target := "".join(re.findall(r"^\n?(?:- `|make )(\w+)", item)[:1]))
    for arguments in re.findall(r"ARGS=(?:'[^']*'|\"[^\"]*\")", item)
]
RUNS = sorted((ROOT / "report" / "results").glob("*/results.json"))


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.parent.name)
def test_the_readme_quotes_every_committed_run(path):
    results = json.loads(path.read_text(encoding="utf-8"))
    (row,) = [line for line in README.splitlines() if f"report/results/{path.parent.name}" in line]
    assert (
        f"{100 * results['best_val_accuracy']:.2f} % ({results['best_val_correct']} of {results['val_photos']})" in row
    )
    assert f"{100 * results['interval_low']:.1f}–{100 * results['interval_high']:.1f} %" in row
    assert f"{100 * results['last_five_mean']:.2f} %" in row
    minutes, seconds = divmod(round(results["training_seconds"]), 60)
    assert f"{minutes} min {seconds} s" in row
    assert f"{results['photos']:,}" in row


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.parent.name)
def test_the_numbers_of_a_committed_run_agree_with_each_other(path):
    results = json.loads(path.read_text(encoding="utf-8"))
    assert results["best_val_accuracy"] == pytest.approx(results["best_val_correct"] / results["val_photos"])
    history = (path.parent / "history.csv").read_text().splitlines()[1:]
    accuracies = [float(line.split(",")[-1]) for line in history]
    assert max(accuracies) == results["best_val_accuracy"]
    assert sum(accuracies[-5:]) / 5 == pytest.approx(results["last_five_mean"])
    predictions = (path.parent / "predictions.csv").read_text().splitlines()[1:]
    called = [line.split(",")[1:3] for line in predictions]
    assert sum(true == call for true, call in called) == results["best_val_correct"]


def check_helpers(name, *words):
    options = commands._parser(name, import_module(f"helpers.commands.{name}")).parse_args(words)
    if hasattr(options, "parameter"):
        recipe = recipe_of(parameters_of(options), "published")
    if name == "compare":
        assert _recipes(options, recipe, 1, 25)


def check_papermill(*words):
    given = papermill_cli.make_context("papermill", list(words)).params
    assert Path(ROOT / given["output_path"]).parent in (ROOT, ROOT / "notebooks"), "no folder of a fresh clone"
    assert {name for name, _ in given["parameters"]} <= inspect_notebook(str(ROOT / given["notebook_path"])).keys()


def check_accelerate(*words):
    assert words[0] == "launch"
    given = launch_command_parser().parse_args(words[1:])
    assert (given.module, given.training_script) == (True, "helpers")
    check_helpers(*given.training_script_args)


def check_pip(*words):
    # The help comes once every option before it is known.
    done = subprocess.run([sys.executable, "-m", "pip", *words, "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all((ROOT / word).is_file() for word in words if word.endswith(".txt"))


def check_pytest(*words):
    _prepareconfig([*words, "--rootdir", str(ROOT)])


def check_jupyter(*words):
    assert find_spec("jupyterlab")
    assert [word for word in words if word.endswith(".ipynb")] == ["notebooks/flower_classification.ipynb"]


CHECKS = {
    "helpers": check_helpers,
    "teaching": lambda *words: teaching._parser().parse_args(words),
    "benchmarks.bench": lambda *words: bench._parser().parse_args(words),
    "papermill": check_papermill,
    "accelerate": check_accelerate,
    "pip": check_pip,
    "pytest": check_pytest,
    "jupyterlab": check_jupyter,
    "venv": lambda *words: None,
    "ruff": lambda *words: None,
}


def dry_run(*words):
    command = ["make", "--dry-run", "--no-print-directory", "--old-file=.venv/installed", *words]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # of make test
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def steps(line):
    """The commands that a line runs, in words: itself, or those that make would run for it."""
    words = shlex.split(line, comments=True)
    if words[0] != "make":
        return [words]
    if not shutil.which("make"):
        pytest.skip("needs make")
    script = dry_run(*words[1:])
    for word in words[2:]:
        others = [each for each in words[1:] if each != word]
        assert dry_run(*others) != script, f"{words[1]} does not take {word}"
    return [shlex.split(step) for step in script.replace("\\\n", " ").splitlines()]


@pytest.mark.parametrize("line", [*LINES, *ARGUMENTS])
def test_every_command_in_the_readmes_is_one_that_its_program_takes(line, monkeypatch):
    monkeypatch.chdir(ROOT)
    for words in steps(line):
        while re.match(r"[A-Z_]+=", words[0]):  # the environment
            del words[0]
        name, *rest = Path(words[0]).name, *words[1:]
        if name.startswith("python"):
            assert rest[0] == "-m"
            name, *rest = rest[1:]
        if name not in ("rm", "test"):
            CHECKS[name](*rest)


@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
def test_jupyterlab_opens_at_the_projects_root_and_without_its_news():
    assert "--ServerApp.root_dir=. --LabApp.default_url=/lab/tree/notebooks/flower_classification.ipynb" in dry_run(
        "lab"
    )
    done = subprocess.run(["make", "-n", "--always-make", "setup"], cwd=ROOT, capture_output=True, text=True)
    assert "labextension disable --level=sys_prefix @jupyterlab/apputils-extension:announcements" in done.stdout


@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
def test_the_report_of_a_run_leaves_the_published_one_alone():
    assert "report/report.pdf" not in dry_run("report", "RUN=work_dir/mine")


def test_commands_on_a_finished_run_do_what_the_readme_says(finished, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("FLOWERS_WORK_DIR", str(tmp_path))
    folder = shutil.copytree(finished[0], tmp_path / "a")
    photos = finished[1]
    for line in (line for line in [*LINES, *ARGUMENTS] if re.match(r"make (predict|runs)\b", line)):
        line = line.replace("work_dir/<run>", str(folder)).replace("--data path", f"--data {photos}")
        line = line.replace("DATA=path", f"DATA={photos / 'rose'}")
        if "ARGS" in line and "runs" not in line:  # an option of the line with RUN
            line += f" RUN={folder} DATA={photos / 'tulip'}"
        for words in steps(line):  # ".venv/bin/python -m helpers …", perhaps after a "test -n …"
            assert words[0] == "test" or commands.main(words[3:]) == 0, line
    assert (folder / "own_photos.jpg").is_file()
    assert (tmp_path / "runs.png").is_file()


def test_every_make_target_in_the_readme_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`?make ([a-z]+)", README)) <= targets


def test_every_file_in_the_readme_exists():
    for name in re.findall(r"^((?:helpers|notebooks|tests|report|benchmarks)/[\w/.]*)", README, re.MULTILINE):
        assert (ROOT / name).exists(), name


def comparison(backbone, cost):
    """The rows of one comparison that were trained on all photos, most often per fold."""
    rows = json.loads((ROOT / "report" / "results" / "comparison.json").read_text(encoding="utf-8"))
    rows = [row for row in rows if (row["backbone"], row["cost"]) == (backbone, cost)]
    most = max(row["seeds"] for row in rows)
    return {row["recipe"]: row for row in rows if row["train_photos"] > 0.7 * row["photos"] and row["seeds"] == most}


def test_the_readme_quotes_the_committed_comparison():
    rows = comparison("mobilenet_v2", "224 px, 25 epochs")
    quoted = re.findall(r"^\| `(\w+)` \| (\S+ % \(.+?\)) \| (.+?) \|$", README, re.MULTILINE)
    assert {name for name, *_ in quoted} == set(rows)
    for name, accuracy, gain in quoted:
        row = rows[name]
        mean, low, high = (100 * row[f"accuracy_{which}"] for which in ("mean", "low", "high"))
        assert accuracy == f"{mean:.2f} % ({low:.1f} to {high:.1f})"
        mean, low, high = (100 * row[f"difference_{which}"] for which in ("mean", "low", "high"))
        assert gain == ("–" if name == "published" else f"{mean:+.2f} ({low:+.2f} to {high:+.2f})")


def test_the_readme_says_what_the_folds_decide():
    results = read_results(ROOT / "report" / "results")
    main, once = results.main, next(each for each in results.comparisons if "searched" in each.with_photos)
    assert verdicts.decide(once.photos, "best", "searched")[0] != verdicts.BETTER
    for name in ("best", "fast"):
        decided, _, (_, *ends) = verdicts.decide(main.photos, "published", name)
        low, high = (f"{100 * end:+.2f}".replace("-", "−") for end in ends)
        assert decided == verdicts.BETTER  # as the README says of both
        assert re.search(rf"`{name}`( passes)? \({re.escape(f'{low} to {high}')}\)", " ".join(README.split()))


def test_the_second_notebook_quotes_the_search_the_shorter_best_and_best_itself():
    text = (ROOT / "notebooks" / "beyond_the_baseline.ipynb").read_text(encoding="utf-8")
    rows = json.loads((ROOT / "report" / "results" / "comparison.json").read_text(encoding="utf-8"))
    once = [row for row in rows if (row["recipe"], row["image_size"], row["seeds"]) == ("best", 224, 1)]
    best = {row["train_photos"]: row for row in once}
    trials = json.loads((ROOT / "report" / "results" / "trials.json").read_text(encoding="utf-8"))["trials"]
    assert f"--trials {len(trials)}" in narrative.COMMANDS["search"]
    shorter = json.loads((ROOT / "report" / "results" / "shorter_best.json").read_text(encoding="utf-8"))
    assert sorted(row["train_photos"] for row in shorter) == [129, 387, 1286, 1286, 1286]
    for row in shorter:
        same = best[row["train_photos"]]  # as many photos
        for each in (row, same):
            assert f"{100 * each['accuracy_mean']:.2f} %" in text
        if "to_best" in row:
            cell = "{mean:+.2f} ({low:+.2f} to {high:+.2f}) | {t_low:+.2f} to {t_high:+.2f} |"
            shown = cell.format(**{end: 100 * value for end, value in row["to_best"].items()}).replace("-", "−")
            assert f"{100 * row['accuracy_mean']:.2f} % | {shown}" in text


@pytest.mark.parametrize("backbone", ["mobilenet_v2", "squeezenet1_1"])
def test_the_readme_counts_the_committed_single_changes(backbone):
    rows = comparison(backbone, "128 px, 8 epochs")
    changes = [row for name, row in rows.items() if name.startswith("published + ")]
    better = sum(row["difference_low"] > 0 for row in changes)
    worse = sum(row["difference_high"] < 0 for row in changes)
    (number,) = {row["photos"] for row in changes}
    text = " ".join(README.split())
    assert f"{number} photos held out" in text
    name = {"mobilenet_v2": "MobileNetV2", "squeezenet1_1": "SqueezeNet 1.1"}[backbone]
    assert f"{better} of {len(changes)} changed {name} for the better and {worse} for the worse" in text


def changed(path):
    """Whether a file differs from the last commit, for example after ``make bench``."""
    return bool(
        subprocess.run(["git", "diff", "--quiet", "HEAD", "--", path], cwd=ROOT, capture_output=True).returncode
    )


def test_the_benchmarks_readme_quotes_the_committed_results():
    if changed("benchmarks/results/bench.json"):
        pytest.skip("benchmarks/results/bench.json holds your own measurement")
    results = json.loads((ROOT / "benchmarks" / "results" / "bench.json").read_text(encoding="utf-8"))
    text = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| [^|]+ \| `(\w+)` \| (.+) \| (.+) \| (.+) \| [^|]+ \|$", text, re.MULTILINE)
    assert {row[0] for row in rows} == set(MEANINGS)
    for name, *shown in rows:
        for cell, suffix in zip(shown, ("", "_min", "_max"), strict=True):
            if cell == "–":
                assert name + suffix not in results
                continue
            number = re.search(r"[\d,.]+", cell)[0]
            digits = len(number.partition(".")[2])
            value = results[name + suffix] * (100 if "%" in cell else 1)
            assert number == f"{value:,.{digits}f}", (name, cell)
    for name in ("augment_literal_ms", "augment_ours_ms"):
        assert f"{results[name]:.1f} ms" in text
    assert f"{results['baseline_system_ms']:.0f} ms per photo in the kernel" in text
