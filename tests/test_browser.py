"""The notebooks in JupyterLab, in a real browser: interrupted while training, continued, and looked at closer."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest

from tests.conftest import colourful

ROOT = Path(__file__).parent.parent
NOTEBOOK, CLOSER_LOOK = "flower_classification.ipynb", "closer_look.ipynb"
SHOTS = ROOT / "work_dir" / "browser"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    # Without windowing, cells that are scrolled out of sight are in the page too.
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
}
SHORT = {"epochs": 3, "demo_photos": 30}  # the cells at full length are nbval's
LIVE = r"/epoch \d\/2, step \d+\/\d+ .*photos\/s, .* left, best \d/"
MINUTES = 60_000  # milliseconds
# Waiting and running cells show a star; after an error, the cells below lose theirs and get no number.
FINISHED = """() => {
    const prompts = [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(e => e.textContent);
    return prompts.some(text => /\\[\\d+\\]/.test(text)) && !prompts.some(text => text.includes('*'));
}"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def lab(tmp_path):
    """JupyterLab on a copy of the notebook with a short training, and with settings and runs of its own."""
    folder = SHOTS / "notebook"
    shutil.rmtree(SHOTS, ignore_errors=True)
    folder.mkdir(parents=True)
    write_short_copy(folder / NOTEBOOK)
    shutil.copy(ROOT / "notebooks" / CLOSER_LOOK, folder)
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "overrides.json").write_text(json.dumps(SETTINGS))
    port, token = free_port(), "testing"
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
    command += [f"--IdentityProvider.token={token}", f"--notebook-dir={folder}"]
    command += [
        f"--LabApp.app_settings_dir={tmp_path / 'settings'}",
        f"--LabApp.workspaces_dir={tmp_path / 'workspaces'}",
    ]
    command += [f"--LabApp.user_settings_dir={tmp_path / 'user'}"]
    environment = os.environ | {
        "FLOWERS_WORK_DIR": str(tmp_path / "runs"),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
    }
    with open(tmp_path / "lab.log", "w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder)
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_until_up(f"{address}/api?token={token}", tmp_path / "lab.log")
        yield address, token, folder / NOTEBOOK
    finally:
        process.terminate()
        process.wait(20)


def write_short_copy(path, settings=SHORT):
    """Write the notebook with these settings in its parameters cell."""
    notebook = nbformat.read(ROOT / "notebooks" / NOTEBOOK, as_version=4)
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    lines = [line for line in cell.source.splitlines() if line.partition(":")[0] not in settings]
    cell.source = "\n".join(lines + [f"{name}: {type(value).__name__} = {value!r}" for name, value in settings.items()])
    nbformat.write(notebook, path)


def _wait_until_up(url, log):
    for _ in range(120):
        try:
            urllib.request.urlopen(url, timeout=2)
            return
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")


def wait_for_kernel(page):
    """Wait until the page is connected to an idle kernel: before that, it shows idle but ignores Run All Cells."""
    for _ in range(120):
        kernels = page.request.get("/api/kernels").json()
        if kernels and kernels[0]["connections"] and kernels[0]["execution_state"] == "idle":
            return
        page.wait_for_timeout(500)
    pytest.fail(f"no kernel is connected to the page after a minute: {kernels}")


def choose(page, menu, item):
    """Choose an item of a menu."""
    page.get_by_role("menuitem", name=menu, exact=True).click()
    page.get_by_role("menuitem", name=item).first.click()


def open_cleared(page, path, token):
    """Open a notebook without its stored outputs, alone: other notebooks and their kernels are closed."""
    for session in page.request.get("/api/sessions", params={"token": token}).json():
        page.request.delete(f"/api/sessions/{session['id']}", headers={"Authorization": f"token {token}"})
    page.goto(f"/lab/workspaces/{path.stem}/tree/{path.name}?token={token}")
    page.wait_for_selector(".jp-CodeCell", timeout=MINUTES)
    wait_for_kernel(page)
    choose(page, "Edit", "Clear Outputs of All Cells")


def run_all_cells(page):
    """Run all cells and wait for the last one."""
    choose(page, "Run", "Run All Cells")
    page.wait_for_function(FINISHED, timeout=10 * MINUTES, polling=1000)


def interrupt_the_training(page):
    """Run all cells, and interrupt the kernel once the live line shows an epoch with a best accuracy."""
    choose(page, "Run", "Run All Cells")
    page.wait_for_function(f"() => {LIVE}.test(document.body.innerText)", timeout=6 * MINUTES)
    page.locator(".jp-OutputArea-output", has_text="Learning Rate").last.scroll_into_view_if_needed()
    page.screenshot(path=SHOTS / "training.png")
    choose(page, "Kernel", "Interrupt Kernel")
    page.wait_for_function("() => document.body.innerText.includes('the same run continues')", timeout=MINUTES)
    page.screenshot(path=SHOTS / "interrupted.png")


def saved(page, path):
    """Save the notebook and return its code cells: in the page, errors and warnings are marked alike."""
    before = path.stat().st_mtime_ns
    page.keyboard.press("Control+s")
    for _ in range(60):
        page.wait_for_timeout(500)
        if path.stat().st_mtime_ns != before:
            break
    page.wait_for_timeout(1000)  # the file may still be growing
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def photograph_figures(page, name):
    """Take a screenshot of each figure in its place. Returns their sizes in px; 0 if not drawn."""
    figures = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-OutputArea-output img")
    for number in range(figures.count()):
        figures.nth(number).scroll_into_view_if_needed()
        page.screenshot(path=SHOTS / f"{name}_{number}.png")
    return figures.evaluate_all("images => images.map(i => [i.naturalWidth, i.naturalHeight])")


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH (Debian: apt-get install chromium)")
def test_the_notebooks_in_a_browser(lab):
    sync_api = pytest.importorskip("playwright.sync_api")
    address, token, path = lab
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 1000}, base_url=address)
        crashes, figures, notebooks = [], [], []
        page.on("pageerror", lambda error: crashes.append(str(error)))
        try:
            open_cleared(page, path, token)
            interrupt_the_training(page)
            for notebook in (path, path.with_name(CLOSER_LOOK)):
                if notebook != path:
                    open_cleared(page, notebook, token)
                run_all_cells(page)
                figures.append(photograph_figures(page, notebook.stem))
                notebooks.append(saved(page, notebook))
        finally:
            page.screenshot(path=SHOTS / "end.png")
            browser.close()
    assert [out.evalue for cells in notebooks for cell in cells for out in cell.outputs if "evalue" in out] == []
    assert crashes == []
    assert [len(sizes) for sizes in figures] == [8, 9]  # the training's curves are shown live and once more
    assert all(width > 100 and height > 40 for sizes in figures for width, height in sizes), figures
    (training,) = [cell for cell in notebooks[0] if cell.source.startswith("fitted = fit(")]
    log = "".join(out.get("text", "") for out in training.outputs)
    assert "resuming at epoch" in log
    assert log.count("Epoch 0/2") <= 1


# Names of classes and, below, of photos: HTML, a link in Markdown, mathematics. A name cannot hold a slash.
PAYLOADS = (
    '<img src=x onerror="window.PWNED=1">',
    "![a](javascript:window.PWNED=2) <svg onload=window.PWNED=3>",
    "$\\href{javascript:window.PWNED=4}{x}$ | `b` **c**",
)
MARKUP = """() => [...document.querySelectorAll('.jp-OutputArea-output *')].filter(each =>
    each.matches('img[src="x"], [onerror], [onload], script, a[href^="javascript"], mjx-container')).length"""


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH (Debian: apt-get install chromium)")
def test_no_name_of_a_class_or_a_photo_is_markup(lab, tmp_path):
    """Executed with the rights of the server: what runs in the page can write files through Jupyter's API."""
    sync_api = pytest.importorskip("playwright.sync_api")
    address, token, path = lab
    for number, name in enumerate(PAYLOADS):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(12):
            photo = colourful((60, 40), 100 * number + i)
            photo.save(tmp_path / "photos" / name / f"{PAYLOADS[i % 3].replace('|', '')}{i}.jpg")
    small = {"dataset": str(tmp_path / "photos"), "epochs": 1, "image_size": 32, "val_resize": 36}
    write_short_copy(path, small)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 1000}, base_url=address)
        open_cleared(page, path, token)
        run_all_cells(page)
        page.screenshot(path=SHOTS / "names.png")
        cells = saved(page, path)
        assert page.evaluate(MARKUP) == 0
        assert page.evaluate("() => window.PWNED") is None
        shown = page.evaluate("() => document.body.innerText")
        browser.close()
    assert [out.evalue for cell in cells for out in cell.outputs if out.output_type == "error"] == []
    shown = shown.replace("\u00a0", " ")
    assert all(name in shown for name in PAYLOADS)  # as they are, in the audit's table
    assert any(f"predicted as {name}" in shown for name in PAYLOADS)  # in the discussion
