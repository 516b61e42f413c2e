"""An executed notebook as a page: one file that asks no other machine, with code that folds and described figures."""

import base64
import re

import nbformat
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from helpers.commands.page import write_page

PIXEL = base64.b64encode(b"not looked at").decode()


def page(tmp_path, *cells):
    notebook = tmp_path / "a_b.ipynb"
    nbformat.write(new_notebook(cells=list(cells)), notebook)
    return BeautifulSoup(write_page(notebook).read_text(), "html.parser")


def figure(alt):
    data, metadata = {"image/jpeg": PIXEL}, {"image/jpeg": {"alt": alt}}
    return new_code_cell("draw()", outputs=[new_output("display_data", data, metadata=metadata)])


def test_nothing_is_fetched_and_no_script_runs(tmp_path):
    """The policy forbids it to the browser, whatever else stands in the page."""
    script = new_output("display_data", {"text/html": "<script>alert(1)</script><img src=x onerror=alert(2)>"})
    found = page(tmp_path, new_markdown_cell("# A title"), new_code_cell("show()", outputs=[script]))
    policy = found.find("meta", {"http-equiv": "Content-Security-Policy"})["content"]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:"
    assert found.find_all("script") == found.find_all("link") == []


def test_code_folds_and_figures_are_described(tmp_path):
    found = page(tmp_path, figure('Two curves & a "line"'))
    assert found.select_one("details[open] > summary").text == "code"
    assert "draw()" in found.select_one("details").text
    assert [image["alt"] for image in found.find_all("img")] == ['Two curves & a "line"']


def test_on_paper_long_lines_wrap_between_words_instead_of_being_cut_off(tmp_path):
    styles = "".join(style.text for style in page(tmp_path, new_code_cell("x = 1")).find_all("style"))
    (paper,) = [part for part in styles.split("@media print") if "120 letters" in part]
    code = re.search(r"pre, pre code, \.highlight pre \{(.+?)\}", paper, re.DOTALL)[1]
    assert "white-space: pre-wrap !important" in code
    assert "word-break: normal !important" in code


def test_the_title_is_the_notebooks_name(tmp_path):
    assert page(tmp_path, new_markdown_cell("# A title")).title.text == "a_b"
