"""One finished run for all tests that only read it, and a copy for those that change it."""

import functools
import json
import shutil

import pytest

from helpers.report import build, facts
from tests.report.made_up import finished_run, real, text_of

GAINS = {"published": 0.0, "fast": -0.002, "best": 0.035}
ROWS = [
    {
        "recipe": name,
        "backbone": "resnet18",
        "folds": 5,
        "seeds": 1,
        "fold_rule": "StratifiedGroupKFold",
        "weights_sha256": "abcdef",
        "photos": 500,
        "train_photos": 400,
        "accuracy_mean": 0.9 + gain,
        "accuracy_low": 0.88 + gain,
        "accuracy_high": 0.92 + gain,
        "difference_mean": gain,
        "difference_low": gain - 0.01,
        "difference_high": gain + 0.01,
        "seconds_per_run": 321.4,
        "image_size": 224,
        "epochs": 25,
        "settings": {},
        "machine": "abacus",
        "commit": "abc",
        "cost": "224 px, 25 epochs",
    }
    for name, gain in {**GAINS, **{f"published + {i}": i / 500 for i in range(12)}}.items()
]


@pytest.fixture(scope="session", autouse=True)
def models_are_built_once():
    """Most tests report the same network, which takes longer to build than the report to write."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(facts, "build_model", functools.cache(facts.build_model))
        yield


@pytest.fixture(scope="session")
def good(tmp_path_factory):
    return finished_run(tmp_path_factory.mktemp("runs") / "good", real())


@pytest.fixture(scope="session")
def good_content(good):
    return build.compose(good)[1]


@pytest.fixture(scope="session")
def good_text(good_content):
    return text_of(good_content)


@pytest.fixture
def copied(good, tmp_path):
    return shutil.copytree(good, tmp_path / "good")


@pytest.fixture
def rows_file(tmp_path):
    """Writes rows of a comparison into a file."""

    def write(rows=ROWS):
        path = tmp_path / "comparison.json"
        path.write_text(json.dumps(rows))
        return path

    return write
