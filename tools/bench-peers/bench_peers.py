"""Earshot against its peers: same machine, weights, inputs and results; runs alternate A B A B.

    bench_peers.py [--build build] [--work build/peers] [--subjects swin,ast,train,caption] ...

For every subject, preset, batch and number of threads, and every engine that can do it, two
processes are open at once, Earshot's (BUILD/bench/peer_side) and the peer's (side.py).  First their
outputs are compared: the largest difference over the largest value must not exceed 1e-4.  Then they
run in turn.  What is printed is the ratio of medians, peer over Earshot (above 1: Earshot is
faster), the quartiles of the ratios of neighbouring runs, and the ratio of the processes' peak
memory, Earshot over peer.  Everything goes to OUT.csv and, as a table, to OUT.md.

--clock cpu compares processor time instead of the wall: for one thread on a busy machine.
"""

import argparse
import contextlib
import csv
import os
import statistics
import subprocess
import sys
import time

import numpy

TOLERANCE = 1e-4
BEAMS, TOKENS = 4, 20
HERE = os.path.dirname(os.path.abspath(__file__))
LOG = os.environ.get("PEERS_LOG", os.devnull)  # what the peers say
ENGINES = {
    "swin": ["eager", "compile", "onnxruntime", "openvino"],
    "ast": ["eager", "compile", "onnxruntime", "openvino"],
    "train": ["eager"],
    "caption": ["eager", "compile"],
}
# What is compared before a subject is timed.  A caption from a file depends on whose scaler it went
# through, so the search is compared on given inputs.
CHECKS = {"swin": ["swin"], "ast": ["ast"], "train": ["logits", "train"], "caption": ["search"]}


class Side:
    """A process that answers the lines of bench/peer_side.c."""

    def __init__(self, command, threads):
        environment = dict(
            os.environ,
            OMP_NUM_THREADS=str(threads),
            HF_HUB_OFFLINE="1",
            HF_HUB_DISABLE_PROGRESS_BARS="1",
            TRANSFORMERS_VERBOSITY="error",
        )
        began = time.perf_counter()
        self.process = subprocess.Popen(
            command,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=open(LOG, "a"),
        )
        self.answer("ready")
        self.ready_s = time.perf_counter() - began

    def answer(self, word):
        for line in self.process.stdout:
            words = line.split()
            if words and words[0] == word:
                return words[1:]
        raise RuntimeError(f"{self.process.args[:3]} ended without an answer (see PEERS_LOG)")

    def ask(self, request, word):
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        return self.answer(word)

    def run(self):
        """Wall and processor seconds."""
        return [float(word) for word in self.ask("run", "time")]

    def check(self, path):
        self.ask("check " + path, "wrote")
        return numpy.fromfile(path, numpy.float32)

    def memory(self):
        return int(self.ask("memory", "memory")[0])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class Case:
    def __init__(self, options, preset, batch, threads):
        self.options, self.preset, self.batch, self.threads = options, preset, batch, threads
        self.model = os.path.join(options.work, preset)
        self.clip = os.path.join(options.work, "clip.mp4")
        self.input = os.path.join(options.work, f"input-{preset}-b{batch}")

    def prepare(self):
        maker = os.path.join(self.options.build, "bench", "peer_model")
        subprocess.run([maker, self.preset, self.model, self.clip], check=True)
        if os.path.exists(self.input):
            return
        sys.path.insert(0, HERE)
        import captioner

        c = captioner.read_config(self.model)
        random = numpy.random.default_rng(1)
        os.makedirs(self.input)
        shapes = {
            "video": (self.batch, 3, c["video.frames"], c["video.height"], c["video.width"]),
            "audio": (self.batch, c["audio.frames"], c["audio.mel_bins"]),
        }
        for name, shape in shapes.items():
            random.standard_normal(shape, numpy.float32).tofile(f"{self.input}/{name}.f32")
        for name in "tokens", "targets":
            ids = random.integers(8, c["decoder.vocabulary"], (self.batch, TOKENS), numpy.int32)
            ids.tofile(f"{self.input}/{name}.i32")

    def arguments(self, subject):
        numbers = (self.batch, BEAMS, TOKENS, self.threads)
        return [self.model, self.clip, self.input, subject, *map(str, numbers)]

    def earshot(self, subject):
        program = os.path.join(self.options.build, "bench", "peer_side")
        return Side([program, *self.arguments(subject)], self.threads)

    def peer_command(self, engine, subject):
        return [sys.executable, os.path.join(HERE, "side.py"), engine, *self.arguments(subject)]

    def peer(self, engine, subject):
        if engine in ("onnxruntime", "openvino"):
            if not os.path.exists(os.path.join(self.model, f"{subject}-b{self.batch}.onnx")):
                command = self.peer_command("export", subject)
                with open(LOG, "a") as log:
                    subprocess.run(command, check=True, stdout=log, stderr=log)
        return Side(self.peer_command(engine, subject), self.threads)

    def outputs_differ(self, engine, subject):
        """The largest difference over the largest value, of everything that is compared."""
        worst = 0.0
        for name in CHECKS[subject]:
            with self.earshot(name) as ours:
                a = ours.check(os.path.join(self.options.work, "earshot.f32"))
            with self.peer(engine, name) as theirs:
                b = theirs.check(os.path.join(self.options.work, "peer.f32"))
            if a.size != b.size:
                raise RuntimeError(f"{name}: {a.size} values from Earshot, {b.size} from {engine}")
            worst = max(worst, largest_difference(name, a, b))
        return worst


def largest_difference(name, a, b):
    if name == "search":  # ids, then log-probabilities, clip by clip
        a, b = a.reshape(-1, 2, TOKENS), b.reshape(-1, 2, TOKENS)
        if (a[:, 0] != b[:, 0]).any():
            return float("inf")
        a, b = a[:, 1], b[:, 1]
    elif name == "train":  # loss and gradient norm, each for itself, and the targets' losses
        return max(
            abs(a[0] - b[0]) / abs(b[0]),
            abs(a[1] - b[1]) / abs(b[1]),
            largest_difference("losses", a[2:], b[2:]),
        )
    return float(abs(a - b).max() / abs(b).max())


class Turn:
    def __init__(self, side):
        time.sleep(0.2)  # the other's threads may still be waiting for work
        self.seconds = side.run()
        self.memory_mb, self.ready_s = side.memory() / 1e6, side.ready_s


def warm(side, runs):
    for _ in range(runs):
        side.run()


def side_by_side(case, engine, subject):
    """Pairs of turns without end, of two processes."""
    with case.earshot(subject) as ours, case.peer(engine, subject) as theirs:
        for side in (ours, theirs):
            warm(side, case.options.warm)
        while True:
            yield [Turn(side) for side in (ours, theirs)]


def apart(case, engine, subject):
    """The same, of a process of its own for every turn."""
    while True:
        pair = []
        for start in (lambda: case.earshot(subject), lambda: case.peer(engine, subject)):
            with start() as side:
                warm(side, case.options.warm)
                pair.append(Turn(side))
        yield pair


def measure(case, engine, subject):
    o = case.options
    row = {
        "subject": subject,
        "preset": case.preset,
        "batch": case.batch,
        "threads": case.threads,
        "engine": engine,
        "clock": o.clock,
        "difference": case.outputs_differ(engine, subject) if o.check else "",
    }
    began, pairs = time.perf_counter(), []
    with contextlib.closing((apart if o.apart else side_by_side)(case, engine, subject)) as turns:
        for pair in turns:
            pairs.append(pair)
            late = time.perf_counter() - began >= o.seconds
            if len(pairs) == o.pairs or (len(pairs) >= 3 and late):
                break
    for i, name in enumerate(("earshot", "peer")):
        row[f"{name}_mb"] = max(pair[i].memory_mb for pair in pairs)
        row[f"{name}_ready_s"] = pairs[0][i].ready_s
    clock = ["wall", "cpu"].index(o.clock)
    pairs = [[turn.seconds[clock] for turn in pair] for pair in pairs]
    a, b = (statistics.median(column) for column in zip(*pairs))
    quartiles = statistics.quantiles([peer / earshot for earshot, peer in pairs], n=4)
    row |= {"earshot_s": a, "peer_s": b, "ratio": b / a, "pairs": len(pairs)}
    row |= {"ratio_q1": quartiles[0], "ratio_q3": quartiles[2]}
    row["memory_ratio"] = row["earshot_mb"] / row["peer_mb"]
    return row


def machine():
    cpu = "unknown"
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            cpu = line.split(":")[1].strip()
            break
    commit = subprocess.run(
        ["git", "-C", HERE, "describe", "--always", "--dirty"], capture_output=True, text=True
    )
    return {
        "cpu": cpu.replace(",", " "),
        "cores": os.cpu_count(),
        "commit": commit.stdout.strip() or "unknown",
    }


def versions():
    from importlib.metadata import version

    names = ("torch", "torchvision", "transformers", "onnxruntime", "openvino")
    return " ".join(f"{name}-{version(name)}" for name in names)


def line(row):
    agree = "" if row["difference"] == "" else f"{row['difference']:.0e}"
    return (
        f"| {row['subject']} | {row['preset']} | {row['batch']} | {row['threads']} "
        f"| {row['engine']} | {row['ratio']:.2f} | {row['ratio_q1']:.2f}-{row['ratio_q3']:.2f} "
        f"| {row['memory_ratio']:.2f} | {agree} |"
    )


HEAD = (
    "| what | preset | batch | threads | peer | times as fast | quartiles | memory | difference |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def write(rows, options):
    with open(options.out + ".csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    with open(options.out + ".md", "w") as file:
        print(HEAD, *map(line, rows), sep="\n", file=file)


def words(text):
    return text.split(",")


def parse():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--build", default="build", help="where Earshot was built")
    p.add_argument("--work", default="build/peers", help="for models, inputs and results")
    p.add_argument("--out", default="build/peers/peers", help="results: OUT.csv, OUT.md")
    p.add_argument("--subjects", type=words, default=list(ENGINES))
    p.add_argument("--engines", type=words, default=ENGINES["swin"])
    p.add_argument("--presets", type=words, default=["small", "base"])
    p.add_argument("--batches", type=words, default=["1", "4"])
    p.add_argument("--threads", type=words, default=["1", str(os.cpu_count())])
    p.add_argument("--pairs", type=int, default=11, help="at most, of each comparison")
    p.add_argument("--seconds", type=float, default=120, help="then stop, after three pairs")
    p.add_argument("--warm", type=int, default=1, help="runs of each side that do not count")
    p.add_argument(
        "--apart",
        action="store_true",
        help="a process for every turn, and one at a time: for what does not fit side by side",
    )
    p.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    p.add_argument("--no-check", dest="check", action="store_false", help="do not compare outputs")
    return p.parse_args()


def cases(options):
    for preset in options.presets:
        for batch in options.batches:
            for threads in options.threads:
                case = Case(options, preset, int(batch), int(threads))
                for subject in options.subjects:
                    for engine in ENGINES[subject]:
                        if engine in options.engines:
                            yield case, engine, subject


def main():
    options = parse()
    os.makedirs(options.work, exist_ok=True)
    about = machine() | {"versions": versions()}
    rows, failed = [], False
    print(HEAD, flush=True)
    for case, engine, subject in cases(options):
        case.prepare()
        try:
            row = measure(case, engine, subject)
        except (RuntimeError, BrokenPipeError, subprocess.CalledProcessError) as error:
            print(f"{subject} {case.preset} {engine}: {error}", file=sys.stderr)
            failed = True
            continue
        rows.append(row | about)
        write(rows, options)
        print(line(row), flush=True)
        if row["difference"] != "" and row["difference"] > TOLERANCE:
            print(f"the outputs differ by more than {TOLERANCE}", file=sys.stderr)
            failed = True
    return failed


sys.exit(main())
