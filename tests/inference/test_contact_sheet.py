"""Contact sheets, tested by their data."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.common.errors import PhotosError
from helpers.inference import contact_sheet
from helpers.inference.predictor import Prediction


def prediction(path, probabilities, is_ood=False):
    return Prediction(path, np.zeros((3, 8, 8), np.uint8), torch.tensor(probabilities), is_ood)


def test_of_many_photos_the_least_certain_are_shown(tmp_path):
    selection = contact_sheet.SheetSelection(("a", "b"), most=3)
    for i, (probability, is_ood) in enumerate([(0.9, False), (0.6, False), (0.99, True), (0.7, False), (0.95, False)]):
        selection.add(prediction(tmp_path / f"{i}.jpg", [probability, 1 - probability], is_ood))
    assert sorted(each.path.name for _, each in selection._heap) == ["1.jpg", "2.jpg", "3.jpg"]
    assert selection.write(tmp_path / "s.jpg").endswith("s.jpg (the 3 least certain of 5 photos)")


def test_unusual_photos_are_framed_and_labelled():
    predictions = [prediction(Path(f"{i}.jpg"), [0.51, 0.49], i == 1) for i in range(3)]
    first, second, _ = contact_sheet.contact_sheet(predictions, ("rose", "tulip")).axes
    assert (first.get_title(), first.get_xlabel()) == ("rose 51%", "0.jpg")
    assert "like none of the classes?" in second.get_xlabel()
    assert second.spines["top"].get_visible()
    assert not first.spines["top"].get_visible()


def test_pages_are_numbered(tmp_path, monkeypatch):
    monkeypatch.setattr(contact_sheet, "ROWS", 1)
    selection = contact_sheet.SheetSelection(("a", "b"))
    for _ in range(7):
        selection.add(prediction(Path("a.jpg"), [0.51, 0.49]))
    assert selection.write(tmp_path / "s.jpg").endswith("s.jpg to s-2.jpg")
    assert all(Image.open(tmp_path / page).format == "JPEG" for page in ("s.jpg", "s-2.jpg"))


def test_one_photo_is_shown_with_its_probabilities_and_several_as_a_sheet(tmp_path):
    Image.new("RGB", (60, 40)).save(tmp_path / "a.jpg")
    one = prediction(tmp_path / "a.jpg", [0.25, 0.75])
    bad = Prediction(tmp_path / "x.jpg", error="is not a readable photo")
    figure = contact_sheet.photo_figure([bad, one], ("rose", "tulip"))
    assert [bar.get_width() for bar in figure.axes[1].patches] == pytest.approx([0.25, 0.75])
    assert figure.axes[0].images[0].get_array().shape == (40, 60, 3)  # the photo itself
    assert contact_sheet.photo_figure([one, one], ("rose", "tulip")).axes[0].get_title() == "tulip 75%"
    with pytest.raises(PhotosError, match=r"x\.jpg: is not a readable photo"):
        contact_sheet.photo_figure([bad], ("rose", "tulip"))
    with pytest.raises(PhotosError, match="no photo to show"):
        contact_sheet.photo_figure([], ("rose", "tulip"))
