"""Files that carry code are refused and not run, vulnerable versions are excluded, JupyterLab needs its token."""

import io
import os
import pickle
import re
import secrets
import shlex
import socket
import subprocess
import sys
import tarfile
import time
import tomllib
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch

from helpers.commands.parameters import parameters_of
from helpers.common import tensors
from helpers.common.errors import ParameterError, RunError, WeightsError
from helpers.common.files import file_digest
from helpers.data.loading.array_cache import new_entries, read_entry
from helpers.models.weights import read_weights

ROOT = Path(__file__).parents[2]


class Code:
    """An object whose pickle calls a function with these arguments when it is loaded."""

    def __init__(self, call, *arguments):
        self.payload = call, arguments

    def __reduce__(self):
        return self.payload


def payloads(canary):
    """Return payloads that create the file ``canary`` if they are run."""
    return {
        "open": Code(open, str(canary), "w"),
        "system": Code(os.system, f"touch {canary}"),
        "exec": Code(exec, f"open({str(canary)!r}, 'w')"),
        "eval": Code(eval, f"open({str(canary)!r}, 'w')"),
        "popen": Code(subprocess.Popen, ["touch", str(canary)]),
        "getattr": Code(getattr, Code(__import__, "os"), "system"),
        "setstate": _WithState(canary),
    }


class _WithState:
    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return torch.nn.Linear, (1, 1), Code(open, str(self.canary), "w")


def plain(value):
    return pickle.dumps(value)


def protocol_0(value):
    return pickle.dumps(value, protocol=0)


def zipped(value):
    buffer = io.BytesIO()
    torch.save({"weight": torch.ones(2), "more": value}, buffer)
    return buffer.getvalue()


def before_zip(value):
    """Return PyTorch's format until 1.6: several pickles, one after the other."""
    buffer = io.BytesIO()
    torch.save({"weight": torch.ones(2), "more": value}, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def in_tar(value):
    """Return PyTorch's format until 0.1.10: a tar of pickles."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            content = pickle.dumps(value)
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def torchscript(value):
    """Return a zip with a ``constants.pkl``: TorchScript, which is code by definition."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in ("data.pkl", "constants.pkl", "code/__torch__.py"):
            file.writestr(f"archive/{name}", pickle.dumps(value))
        file.writestr("archive/version", b"3\n")
    return buffer.getvalue()


def npy(value):
    buffer = io.BytesIO()
    np.save(buffer, np.array([value], dtype=object), allow_pickle=True)
    return buffer.getvalue()


KINDS = (plain, protocol_0, zipped, before_zip, in_tar, torchscript, npy)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("payload", payloads(Path()))
def test_code_in_checkpoints_and_weights_is_refused_without_running(tmp_path, kind, payload):
    canary = tmp_path / "canary"
    for suffix in (".pth", ".pt", ".safetensors", ".ckpt"):
        path = tmp_path / f"file{suffix}"
        path.write_bytes(kind(payloads(canary)[payload]))
        with pytest.raises(WeightsError, match="cannot be loaded"):
            read_weights(path)
        with pytest.raises(RunError, match="cannot be loaded"):
            tensors.load_tensors(path)
    time.sleep(0.02)  # for the one that starts a process
    assert not canary.exists()


def test_the_payloads_work(tmp_path):
    """Loaded by Python's own pickle, each of them creates the file."""
    for name, payload in payloads(tmp_path / "canary").items():
        if name in ("getattr", "setstate"):  # links of longer chains
            continue
        loaded = pickle.loads(plain(payload))
        if hasattr(loaded, "wait"):
            loaded.wait()
        elif hasattr(loaded, "close"):
            loaded.close()
        assert (tmp_path / "canary").exists(), name
        (tmp_path / "canary").unlink()


@pytest.mark.parametrize("payload", ["open", "system", "exec"])
def test_code_in_the_photo_cache_is_refused_without_running(tmp_path, payload):
    """Even with a matching digest: whoever can write the cache can write that too."""
    canary, entry = tmp_path / "canary", tmp_path / "entry"
    shapes = {"squares": ((1,), "uint8")}

    with new_entries({entry: shapes}, "1") as fresh:
        fresh[entry]["squares"][:] = 9
    (entry / "squares.npy").write_bytes(npy(payloads(canary)[payload]))
    facts = entry / "facts.json"
    facts.write_text(re.sub(r"[0-9a-f]{64}", file_digest(entry / "squares.npy"), facts.read_text()))
    said = []
    assert read_entry(entry, shapes, "1", said.append) is None
    assert "cannot be used" in said[0]
    assert not canary.exists()


@pytest.mark.parametrize("text", ["!!python/object/apply:os.system ['touch {}']", "epochs: !!python/name:os.system"])
def test_code_in_parameter_files_is_refused_without_running(tmp_path, text):
    (tmp_path / "p.yaml").write_text(text.format(tmp_path / "canary"))
    with pytest.raises(ParameterError, match="is not YAML"):
        parameters_of(SimpleNamespace(file=[str(tmp_path / "p.yaml")], parameter=[], data=None))
    assert not (tmp_path / "canary").exists()


def test_our_code_loads_no_pickles_and_evaluates_no_text():
    forbidden = (
        r"^\s*(import|from) (pickle|cloudpickle|joblib|dill|shelve|marshal)|weights_only\s*=\s*False|"
        r"allow_pickle\s*=\s*True|yaml\.(unsafe_|full_)?load\(|(?<![.\w])(eval|exec)\(|shell\s*=\s*True|os\.system"
    )
    for path in [*ROOT.glob("helpers/**/*.py"), *ROOT.glob("benchmarks/**/*.py"), *ROOT.glob("notebooks/*.ipynb")]:
        found = re.search(forbidden, path.read_text(encoding="utf-8"), re.MULTILINE)
        assert not found, (path.name, found)
        for call in re.findall(r"torch\.load\(.*", path.read_text(encoding="utf-8")):
            assert "weights_only=True" in call, (path.name, call)


def locked():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return dict(re.match(r"([\w.-]+)==([^\s;]+)", line).groups() for line in lines if re.match(r"[\w.-]", line))


def test_every_package_is_pinned_and_vulnerable_versions_are_excluded():
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        assert re.match(r"(\s*#|[\w.-]+==[^\s;]+( ;.*)?$)", line), line
    versions = locked()
    assert tuple(map(int, versions["torch"].split(".")[:2])) >= (2, 10)
    assert int(versions["pillow"].split(".")[0]) >= 13
    named = re.findall(r"^([\w-]+)", (ROOT / "requirements.in").read_text(), re.MULTILINE)
    assert {name.lower() for name in named} <= set(versions)
    tomllib.loads((ROOT / "pyproject.toml").read_text())


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answer(port, query=""):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/contents{query}", timeout=5) as reply:
            return reply.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


@pytest.mark.skipif(sys.platform == "win32", reason="make")
def test_jupyterlab_listens_only_on_this_machine_and_needs_its_token(tmp_path):
    """Run the command of ``make lab``, on another port and without a browser."""
    planned = subprocess.run(["make", "-n", "lab"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    lines = planned.replace("\\\n", " ").splitlines()
    (command,) = [shlex.split(line) for line in lines if line.startswith(".venv/bin/jupyter lab ")]
    port, token = free_port(), secrets.token_hex(16)
    command[0] = str(Path(sys.executable).parent / "jupyter")
    with open(tmp_path / "log", "w") as log:
        lab = subprocess.Popen(
            [*command, "--no-browser", f"--port={port}"],
            cwd=ROOT,
            stdout=log,
            stderr=log,
            env=os.environ | {"JUPYTER_TOKEN": token, "JUPYTER_CONFIG_DIR": str(tmp_path)},
        )
    try:
        end = time.monotonic() + 60
        while answer(port) is None and time.monotonic() < end:
            time.sleep(0.2)
        assert answer(port) == 403, (tmp_path / "log").read_text()
        assert answer(port, "?token=wrong") == 403
        assert answer(port, f"?token={token}") == 200
        listening = [c.laddr.ip for c in psutil.Process(lab.pid).net_connections() if c.status == psutil.CONN_LISTEN]
        assert set(listening) == {"127.0.0.1"}
    finally:
        lab.terminate()
        lab.wait(20)
