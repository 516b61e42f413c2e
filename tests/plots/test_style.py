"""The style shared by all figures."""

import matplotlib.colors
import matplotlib.pyplot as plt
import pytest
import torch
from fontTools.ttLib import TTFont
from matplotlib import font_manager

from helpers.common.files import figure_bytes
from helpers.plots import evaluation
from helpers.plots.style import fallback_fonts, finalize, other_scripts, series_style


def test_up_to_49_classes_differ_by_colour_or_marker_and_up_to_7_by_both():
    styles = [series_style(number) for number in range(49)]
    assert len({tuple(style.values()) for style in styles}) == 49
    assert len({style["color"] for style in styles[:7]}) == len({style["marker"] for style in styles[:7]}) == 7
    assert all(matplotlib.colors.is_color_like(style["color"]) for style in styles)


def test_dollars_and_carets_in_names_are_characters():
    """``$\\frac$`` as a formula would not even draw."""
    names = ["$\\frac$", "rose^2 $x_1$", r"\$_$"]
    figure = evaluation.confusion(torch.eye(3), names)
    labels = (*figure.axes[0].get_xticklabels(), *figure.axes[0].get_yticklabels())
    assert [label.get_text() for label in labels] == names * 2
    assert not any(label.get_parse_math() for label in labels)
    assert figure_bytes(figure)


def test_powers_of_ten_stay_mathematics():
    figure, axes = plt.subplots()
    axes.plot([1, 1000], [1, 1000])
    axes.set(yscale="log", title="$a$")
    finalize(figure)
    figure_bytes(figure)
    assert all(tick.label1.get_parse_math() for tick in axes.yaxis.get_major_ticks())
    assert not axes.title.get_parse_math()


@pytest.fixture
def private_font(tmp_path, monkeypatch):
    """The only font of the machine: DejaVu's, under another name, its letters e, i, s, y those of two Chinese words."""
    letters = dict(zip("eisyd", "玫瑰雏菊花", strict=True))
    font = TTFont(font_manager.findfont("DejaVu Sans"))
    for table in font["cmap"].tables:
        table.cmap = {ord(chinese): table.cmap[ord(latin)] for latin, chinese in letters.items() if table.isUnicode()}
    for record in font["name"].names:
        record.string = "Test Han" if record.nameID in (1, 4, 16) else record.toUnicode()
    font["OS/2"].usWeightClass = 500
    font.save(tmp_path / "han.ttf")
    monkeypatch.setattr(
        font_manager, "findSystemFonts", lambda: [str(tmp_path / "broken.ttf"), str(tmp_path / "han.ttf")]
    )
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    fallback_fonts.cache_clear()
    yield
    fallback_fonts.cache_clear()
    font_manager.fontManager.ttflist[:] = [each for each in font_manager.fontManager.ttflist if each.name != "Test Han"]


@pytest.mark.filterwarnings("error")
def test_chinese_names_are_drawn_with_an_installed_font(private_font, capsys, caplog):
    """Without one, matplotlib warns of each letter."""
    figure = evaluation.confusion(torch.eye(2), ["玫瑰", "雏菊 daisy"])
    labels = figure.axes[0].get_xticklabels()
    assert all(label.get_fontfamily()[-1] == "Test Han" for label in labels)
    assert figure.axes[0].xaxis.label.get_fontfamily() != labels[0].get_fontfamily()
    assert figure_bytes(figure)
    assert capsys.readouterr().err == ""
    assert not caplog.records


def test_without_a_font_one_sentence_names_one_to_install(private_font, capsys, recwarn):
    for _ in range(2):
        assert figure_bytes(evaluation.confusion(torch.eye(2), ["玫瑰", "丁香"]))
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "no installed font has '丁香'" in said
    assert "apt-get install fonts-noto-cjk" in said
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]


def test_latin_greek_and_cyrillic_need_no_other_font(monkeypatch):
    assert other_scripts("Gänseblümchen ромашка τριαντάφυλλο 10⁻⁵ → ≥ …") == ""
    assert other_scripts("a 雏 玫 雏") == "玫雏"
