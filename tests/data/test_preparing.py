"""Data sets are fetched from their servers, here one on this machine, or a sentence says what to do."""

import gzip
import importlib.util
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import tfds_files

from induced_metric.data import load
from induced_metric.data.preparing import prepare, to_prepare
from induced_metric.data.releases import RELEASES
from induced_metric.errors import UserError

pytestmark = pytest.mark.slow

SPLITS = {"train": tfds_files.images(40, (28, 28, 1)), "test": tfds_files.images(20, (28, 28, 1), seed=1)}
FILES = ", ".join(
    f"{split}-{content}-ubyte.gz" for split in ("t10k", "train") for content in ("images-idx3", "labels-idx1")
)
REMEDY = (
    f"put its original files ({FILES}) into a directory and run make data TASK=mnist MANUAL_DIR=<directory>"
)
NEEDED = "preparing needs TensorFlow, the extra `data`"


class Server(BaseHTTPRequestHandler):
    def do_GET(self):
        content = self.server.files.get(self.path.removeprefix("/"))
        self.server.asked.append(self.path)
        self.send_response(404 if content is None else 200)
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    """The place of a small ``mnist``: its ``files`` by name, and what was ``asked`` for."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as served:
        served.files, served.asked = originals(), []
        served.url = f"http://127.0.0.1:{served.server_port}/"
        urls = tuple(served.url + name for name in FILES.split(", "))
        counts = {split: len(arrays["label"]) for split, arrays in SPLITS.items()}
        labels = {split: (count // 10,) * 10 for split, count in counts.items()}
        release = RELEASES["mnist"]._replace(urls=urls, examples=counts, labels=labels, digests={})
        monkeypatch.setitem(RELEASES, "mnist", release)
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield served
        served.shutdown()
        thread.join()


def originals():
    """The files as MNIST's authors wrote them: a header of 16 or 8 bytes, then the examples."""
    files = {}
    for split, name in (("train", "train"), ("test", "t10k")):
        files[f"{name}-images-idx3-ubyte.gz"] = gzip.compress(bytes(16) + SPLITS[split]["image"].tobytes())
        files[f"{name}-labels-idx1-ubyte.gz"] = gzip.compress(bytes(8) + SPLITS[split]["label"].tobytes())
    return files


def test_the_urls_are_those_of_tfds():
    (package,) = importlib.util.find_spec("tensorflow_datasets").submodule_search_locations
    for name, release in RELEASES.items():
        files = [f"url_checksums/{name}.txt", f"datasets/{name}/checksums.tsv"]
        (file,) = (path for path in (Path(package, file) for file in files) if path.exists())
        fields = [line.split("\t") for line in file.read_text().splitlines()]
        assert {url: url.rsplit("/", 1)[1] for url in release.urls} == {line[0]: line[3] for line in fields}


def test_what_is_missing_and_can_be_had_is_to_be_prepared(server, tmp_path):
    assert to_prepare("mnist")
    assert len(server.asked) == 4
    tfds_files.write(tmp_path / "tfds", "mnist", RELEASES["mnist"].version, SPLITS)
    assert not to_prepare("mnist")
    assert len(server.asked) == 4


@pytest.mark.parametrize("function", [to_prepare, prepare])
def test_files_that_cannot_be_had_are_named_with_the_remedy(server, tmp_path, function):
    gone = server.files.pop("train-labels-idx1-ubyte.gz")
    with pytest.raises(UserError) as error:
        function("mnist")
    url = f"{server.url}train-labels-idx1-ubyte.gz"
    assert str(error.value) == f"mnist is missing here ({url} answers 404); without a network, {REMEDY}"
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gone)
    assert to_prepare("mnist", manual_dir=tmp_path)


def command(*arguments, code=None, **environment):
    environment["PYTHONPATH"] = os.pathsep.join(sys.path[1:])
    program = ["-c", code] if code else ["-m", "induced_metric", "data", "--task", "mnist"]
    line = [sys.executable, *program, *arguments]
    return subprocess.run(line, capture_output=True, text=True, check=False, env=environment, timeout=600)


@pytest.mark.parametrize("check", [["--check"], []])
def test_without_network_the_command_says_one_sentence_at_once(check, tmp_path):
    # A proxy where nobody listens: the command reaches no server.
    done = command(*check, TFDS_DATA_DIR=str(tmp_path), HTTPS_PROXY="http://127.0.0.1:9")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("induced-metric data: mnist is missing here (https://")
    assert line.endswith(f"cannot be reached: ProxyError); without a network, {REMEDY}")
    assert list(tmp_path.iterdir()) == []


def pairs(arrays):
    return [
        (int(label), image.tobytes()) for label, image in zip(arrays["label"], arrays["image"], strict=True)
    ]


# The command, with TFDS's own builder asking another server, for as many examples as that has.
SMALL = """
import sys
from tensorflow_datasets.image_classification import mnist
from induced_metric.cli.commands import main
from induced_metric.data.releases import RELEASES
url = sys.argv.pop()
mnist.MNIST.URL, mnist._TRAIN_EXAMPLES, mnist._TEST_EXAMPLES = url, 40, 20
RELEASES["mnist"] = RELEASES["mnist"]._replace(
    urls=(url + "train-labels-idx1-ubyte.gz",), examples={"train": 40, "test": 20},
    labels={"train": (4,) * 10, "test": (2,) * 10}, digests={},
)
main(["data", "--task", "mnist"])
"""


def test_a_data_set_is_downloaded_prepared_and_verified_without_tensorflows_log(server, tmp_path):
    pytest.importorskip("tensorflow", reason=NEEDED)
    root = tmp_path / "tfds"
    done = command(server.url, code=SMALL, TFDS_DATA_DIR=str(root))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"mnist 3.0.1 in {root}/mnist/3.0.1: train 40 examples, test 20 examples\n")
    prepared = load("mnist").splits
    for split, arrays in SPLITS.items():
        # TFDS shuffles what it prepares: the same images with the same labels.
        assert sorted(pairs(prepared[split])) == sorted(pairs(arrays))


def test_other_files_than_the_released_end_in_one_sentence_without_tensorflows_log(tmp_path):
    pytest.importorskip("tensorflow", reason=NEEDED)
    for name, content in originals().items():
        (tmp_path / name).write_bytes(content)
    done = command("--manual-dir", str(tmp_path), TFDS_DATA_DIR=str(tmp_path / "tfds"))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("induced-metric data: mnist could not be prepared (Artifact https://")
    assert line.endswith(f"; without a network, {REMEDY}")
