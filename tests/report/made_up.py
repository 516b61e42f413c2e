"""Made-up finished runs, and the words of their reports."""

import html
import json
import re
from types import SimpleNamespace

import torch

from helpers.evaluation.predictions import Predictions, read_predictions
from helpers.recipe import Recipe
from helpers.report import build
from helpers.runs.history import Epoch, History
from helpers.runs.results import analysis_numbers, summarize
from tests.tiny import a_run

FLOWERS = ("daisy", "dandelion", "rose", "sunflower", "tulip")
AUTHOR = {"author": "A. U. Thor", "email": "a@b.c", "student_id": "S-1", "school": "A School", "course": "ECE371"}
# For tests of words: drawing takes seconds.
BLANK = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>'
BLANKS = dict.fromkeys(("curves.svg", "rates.svg", "confusion.svg", "augmentation.svg"), BLANK)
MARKS = {"cite", "ref", "math", "code"}


def real(**changes):
    """A recipe for photos that are not drawn."""
    return Recipe(dataset="photos/flower_photos", weights="imagenet", **changes)


def finished_run(folder, recipe, classes=FLOWERS, right=18, each=20, train=80, accuracies=None, **last):
    """A run that classified ``right`` of ``each`` validation photos per class, and the others as the next class.

    Args:
        accuracies: of the epochs.
        last: what the last epoch of the history has otherwise.
    """
    run = a_run(folder, recipe)
    labels = torch.arange(len(classes)).repeat_interleave(each)
    wrong = torch.arange(len(labels)) % each >= right
    predicted = torch.where(wrong, (labels + 1) % len(classes), labels)
    predictions = Predictions(torch.nn.functional.one_hot(predicted, len(classes)) * 4.0, labels)
    accuracies = accuracies or [predictions.accuracy * share for share in (0.5, 0.8, 0.97, 1.0, 0.99, 0.98)]
    rows = [Epoch(i, 0.01 * 0.5**i, 1.5 / (i + 1), a + 0.01, 1.6 / (i + 1), a) for i, a in enumerate(accuracies)]
    rows[-1] = rows[-1]._replace(**last)
    history = History(rows)
    names = [f"{classes[label]}/{i:03}.jpg" for i, label in enumerate(labels.tolist())]
    split = [("train", name) for name in classes for _ in range(train)] + [("val", classes[i]) for i in labels.tolist()]
    lines = [f'x{i}.jpg,"{name.replace(chr(34), 2 * chr(34))}",{side}' for i, (side, name) in enumerate(split)]
    (run.folder / "split.csv").write_text("\n".join(["name,class,subset", *lines]), encoding="utf-8")
    audit = SimpleNamespace(photos=_Counted(classes, len(split)), unreadable=(), duplicates=((1, 2),))
    audit.cross_class_duplicates = ()
    (run.folder / "recipe.json").write_text(json.dumps(recipe.to_dict()))
    environment = {"python": "3.11.7", "packages": {"torch": "2.14.1", "torchvision": "0.29.2"}, "device": "cpu"}
    environment |= {"device_name": "A Processor, 2 threads", "precision": "float32", "seed": 7, "deterministic": True}
    environment |= {"git_commit": "0123456789abcdef", "data_fingerprint": "fedcba9876543210"}
    environment |= {"weights_sha256": "abcdef"}
    (run.folder / "environment.json").write_text(json.dumps(environment))
    run.save_history(history)
    run.save_predictions(predictions, names, tuple(classes))
    sides = SimpleNamespace(train=range(train * len(classes)))
    numbers = summarize(run, audit, sides, history, predictions, [61.0] * len(rows))
    run.save_results(numbers | _analysis(run.folder, tuple(classes), right, each))
    return run.folder


ANALYSES = {}  # by what the predictions depend on: calibrating takes a second


def _analysis(folder, *key):
    if key not in ANALYSES:
        ANALYSES[key] = analysis_numbers(read_predictions(folder))
    return ANALYSES[key]


class _Counted(SimpleNamespace):
    """As much of a PhotoSet as ``summarize`` asks for."""

    def __init__(self, classes, number):
        super().__init__(classes=tuple(classes), number=number)

    def __len__(self):
        return self.number


def edit_results(folder, **changes):
    path = folder / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def text_of(content):
    """Every word of the content, marks apart, a line for each block and cell."""
    if isinstance(content, str):
        return content
    if isinstance(content, dict) and "code" in content:
        return content["code"]
    if isinstance(content, dict) and not MARKS & content.keys():
        shown = {key: value for key, value in content.items() if key not in ("kind", "label", "files", "alt", "name")}
        return "\n".join(map(text_of, shown.values()))
    if isinstance(content, list | tuple):
        sentence = any(isinstance(each, dict) and MARKS & each.keys() for each in content)
        return ("" if sentence else "\n").join(map(text_of, content))
    return ""


def said_by(folder, **options):
    return text_of(build.compose(folder, **options)[1])


def typeset(content, query):
    """The values of ``query`` in the typeset content, without its figures."""
    with build.typesetter(content | AUTHOR, BLANKS) as compiler:
        return json.loads(compiler.query(query, field="value"))


def printed(folder):
    """The words of the typeset report, through typst's own HTML."""
    with build.typesetter(build.compose(folder)[1] | AUTHOR, BLANKS) as compiler:
        page = compiler.compile(format="html").decode()
    words = re.sub(r"<[^>]*>", " ", re.sub(r"<(style|svg|math|script)\b.*?</\1>", "", page, flags=re.S))
    return re.sub(r"[\s\u202f]+", " ", html.unescape(words).replace("\u200b", "").replace("\u202f%", "%"))
