"""A person's way: the notebook in JupyterLab, in a real browser, from the first cell to the last."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
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
    # Without windowing every cell is in the page, also those scrolled out of sight.
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
}
MINUTES = 60_000  # milliseconds


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def lab(tmp_path):
    """JupyterLab on a copy of the notebook, with settings and runs of its own."""
    folder = SHOTS / "notebook"
    shutil.rmtree(SHOTS, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "notebooks" / "flower_classification.ipynb", folder)
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
        yield f"{address}/lab/tree/flower_classification.ipynb?token={token}"
    finally:
        process.terminate()
        process.wait(20)


def _wait_until_up(url, log):
    for _ in range(120):
        try:
            urllib.request.urlopen(url, timeout=2)
            return
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH (Debian: apt-get install chromium)")
def test_the_whole_notebook_in_a_browser(lab):
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(lab)
        page.wait_for_selector('[data-status="idle"]', timeout=2 * MINUTES)
        page.wait_for_selector(".jp-CodeCell", timeout=MINUTES)
        page.screenshot(path=SHOTS / "opened.png")

        # The stored outputs would make the waiting below end at once.
        page.get_by_role("menuitem", name="Edit", exact=True).click()
        page.get_by_text("Clear Outputs of All Cells").click()
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()

        # A bar moves while it trains, because a person watches.
        page.wait_for_function("document.body.innerText.match(/epoch \\d+: +\\d+%/)", timeout=4 * MINUTES)
        page.screenshot(path=SHOTS / "training.png")
        finished = """() => {
            const cells = [...document.querySelectorAll('.jp-CodeCell')];
            const prompts = cells.map(cell => cell.querySelector('.jp-InputPrompt').innerText);
            return cells.length > 20 && prompts.every(text => /\\[\\d+\\]/.test(text));
        }"""
        page.wait_for_function(finished, timeout=10 * MINUTES)
        page.wait_for_selector('[data-status="idle"]', timeout=MINUTES)

        figures = page.locator(".jp-OutputArea-output img")
        sizes = figures.evaluate_all("images => images.map(i => [i.naturalWidth, i.naturalHeight])")
        for number in range(figures.count()):
            figures.nth(number).scroll_into_view_if_needed()
            page.screenshot(path=SHOTS / f"figure_{number}.png")
        assert len(sizes) >= 7
        assert all(width > 100 and height > 100 for width, height in sizes), sizes
        assert page.locator('[data-mime-type="application/vnd.jupyter.error"]').count() == 0
        assert errors == []
        browser.close()
