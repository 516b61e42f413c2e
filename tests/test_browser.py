"""The notebook in JupyterLab, in a real browser, from the first cell to the last."""

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

ROOT = Path(__file__).parent.parent
NOTEBOOK = "flower_classification.ipynb"
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


def write_short_copy(path):
    """Write the notebook with the settings of ``SHORT`` in its parameters cell."""
    notebook = nbformat.read(ROOT / "notebooks" / NOTEBOOK, as_version=4)
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    lines = [line for line in cell.source.splitlines() if line.partition(":")[0] not in SHORT]
    cell.source = "\n".join(lines + [f"{name}: int = {value}" for name, value in SHORT.items()])
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


def run_all_cells(page):
    """Clear the stored outputs, run all cells, check that the progress bar moves, and wait for the last cell."""
    page.wait_for_selector(".jp-CodeCell", timeout=MINUTES)
    wait_for_kernel(page)
    page.get_by_role("menuitem", name="Edit", exact=True).click()
    page.get_by_role("menuitem", name="Clear Outputs of All Cells", exact=True).click()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.wait_for_function("() => /epoch \\d+: +\\d+%/.test(document.body.innerText)", timeout=4 * MINUTES)
    page.screenshot(path=SHOTS / "training.png")
    page.wait_for_function(FINISHED, timeout=10 * MINUTES, polling=1000)


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


def photograph_figures(page):
    """Take a screenshot of each figure in its place. Returns their sizes in px; 0 if not drawn."""
    figures = page.locator(".jp-OutputArea-output img")
    for number in range(figures.count()):
        figures.nth(number).scroll_into_view_if_needed()
        page.screenshot(path=SHOTS / f"figure_{number}.png")
    return figures.evaluate_all("images => images.map(i => [i.naturalWidth, i.naturalHeight])")


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH (Debian: apt-get install chromium)")
def test_the_whole_notebook_in_a_browser(lab):
    sync_api = pytest.importorskip("playwright.sync_api")
    address, token, path = lab
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 1000}, base_url=address)
        crashes = []
        page.on("pageerror", lambda error: crashes.append(str(error)))
        page.goto(f"{address}/lab/tree/{path.name}?token={token}")
        try:
            run_all_cells(page)
        finally:
            page.screenshot(path=SHOTS / "end.png")
        sizes = photograph_figures(page)
        cells = saved(page, path)
        browser.close()
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert [out.evalue for cell in cells for out in cell.outputs if out.output_type == "error"] == []
    assert crashes == []
    assert len(sizes) >= 14
    assert all(width > 100 and height > 100 for width, height in sizes), sizes
