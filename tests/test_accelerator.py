"""benchmarks/accelerator.py: what it counts, and that it runs, goes on and ends in time."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import configured
import jax
import jax.numpy as jnp
import pytest

from induced_metric.lanes import placement, probe

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
HERE = {"device": "a card", "devices": 1, "jax": "0.0", "platform": "gpu"}


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import accelerator
    import operations
    import pieces
    import processes
    import ways

    return SimpleNamespace(
        accelerator=accelerator, operations=operations, pieces=pieces, processes=processes, ways=ways
    )


# What is counted


def test_operations_are_those_of_products_with_their_gradients(benchmark):
    task = configured.task("regression", batch_size=16, train_examples=70, test_examples=40, widths=(8, 1))
    weights = [4 * 8, 8 * 1]
    # Four steps; the first layer needs no gradient of its input. Both splits are evaluated, in whole batches
    # and a rest.
    training = 4 * 16 * 2 * (3 * sum(weights) - weights[0])
    assert benchmark.operations.products(task) == training + 2 * sum(weights) * (70 + 40)


def test_a_convolution_counts_once_whatever_devices_there_are(benchmark):
    task = benchmark.ways.task_of("cifar10", quick=True, precision="float32")
    # Of the stem: two steps of 16 images of 32 x 32, 27 weights to each of 4 channels, forward and to the
    # kernel; and one evaluation. The block has 2 x (36 x 4) weights more, with three products a step, and the
    # head 4 x 10, once an image.
    stem, block, head, pixels = 27 * 4, 2 * 36 * 4, 40, 1024
    training = 32 * (pixels * (2 * stem + 3 * block) + 3 * head)
    evaluation = 16 * (pixels * (stem + block) + head)
    assert benchmark.operations.products(task) == 2 * (training + evaluation)


def test_zeros_that_a_stride_puts_between_cotangents_are_not_counted(benchmark):
    def convolved(images, kernel):
        return jax.lax.conv_general_dilated(
            images, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        ).sum()

    images, kernel = jnp.zeros((5, 8, 8, 3)), jnp.zeros((3, 3, 3, 7))
    # 4 x 4 places of an image, each a sum over 3 x 3 x 3 weights for 7 features: a product and a sum.
    forward = 2 * 5 * (4 * 4) * (3 * 3 * 3) * 7
    for argnums, times in ((None, 1), (1, 2), ((0, 1), 3)):
        function = convolved if argnums is None else jax.value_and_grad(convolved, argnums)
        jaxpr = jax.make_jaxpr(function)(images, kernel).jaxpr
        assert benchmark.operations.operations(jaxpr) == times * forward


def test_what_follows_for_whole_trials(benchmark):
    found = {"compile_seconds": 10.0, "seconds_per_trial_epoch": 0.1}
    told = benchmark.pieces.told("regression", 2, found | {"start_seconds": 5.0}, 10)
    assert told["trials_per_hour"] == pytest.approx(3600 / (5 + 200 * 0.1))
    assert told["flops"] == pytest.approx(100)
    lanes = benchmark.pieces.told("regression", 2, found | {"probe_seconds": 30.0}, 10)
    assert lanes["trials_per_hour"] == pytest.approx(3600 / 20)
    assert lanes["trials_per_hour_with_compilation"] == pytest.approx(3600 * 2 / (2 * 20 + 10 + 30))


def test_a_process_that_starts_slowly_tells_its_epochs_all_the_same(benchmark):
    script = """if True:
        import json, os, pathlib, sys, time
        epochs = 1 if float(sys.argv[1]) == 0 else 11
        cache = pathlib.Path(os.environ["JAX_COMPILATION_CACHE_DIR"], "program")
        time.sleep(1.0 if cache.exists() else 2.0)
        cache.touch()
        time.sleep(0.1 * (epochs + 1 + (epochs > 1)))  # the first compiles; one, and the others, are timed
        print(json.dumps({"first_epoch_seconds": 0.1, "epochs_measured": epochs,
            "seconds_measured": 0.1 * epochs, "seconds_per_trial_epoch": 0.1}))
    """
    # A start takes longer than is measured for.
    found = benchmark.processes.process([sys.executable, "-c", script], seconds=0.5)
    assert found["epochs_measured"] == 11
    assert found["seconds_per_trial_epoch"] == 0.1
    assert 1 <= found["start_seconds"] < 1.9  # and what Python takes
    assert 0.1 < found["compile_seconds"] < 2
    failing = "import sys; print('warned', file=sys.stderr); sys.exit('the card is lost')"
    with pytest.raises(RuntimeError, match="a trial's process failed: the card is lost"):
        benchmark.processes.process([sys.executable, "-c", failing], seconds=1)


# What is run


@pytest.mark.parametrize(
    "piece",
    [
        *(f"regression/{way}/float32" for way in ("naive", "plain", "published", "process")),
        *(f"{task}/lanes/{precision}" for task, precision in [
            ("mnist", "float32"), ("shakespeare", "tf32"), ("cifar10", "bfloat16"),
        ]),
    ],
)  # fmt: skip
def test_every_way_and_every_task_runs(piece, benchmark, monkeypatch):
    _, way, _ = piece = piece.split("/")
    if way == "process":  # as pieces.py has it, for those that it starts
        monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    number = "2" if way in ("naive", "lanes") else "1"
    ((what, found),) = benchmark.pieces.results(piece, [number], quick=True, seconds=0.1)
    assert what == number
    assert "failed" not in found
    assert found["epochs_measured"] >= 1
    assert found["trials_measured"] == int(number)
    assert found["trials_per_hour"] > found["trials_per_hour_with_compilation"] > 0
    assert found["flops"] == pytest.approx(found["operations_per_epoch"] / found["seconds_per_trial_epoch"])
    if way == "process":  # seconds, of JAX, against milliseconds
        assert found["start_seconds"] > 10 * found["seconds_per_trial_epoch"]


def test_the_peak_is_of_a_product_in_every_precision(benchmark):
    ((_, found),) = benchmark.pieces.results(("product", "peak", "all"), ["flops"], quick=True, seconds=0)
    assert found["flops"].keys() == {"float32", "tf32", "bfloat16"}
    assert min(found["flops"].values()) > 1e6


def test_occupancy_is_measured_as_configured_and_with_as_many_in_flight_as_lanes(benchmark):
    found = dict(
        benchmark.pieces.results(
            ("regression", "occupancy", "float32"), ["configured", "wide"], quick=True, seconds=0
        )
    )
    assert found["configured"]["in_flight"] == 8
    wide = found["wide"]
    assert wide["in_flight"] == wide["capacity"]
    assert wide["epochs"] >= 4 * 20


def test_one_of_two_sides_is_deterministic_and_both_have_the_same_lanes(benchmark, monkeypatch):
    import interleave

    from induced_metric import xla

    asked, made = [], []

    def lanes(task, trials, *, held, before):
        made.append((trials, before))
        return benchmark.ways.Way(lambda epochs: asked.append(epochs), trials, {})

    def together(sides, *, rounds):
        for side in sides.values():
            side(None)
        return {
            name: interleave.Measured([seconds], 0) for name, seconds in (("without", 2.0), ("with", 3.0))
        }

    monkeypatch.setattr(benchmark.pieces, "lanes", lanes)
    monkeypatch.setattr(interleave, "interleave", together)
    monkeypatch.setattr(interleave, "serve", lambda requests, work, *, units: work())
    monkeypatch.setattr(xla, "make_deterministic", lambda: asked.append("deterministic"))
    piece, known = ("regression", "deterministic", "float32"), {"lanes": {"width": 4}}
    found = dict(benchmark.pieces.results(piece, ["3"], quick=True, known=known, seconds=0))
    assert asked == [20, "deterministic", 20]
    assert made == [(3, {"width": 4})] * 2
    assert found["3"]["price"] == 1.5


def test_the_width_is_measured_once_for_all_numbers_of_trials(benchmark, monkeypatch):
    measured = []

    def fastest(make, trial, layouts, *, most):
        measured.append(most)
        time.sleep(0.5)
        return probe.Choice("vmap", 2, {"map 1": 1.0, "vmap 2": 2.0, "vmap 4": 2.1}, most)

    monkeypatch.setattr(placement, "fastest", fastest)
    monkeypatch.setattr(placement, "default_layout", lambda: "vmap")
    monkeypatch.setattr(benchmark.pieces, "study", lambda quick: 20)
    piece = ("regression", "lanes", "float32")
    found = dict(benchmark.pieces.results(piece, ["20", "3"], quick=True, seconds=0))
    assert len(measured) == 1
    assert found["20"]["lanes"]["width"] == 2
    assert found["20"]["probe_seconds"] > 0.2
    assert found["3"]["probe_seconds"] == found["20"]["probe_seconds"]
    # A run that goes on knows it, by way of JSON; so do the other pieces of the same lanes.
    known = json.loads(json.dumps(found["20"]))
    again = dict(benchmark.pieces.results(piece, ["64", "1"], quick=True, known=known, seconds=0))
    assert len(measured) == 1
    assert again["1"]["lanes"]["measured"] == known["lanes"]["measured"]
    # As many as are twice under way at once, and more, are the same lanes, which are not measured again.
    assert known["trials_measured"] <= 20
    assert again["64"]["seconds_measured"] == known["seconds_measured"]
    assert again["64"]["trials_per_hour"] == pytest.approx(known["trials_per_hour"])


def test_a_number_of_trials_that_fails_leaves_the_others(benchmark, monkeypatch):
    def plain(task, trials, **_):
        if trials != 2:
            raise RuntimeError({1: "RESOURCE_EXHAUSTED: Out of memory\nwhile", 3: "lost\nthe card"}[trials])
        return benchmark.ways.Way(lambda epochs: time.sleep(0.01), trials, {})

    monkeypatch.setitem(benchmark.ways.WAYS, "plain", plain)
    piece = ("regression", "plain", "float32")
    found = dict(benchmark.pieces.results(piece, ["1", "2", "3"], quick=True, seconds=0))
    assert found["1"] == {"failed": "out of memory"}
    assert found["2"]["trials_per_hour"] > 0
    assert found["3"] == {"failed": "RuntimeError: lost"}


# The processes


def told_by(benchmark, script, whats, *, minutes=1.0, limit=60.0):
    command = [sys.executable, "-c", script]
    return list(benchmark.processes.run(command, whats, end=time.monotonic() + 60 * minutes, limit=limit))


@pytest.mark.parametrize(
    ("ending", "why"),
    [
        ("raise ValueError('no such card')", "ValueError: no such card"),
        ("import os; os.kill(os.getpid(), 9)", "ended by SIGKILL"),
        ("sys.exit('with failed')", "with failed"),
        ("", "it ended without a message"),
    ],
)
def test_a_process_that_ends_is_a_failure_of_what_it_did_not_tell(ending, why, benchmark, capsys):
    script = f"""import sys; print('{{"here": 1}}'); print('{{"8": {{}}}}', flush=True); {ending}"""
    failed = {"failed": why}
    assert told_by(benchmark, script, ["8", "64", "1"]) == [
        ("here", 1), ("8", {}), ("64", failed), ("1", failed),
    ]  # fmt: skip
    assert ("Traceback" in capsys.readouterr().err) == ("raise" in ending)


def test_an_error_is_told_rather_than_what_is_said_after_it(benchmark):
    script = "import sys; sys.stderr.write('jaxlib.XlaRuntimeError: INTERNAL: lost\\nwith failed\\n')"
    assert told_by(benchmark, script, ["1"]) == [("1", {"failed": "jaxlib.XlaRuntimeError: INTERNAL: lost"})]


@pytest.mark.parametrize("over", [True, False])
def test_a_process_that_hangs_is_ended_with_all_that_it_started(over, benchmark):
    script = """if True:
        import json, subprocess, sys, tempfile, time
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(90)"])
        print(json.dumps({"here": [child.pid, tempfile.mkdtemp()]}), flush=True)
        time.sleep(90)
    """
    times = {"minutes": 3 / 60} if over else {"limit": 3.0}
    start = time.monotonic()
    (_, (grandchild, directory)), *rest = told_by(benchmark, script, ["8"], **times)
    assert time.monotonic() - start < 60  # its own time is longer
    assert not Path(directory).exists()
    # The time of a run that is over is no failure.
    assert rest == ([] if over else [("8", {"failed": "no result within 0.05 minutes"})])
    for _ in range(100):  # until whoever inherits it has taken note
        try:
            os.kill(grandchild, 0)
        except ProcessLookupError:
            break
        if Path(f"/proc/{grandchild}/stat").read_text().split()[2] == "Z":
            break
        time.sleep(0.05)
    else:
        os.kill(grandchild, signal.SIGKILL)
        pytest.fail("a process stayed behind")


# The command


@pytest.fixture
def command(benchmark, monkeypatch, tmp_path, capsys):
    """Runs it with words; what its processes would say is ``says(piece, what)``."""
    module = benchmark.accelerator
    output = tmp_path / "found.json"
    handlers = {}
    monkeypatch.setattr(signal, "signal", handlers.__setitem__)

    def run(*words, says=lambda piece, what: {"flops": 50.0}, here=HERE):
        asked = []

        def processes(command, whats, *, end, limit):
            piece = command[2]
            asked.append((piece, whats, command))
            yield "here", here
            for what in whats:
                yield what, says(piece, what)

        monkeypatch.setattr(module, "run", processes)
        monkeypatch.setattr(sys, "argv", ["accelerator.py", "--output", str(output), *words])
        module.main()
        return asked, capsys.readouterr().out.splitlines()

    run.output, run.handlers = output, handlers
    return run


def test_the_most_telling_comes_first_and_nothing_twice(benchmark):
    names = benchmark.accelerator.plan(quick=False)
    assert len(names) == len(set(names))
    assert names[:3] == [
        "product/peak/all/flops", "regression/lanes/float32/500", "regression/lanes/float32/64",
    ]  # fmt: skip
    place = {piece: k for k, (piece, _) in reversed([*enumerate(benchmark.accelerator.pieces(names))])}
    order = [
        "mnist/lanes/float32", "regression/process/float32", "mnist/naive/float32",
        "shakespeare/lanes/bfloat16", "cifar10/lanes/float32", "regression/occupancy/float32",
        "cifar10/deterministic/float32", "mnist/lanes/tf32", "cifar10/published/float32",
    ]  # fmt: skip
    assert sorted(order, key=place.get) == order
    for task in ("regression", "mnist", "shakespeare", "cifar10"):
        assert {f"{task}/lanes/{precision}/500" for precision in ("float32", "tf32", "bfloat16")} <= {*names}
        assert {f"{task}/deterministic/float32/500", f"{task}/process/float32/1"} <= {*names}
        for way in ("lanes", "naive"):
            assert {f"{task}/{way}/float32/{number}" for number in (1, 8, 64, 256, 500)} <= {*names}


def test_a_failure_is_a_result_and_tried_again_when_asked(command):
    def says(piece, what):
        if piece == "regression/lanes/float32" and what == "64":
            return {"failed": "RuntimeError: lost"}
        return {"flops": 50.0, "trials_per_hour": 7.0}

    only = ["--only", "regression/lanes/float32,mnist/lanes/float32/500"]
    asked, said = command(*only, says=says)
    assert said[:4] == [
        "6 results remain, in this order:", "  regression/lanes/float32: 500, 64",
        "  mnist/lanes/float32: 500", "  regression/lanes/float32: 1, 8, 256",
    ]  # fmt: skip
    assert "regression/lanes/float32/64 failed: RuntimeError: lost" in said
    assert said[-1] == "1 results are failures; --retry tries them again"
    assert json.loads(command.output.read_text())["results"]["mnist/lanes/float32/500"] == {
        "flops": 50.0, "trials_per_hour": 7.0,
    }  # fmt: skip
    asked, said = command(*only)
    assert asked == []
    assert said == ["0 results remain", "1 results are failures; --retry tries them again"]
    asked, said = command(*only, "--retry")
    assert [(piece, whats) for piece, whats, _ in asked] == [("regression/lanes/float32", ["64"])]
    assert "failures" not in said[-1]


def test_what_ends_it_ends_what_it_started(command):
    def says(piece, what):  # SIGTERM has to leave run(), which then ends its process
        command.handlers[signal.SIGTERM](signal.SIGTERM, None)

    with pytest.raises(SystemExit):
        command("--only", "regression/plain/float32", says=says)
    assert not command.output.exists()


def test_flops_are_told_as_a_share_of_the_peak_of_the_same_precision(command):
    def says(piece, what):
        if piece.startswith("product"):
            return {"flops": {"float32": 100.0, "tf32": 400.0, "bfloat16": 800.0}}
        return {"flops": 50.0, "trials_per_hour": 3.0, "lanes": {"places": 2}}

    # The peak comes last: what is there before has its share then.
    command("--only", "regression/lanes/float32/500", says=says)
    _, said = command("--only", "lanes,peak", says=says)
    found = json.loads(command.output.read_text())["results"]
    for precision, share in (("float32", 1 / 4), ("tf32", 1 / 16), ("bfloat16", 1 / 32)):
        assert found[f"regression/lanes/{precision}/500"]["share_of_peak"] == share
    line = "shakespeare/lanes/tf32/500 3 trials per hour, 50 FLOP/s, 0.062 of the measured peak"
    assert line in said


def test_what_lanes_are_worth_is_told_at_the_end(command):
    rates = {"lanes": 600.0, "process": 6.0, "naive": 300.0}
    _, said = command(
        "--only", "regression/lanes,regression/process,regression/naive",
        says=lambda piece, what: {"trials_per_hour": rates[piece.split("/")[1]]},
    )  # fmt: skip
    assert said[-1] == (
        "regression: trials per hour of the lanes, in a study of 500: 2 times those of naive, "
        "100 times those of process"
    )


def test_the_lanes_that_are_known_are_handed_on(command):
    lanes = {"trials_measured": 8, "lanes": {"places": 1, "width": 4}}
    asked, _ = command("--only", "regression", says=lambda piece, what: lanes)
    known = {piece: json.loads(words[-1]) for piece, _, words in asked if "--known" in words}
    assert known["regression/occupancy/float32"] == lanes
    assert known["regression/deterministic/float32"] == lanes
    assert asked[0][0] == "regression/lanes/float32"
    assert "--known" not in asked[0][2]
    assert "regression/plain/float32" not in known


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"commit": "abc"}, "commit was abc, and is .* here"),
        ({"quick": True}, "quick was True, and is False here"),
        ({"device": "another"}, "device was another, and is a card here"),
        ({"jax": "0.1"}, "jax was 0.1, and is 0.0 here"),
    ],
)
def test_results_of_another_device_or_commit_are_not_mixed(change, sentence, command):
    only = ["--only", "regression/lanes/float32"]
    command(*only)
    before = json.loads(command.output.read_text())
    assert before["made"].items() >= HERE.items()
    command.output.write_text(json.dumps({"made": before["made"] | change, "results": {}}))
    with pytest.raises(SystemExit, match=f"{sentence}: --anew begins again .*, --output takes another"):
        command(*only)
    asked, _ = command(*only, "--anew")
    assert [piece for piece, *_ in asked] == ["regression/lanes/float32"]
    assert json.loads(command.output.read_text()) == before
    assert json.loads(command.output.with_name("found.json.before").read_text())["results"] == {}


def test_a_file_is_whole_also_when_its_next_writing_fails(command, monkeypatch):
    command("--only", "regression/plain/float32")
    before = command.output.read_text()

    def torn(path, text):
        path.write_bytes(text[:10].encode())
        raise OSError("no space")

    monkeypatch.setattr(Path, "write_text", torn)
    with pytest.raises(OSError, match="no space"):
        command("--only", "mnist/plain/float32")
    assert command.output.read_text() == before


def test_what_is_no_file_of_its_own_and_no_result_is_said(command, capsys):
    command.output.write_text("{}")
    with pytest.raises(SystemExit, match=r"not have results of this benchmark: --anew"):
        command()
    command.output.unlink()
    with pytest.raises(SystemExit):
        command("--only", "regression,mnits")
    assert "no result has mnits" in capsys.readouterr().err


def test_it_runs_on_a_cpu_and_goes_on_where_it_was(tmp_path):
    output = tmp_path / "found.json"

    def run(*arguments):
        command = [sys.executable, str(BENCHMARKS / "accelerator.py"), "--quick", "--output", str(output)]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    only = ["--only", "regression/lanes/float32/3,regression/deterministic"]
    assert run("--minutes", "0", *only)[-1] == (
        "the time is up; the same command continues with regression/lanes/float32/3"
    )
    assert not output.exists()
    run("--minutes", "20", *only)
    found = json.loads(output.read_text())["results"]
    assert found.keys() == {"regression/lanes/float32/3", "regression/deterministic/float32/3"}
    lanes = found["regression/lanes/float32/3"]
    assert lanes["lanes"]["layout"] == "map"
    assert lanes["matmul_precision"] == "float32"
    assert len(found["regression/deterministic/float32/3"]["seconds_with"]) == 2
    assert found["regression/deterministic/float32/3"]["lanes"] == lanes["lanes"]
    assert run(*only) == ["0 results remain"]
