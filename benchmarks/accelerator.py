"""Trials per hour on this device, trained in five ways: compares the lanes with the usual alternatives.

Run: python benchmarks/accelerator.py [--minutes 9] [--output FILE] [--quick] [--only task/way/precision,...].
The ways (ways.py) are lanes, naive (a vmap in lock step), process (one per trial), plain (jitted optax in a
loop) and published (the shape of the published loop), for regression, MNIST, the GPT and ResNet-18, with 1,
8, 64, 256 and 500 trials. pieces.py also measures the peak rate of a large product, how busy pruning leaves
the lanes, and what deterministic kernels cost. The data are random, in the published shapes, so no data set
is needed. Only some epochs are measured. A published trial has as many as ``epochs`` says, which counts an
epoch of ResNet-18 as twelve of the shortened ones that are measured.

Results are written to FILE as they come, the most informative first; the same command continues with those
that are missing. A failure is also a result, tried again only with --retry. On a CPU this takes hours
(--minutes 600 --limit 60) unless --quick is given, whose tiny sizes only show that everything runs.
"""

import argparse
import contextlib
import itertools
import json
import signal
import sys
import time
from pathlib import Path

from pieces import PLACED, study
from processes import run

SMALL, LARGE = ("regression", "mnist"), ("shakespeare", "cifar10")
RIVALS = ("process", "published", "plain")  # ways in which a trial takes as long alone as among others
PEAK = "product/peak/all/flops"


def plan(quick):
    """Names of all results, task/way/precision/what, the most informative first."""
    most, few, rest = ["3"], [], ["1"]
    if not quick:
        most, few, rest = [str(study(quick))], ["64"], ["1", "8", "256"]

    def each(tasks, way, precisions, whats):
        return ["/".join((task, way, precision, what))
                for precision in precisions for task in tasks for what in whats]  # fmt: skip

    return [
        PEAK,
        *each(SMALL, "lanes", ["float32"], most + few),
        *(name for way in RIVALS[:2] for name in each(SMALL, way, ["float32"], ["1"])),
        *each(SMALL, "naive", ["float32"], most + few),
        *each(SMALL, RIVALS[2], ["float32"], ["1"]),
        *each(LARGE, "lanes", ["bfloat16", "tf32", "float32"], most),
        *each(["regression"], "occupancy", ["float32"], ["configured", "wide"]),
        *each(SMALL + LARGE, "deterministic", ["float32"], most),
        *each(SMALL, "lanes", ["tf32", "bfloat16"], most),
        *each(SMALL, "lanes", ["float32"], rest),
        *(name for way in RIVALS for name in each(LARGE, way, ["float32"], ["1"])),
        *each(LARGE, "lanes", ["float32"], few + rest),
        *each(SMALL, "naive", ["float32"], rest),
        *each(LARGE, "naive", ["float32"], [*rest, *few, *most]),
        *each(LARGE, "deterministic", ["bfloat16"], most),
    ]


def pieces(names):
    """(task/way/precision, whats) for each group of results that one process makes, in order."""
    grouped = itertools.groupby((name.rsplit("/", 1) for name in names), key=lambda parts: parts[0])
    return [(piece, [what for _, what in parts]) for piece, parts in grouped]


def chosen(name, only):
    parts = name.split("/")
    return not only or bool(only & {*parts, *itertools.accumulate(parts, "{}/{}".format)})


class File:
    """The results so far, with the facts that all have in common: commit, device, versions, sizes."""

    def __init__(self, path, *, quick, anew):
        from induced_metric.records.provenance import provenance

        self.path = path
        code = provenance()
        self.made = {"commit": code["commit"], "dirty": code["dirty"], "quick": quick}
        self.results = {}
        if not path.exists():
            return
        if anew:
            path.replace(path.with_name(f"{path.name}.before"))
            return
        content = json.loads(path.read_text())
        if not content.keys() >= {"made", "results"}:
            sys.exit(f"{path} does not have results of this benchmark: {self.otherwise}")
        self.results, made = content["results"], content["made"]
        self.made = made | {"dirty": made["dirty"] or code["dirty"]}
        self.same({"commit": code["commit"], "quick": quick})

    def same(self, facts):
        """Exits with a sentence if a fact differs from the file's; notes facts that are not known yet."""
        for name, value in facts.items():
            if self.made.setdefault(name, value) != value:
                sys.exit(f"{self.path}: {name} was {self.made[name]}, and is {value} here: {self.otherwise}")

    @property
    def otherwise(self):
        return f"--anew begins again (and keeps it as {self.path.name}.before), --output takes another file"

    def add(self, name, found):
        self.results[name] = found
        peaks = self.results.get(PEAK, {}).get("flops", {})
        for each, result in self.results.items():
            peak = peaks.get(each.split("/")[2])
            if "flops" in result and peak:
                # Every way except lanes uses one device; on a CPU the peak is that of all cores.
                places = result.get("lanes", {}).get("places", 1) if self.made.get("platform") != "cpu" else 1
                result["share_of_peak"] = result["flops"] / (peak * places)
        text = json.dumps({"made": self.made, "results": self.results}, indent=1, sort_keys=True)
        partial = self.path.with_name(f"{self.path.name}.part")
        partial.write_text(text)
        partial.replace(self.path)  # the file stays complete, even if this process is killed

    def done(self, retry):
        return {name for name, found in self.results.items() if not (retry and "failed" in found)}

    def lanes_of(self, piece, quick):
        """The result of the lanes of a whole study, whose width is then known; None if there is none."""
        task, way, precision = piece.split("/")
        result = self.results.get(f"{task}/lanes/{precision}/{study(quick)}", {})
        return result if way in PLACED and "lanes" in result else None


def line_of(name, found):
    if "failed" in found:
        return f"{name} failed: {found['failed']}"
    words = []
    if "trials_per_hour" in found:
        words.append(f"{found['trials_per_hour']:.4g} trials per hour")
    if "share_of_peak" in found:
        words.append(f"{found['flops']:.3g} FLOP/s, {found['share_of_peak']:.2g} of the measured peak")
    if "price" in found:
        words.append(f"{found['price']:.3g} times as many seconds with deterministic kernels")
    if "in_flight" in found:
        busy = "too short to measure how" if found["occupancy"] is None else f"{found['occupancy']:.1%}"
        words.append(f"{busy} busy, {found['seconds']:.3g} s, {found['in_flight']} in flight")
    if name == PEAK:
        words += [f"{precision} {rate:.3g} FLOP/s" for precision, rate in found["flops"].items()]
    return f"{name} {', '.join(words)}"


def worth(results, quick):
    """Lines that say how many times as many trials per hour the lanes train as each other way, in a study."""
    most = str(study(quick))
    for task in (*SMALL, *LARGE):
        rates = {}
        for way, number in [("lanes", most), ("naive", most), *((way, "1") for way in RIVALS)]:
            result = results.get(f"{task}/{way}/float32/{number}", {})
            if "trials_per_hour" in result:
                rates[way] = result["trials_per_hour"]
        lanes_rate = rates.pop("lanes", None)
        if lanes_rate and rates:
            times = ", ".join(f"{lanes_rate / rate:.3g} times those of {way}" for way, rate in rates.items())
            yield f"{task}: trials per hour of the lanes, in a study of {most}: {times}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=9.0, help="length of this run (default: 9)")
    parser.add_argument(
        "--limit", type=float, default=6.0, help="minutes without a result that are a failure (6)"
    )
    parser.add_argument("--output", type=Path, default=Path("accelerator.json"))
    parser.add_argument(
        "--anew", action="store_true", help="begin again, and keep the old file as FILE.before"
    )
    parser.add_argument("--retry", action="store_true", help="try again what failed")
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes, which only show that everything runs"
    )
    parser.add_argument("--only", help="only these, by task, way or whole name, separated by commas")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no process is left behind
    end = time.monotonic() + 60 * arguments.minutes
    # A piece that takes up a whole run counts as a failure, or no run would reach the next piece.
    limit = min(60 * arguments.limit, 48 * arguments.minutes)
    file = File(arguments.output, quick=arguments.quick, anew=arguments.anew)
    only, names = set((arguments.only or "").split(",")) - {""}, plan(arguments.quick)
    for one in only:
        if not any(chosen(name, {one}) for name in names):
            parser.error(
                f"--only: no result has {one}; they are called task/way/precision/number, such as {names[1]}"
            )
    done = file.done(arguments.retry)
    remaining = [name for name in names if name not in done and chosen(name, only)]
    print(f"{len(remaining)} results remain" + (", in this order:" if remaining else ""))
    for piece, whats in pieces(remaining):
        print(f"  {piece}: {', '.join(whats)}")
    for piece, whats in pieces(remaining):
        if end - time.monotonic() < 1:
            break
        command = [sys.executable, str(Path(__file__).with_name("pieces.py")), piece, *whats]
        lanes_result = file.lanes_of(piece, arguments.quick)
        command += [
            *(["--quick"] if arguments.quick else []),
            *(["--known", json.dumps(lanes_result)] if lanes_result else []),
        ]
        with contextlib.closing(run(command, whats, end=end, limit=limit)) as results:
            for what, found in results:
                if what == "here":
                    file.same(found)
                    continue
                name = f"{piece}/{what}"
                remaining.remove(name)
                file.add(name, found)
                print(line_of(name, file.results[name]), flush=True)
    for line in worth(file.results, arguments.quick):
        print(line)
    failed = [name for name, found in file.results.items() if "failed" in found]
    if remaining:
        print(f"the time is up; the same command continues with {remaining[0]}")
    if failed:
        print(f"{len(failed)} results are failures; --retry tries them again")


if __name__ == "__main__":
    main()
