"""The notebook as a person meets it: JupyterLab in a real browser, Run All Cells, every picture drawn.

Screenshots stay in ``work_dir/browser/``. Skipped, by reason, where there is no browser.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "notebooks" / "flower_classification.ipynb"
FOLDER = ROOT / "work_dir" / "browser"
TIMEOUT = 8 * 60  # seconds for the whole notebook; the demo trains for about two minutes on two cores
ARGUMENTS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SETTINGS = {
    # A popup asking about news would cover the page.
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True},
    # Otherwise Lab keeps only the visible cells in the page.
    "notebook-extension/tracker": {"windowingMode": "none"},
}
# Finished: an error stopped the cells, or each has its number (a running one shows a star).
FINISHED = """() => document.querySelector('[data-mime-type="application/vnd.jupyter.error"]') !== null ||
    [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].every(e => /\\[\\d+\\]/.test(e.textContent))"""


def find_chromium() -> str:
    """Path of a browser that starts, or skip. (Ubuntu's chromium-browser may be a mere pointer to a snap.)"""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path and subprocess.run([path, "--version"], capture_output=True, timeout=60).returncode == 0:
            return path
    pytest.skip("no chromium, chromium-browser or google-chrome on the PATH")


def copy_project(folder: Path, notebook: Path) -> Path:
    """A project of its own in ``folder``, so that its runs do not mix with the user's; outputs cleared."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "notebooks").mkdir(parents=True)
    shutil.copytree(ROOT / "helpers", folder / "helpers", ignore=shutil.ignore_patterns("__pycache__"))
    content = nbformat.read(notebook, as_version=4)
    for cell in content.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(content, folder / "notebooks" / notebook.name)
    return folder / "notebooks" / notebook.name


def write_settings(folder: Path) -> None:
    for name, values in SETTINGS.items():
        path = folder / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))


@contextlib.contextmanager
def jupyter_lab(root: Path, scratch: Path):
    """A JupyterLab of our own, without the user's settings. Yields its address and its token."""
    token, port = secrets.token_hex(16), free_port()
    write_settings(scratch / "settings")
    places = {"JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces"}
    places |= {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_RUNTIME_DIR": "runtime", "JUPYTER_DATA_DIR": "data"}
    environment = os.environ | {name: str(scratch / place) for name, place in places.items()}
    environment.pop("FLOWERS_PROGRESS", None)  # a person is watching, as far as the notebook can tell
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1"]
    command += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}"]
    with (scratch / "lab.log").open("wb") as log:
        server = subprocess.Popen(
            [*command, f"--ServerApp.root_dir={root}"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            wait_for_server(server, port, token, scratch / "lab.log")
            yield f"http://127.0.0.1:{port}", token
        finally:
            stop(server)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_server(server: subprocess.Popen, port: int, token: str, log: Path) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(120):
        assert server.poll() is None, f"JupyterLab did not start:\n{log.read_text()[-2000:]}"
        with contextlib.suppress(OSError):
            opener.open(f"http://127.0.0.1:{port}/api/status?token={token}", timeout=5)
            return
        time.sleep(0.5)
    pytest.fail(f"JupyterLab did not answer within a minute:\n{log.read_text()[-2000:]}")


def stop(server: subprocess.Popen) -> None:
    """Ask the server to end, its kernels with it; after a while, insist."""
    server.send_signal(signal.SIGTERM)
    try:
        server.wait(20)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def run_all_cells(page) -> None:
    """Run → Run All Cells, and wait until all have run or one has failed."""
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]', timeout=60_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.wait_for_function(FINISHED, timeout=TIMEOUT * 1000, polling=500)


def photograph_pictures(page, folder: Path) -> list[int]:
    """A screenshot of each picture where it stands. Returns the pictures' widths in px, 0 if not drawn."""
    widths = []
    for number, picture in enumerate(page.locator(".jp-OutputArea-output img").all(), start=1):
        picture.scroll_into_view_if_needed()
        widths.append(picture.evaluate("e => e.decode().then(() => e.naturalWidth, () => 0)"))
        page.screenshot(path=folder / f"picture-{number:02}.png")
    return widths


def visit(notebook: Path, folder: Path, scratch: Path) -> tuple[list[str], list[str], list[int]]:
    """Run the notebook in JupyterLab. Returns error outputs, errors of the page, widths of the pictures in px."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = find_chromium()
    copy = copy_project(folder, notebook)
    crashes: list[str] = []
    with jupyter_lab(folder, scratch) as (address, token), playwright.sync_playwright() as play:
        # Chromium's sandbox does not work as root, as in a container.
        sandbox = ["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
        browser = play.chromium.launch(executable_path=chromium, args=ARGUMENTS + sandbox)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.on("pageerror", lambda error: crashes.append(str(error)))
        page.goto(f"{address}/lab/tree/notebooks/{copy.name}?token={token}")
        try:
            run_all_cells(page)
        finally:
            page.screenshot(path=folder / "end.png")
        widths = photograph_pictures(page, folder)
        errors = page.locator('[data-mime-type="application/vnd.jupyter.error"]').all_inner_texts()
        browser.close()
    return errors, crashes, widths


def test_the_notebook_runs_in_jupyterlab(tmp_path):
    if not NOTEBOOK.exists():
        pytest.skip(f"{NOTEBOOK.name} is not there")
    errors, crashes, widths = visit(NOTEBOOK, FOLDER, tmp_path)
    assert errors == []
    assert crashes == []
    assert len(widths) >= 5
    assert all(width > 0 for width in widths)
