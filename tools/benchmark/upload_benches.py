"""Benches of uploads: the main figure, how it goes with batch and clients, and memory."""
import os
import re
import shutil
import tempfile
import time

from benchmark.report import Report, spread
from benchmark.stack import BenchError, Stack, run_tool

RATE_AT_LEAST, CPU_AT_MOST_US = 40000, 25
CLIENTS, CHANGES = 16, 100
# Changes a second of a slow machine with a lot in flight.
SWEEP_RATE_SLOW = 20000
# Many of them in a round: its users do not fit into the index of settled changes together.
INDEX_BUILDS = "sync_store_index_builds_total"
SWEEP_CHANGES, SWEEP_CLIENTS = (1, 10, 100, 1000), (1, 4, 16, 64)


def store_bench(options, seconds, *flags):
    """What store_bench prints, run on the same disk as the rest."""
    folder = tempfile.mkdtemp(prefix="bench-store-", dir=options.data)
    try:
        return run_tool([os.path.join(options.binaries, "tests/bench/store_bench"),
                         "--dir", folder, "--seconds", str(max(1, int(seconds)))] + list(flags))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def store_alone(options):
    """Changes a second and CPU per change of the embedded store without service and gateway."""
    text = store_bench(options, options.seconds, "--users", str(CLIENTS), "--batch", str(CHANGES))
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    try:
        row = dict(zip(re.split(r"\s{2,}", lines[0].strip()), lines[-1].split()))
        return {"rate": float(row["changes/s"]), "cpu_us": float(row["less making"])}
    except (IndexError, KeyError, ValueError) as error:
        raise BenchError("the table of store_bench is not as known here: %r" % error) from error


def timed(options, share=1.0):
    """Durations of a run for the load generator: a share of the whole, and its warm-up."""
    return {"warm_ms": int(options.seconds * share * 200),
            "measure_ms": int(options.seconds * share * 1000)}


def one_upload(options):
    os.sync()
    with Stack(options.binaries, options.data) as stack:
        return stack.load("upload", stack.users(CLIENTS), {"changes": CHANGES, **timed(options)})


def upload(options):
    """Each round has a fresh store, and beside it, in turns first and second, the store alone."""
    report = Report("upload", "Upload: %d changes a batch, %d clients" % (CHANGES, CLIENTS))
    runs, alone = [], []
    for number in range(options.rounds):
        steps = [lambda: runs.append(one_upload(options)),
                 lambda: alone.append(store_alone(options))]
        for step in steps if number % 2 == 0 else reversed(steps):
            step()
    figures = {
        "changes a second": [run["items_per_second"] for run in runs],
        "CPU of the service, µs a change": [run["service_us"] for run in runs],
        "CPU of the gateway, µs a change": [run["gateway_us"] for run in runs],
        "CPU of both, µs a change": [run["service_us"] + run["gateway_us"] for run in runs],
        "CPU of the load generator, µs a change": [run["load_us"] for run in runs],
        "batch p50, ms": [run["p50_ms"] for run in runs],
        "batch p99, ms": [run["p99_ms"] for run in runs],
        "batch max, ms": [run["max_ms"] for run in runs],
        "request bytes a change": [run["request_bytes_per_item"] for run in runs],
        "the store alone, changes a second": [run["rate"] for run in alone],
        "the store alone, CPU µs a change": [run["cpu_us"] for run in alone],
        "rate against the store alone": [run["items_per_second"] / other["rate"]
                                         for run, other in zip(runs, alone)],
    }
    for process in ("service", "gateway"):
        for at, when in enumerate(("before", "after")):
            figures["memory of the %s %s, MiB" % (process, when)] = [
                run[process + "_rss"][at] / (1 << 20) for run in runs]
    rows = report.table("%d rounds of %g s" % (options.rounds, options.seconds),
                        ["", "median", "lowest", "highest"])
    rows += [[name] + spread(values) for name, values in figures.items()]
    report.check("upload", spread(figures["changes a second"])[0], "changes a second",
                 at_least=RATE_AT_LEAST)
    report.check("CPU of service and gateway", spread(figures["CPU of both, µs a change"])[0],
                 "µs a change", at_most=CPU_AT_MOST_US)
    return report


def sweep_times(options, in_flight):
    """A quarter of the whole, but long enough that each client's batch comes back some times."""
    seconds = max(options.seconds / 4, 4.0 * in_flight / SWEEP_RATE_SLOW)
    return {"warm_ms": int(seconds * 500), "measure_ms": int(seconds * 1000)}


def sweep(options):
    """Rounds go through all pairs in turn, so that what else the machine does touches all alike."""
    report = Report("sweep", "Upload by batch size and clients")
    pairs = [(changes, clients) for changes in SWEEP_CHANGES for clients in SWEEP_CLIENTS]
    runs = {pair: [] for pair in pairs}
    with Stack(options.binaries, options.data) as stack:
        users = stack.users(max(SWEEP_CLIENTS))
        for _ in range(options.rounds):
            for changes, clients in pairs:
                before = stack.counter(INDEX_BUILDS)
                found = stack.load("upload", users[:clients],
                                   {"changes": changes,
                                    **sweep_times(options, changes * clients)})
                found["index_builds"] = int(stack.counter(INDEX_BUILDS) - before)
                runs[changes, clients].append(found)
    rows = report.table(
        "%d rounds of %g s each, longer where more is in flight; medians" %
        (options.rounds, options.seconds / 4),
        ["changes × clients", "changes/s", "lowest", "highest", "service µs", "gateway µs",
         "both µs", "p50 ms", "p99 ms", "highest ms", "index builds"])
    for (changes, clients), found in runs.items():
        service = spread([run["service_us"] for run in found])[0]
        gateway = spread([run["gateway_us"] for run in found])[0]
        rows.append(["%d × %d" % (changes, clients)] +
                    spread([run["items_per_second"] for run in found]) +
                    [service, gateway, service + gateway] +
                    [spread([run[name] for run in found])[0] for name in ("p50_ms", "p99_ms")] +
                    [max(run[name] for run in found) for name in ("max_ms", "index_builds")])
    return report


def memory(options):
    """One service and one gateway through several kinds of work."""
    report = Report("memory", "Resident memory")
    rows = report.table("MiB, one run in this order",
                        ["", "service", "service peak", "gateway", "gateway peak"])

    def note(moment):
        found = stack.memory()
        rows.append([moment] + list(found["service"]) + list(found["gateway"]))

    with Stack(options.binaries, options.data) as stack:
        note("started")
        users = stack.users(64)
        found = stack.load("upload", users[:16], {"changes": 100, **timed(options)})
        note("after %s changes, 100 a batch, 16 clients" % format(found["items"], ","))
        found = stack.load("upload", users, {"changes": 1000, **timed(options)})
        note("after %s more, 1000 a batch, 64 clients" % format(found["items"], ","))
        readers = stack.users(4)
        stack.fill(readers, 10000)
        found = stack.load("pull", readers, {"expect": 10000, **timed(options)},
                           ["/api/offline/bundle"] * 4)
        note("after %s bundles of 10,000 records, 4 clients" % format(found["requests"], ","))
        time.sleep(options.seconds)
        note("idle for %g s" % options.seconds)
    return report
