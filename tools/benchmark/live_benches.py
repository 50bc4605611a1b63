"""Benches of live streams and of the client stubs, on the service itself."""
import json
import os
import subprocess
import time

from benchmark.report import Report, spread
from benchmark.stack import BenchError, Stack, free_port, run_tool

# A connection takes a thousand streams.
STREAMS_PER_CHANNEL = 700
STREAM_BYTES_AT_MOST, IDLE_CPU_AT_MOST = 20000, 0.02
LATENCY_AT_MOST_MS = 20
UNARY_AT_LEAST = 0.8
NOISE_RATE = 5000
UPLOAD_CLIENTS, UPLOAD_CHANGES = 16, 100
UNARY_THREADS = 8
TOKEN_SECONDS = 86400
SLACK_SECONDS = 300


def tokens_write(stack, users):
    """A file of so many users' tokens, not bound to a device."""
    text = run_tool([stack.binary("tools/token_tool"), "live", "--count", str(users), "--data",
                     stack.folder, "--ttl", str(TOKEN_SECONDS)])
    with open(stack.path("live-tokens"), "w", encoding="utf-8") as file:
        file.write(text)
    return text.splitlines()


def stream_load(stack, mode, members, seconds, **options):
    """One run of stream_load on the service's own port."""
    options.setdefault("devices", 2)
    flag = ["--herd"] if options.pop("herd", False) else []
    tokens_write(stack, (members + options["devices"] - 1) // options["devices"])
    command = [stack.binary("tests/bench/stream_load"), "--mode", mode,
               "--target", "127.0.0.1:%d" % stack.grpc_port,
               "--tokens", stack.path("live-tokens"), "--members", str(members),
               "--channels", str(1 + members // STREAMS_PER_CHANNEL),
               "--seconds", str(max(1, int(seconds))), "--pids", str(stack.service.pid)] + flag
    for name, value in options.items():
        command += ["--" + name, str(value)]
    found = json.loads(run_tool(command, seconds + SLACK_SECONDS))
    found["service"] = found["processes"][0]
    return found


def streams(options):
    """What an open stream costs, and how a herd of them comes back."""
    report = Report("streams", "Idle streams")
    members = 10000
    sizes, shares, opened, herds = [], [], [], []
    for _ in range(options.rounds):
        with Stack(options.binaries, options.data) as stack:
            found = stream_load(stack, "idle", members, options.seconds)
            use = found["service"]
            sizes.append((use["rss_bytes"] - use["rss_empty_bytes"]) / members)
            shares.append(use["cpu_seconds"] / found["seconds"])
            opened.append(found["open_seconds"])
            herds.append(herd(stack, members, options))
    rows = report.table("%d streams, two devices a user, %d rounds" % (members, options.rounds),
                        ["", "median", "lowest", "highest"])
    rows += [
        ["bytes of the service a stream"] + spread(sizes),
        ["CPU of the idle service, share of a core"] + spread(shares),
        ["opened one after the other, s"] + spread(opened),
        ["opened all at once, s"] + spread([one["open_seconds"] for one in herds]),
        ["… refused and given a slot"] + spread([one["refused"] for one in herds]),
        ["… unary calls meanwhile, p50 ms"] + spread([one["p50_ms"] for one in herds]),
        ["… unary calls meanwhile, p99 ms"] + spread([one["p99_ms"] for one in herds]),
    ]
    report.check("memory of an idle stream", spread(sizes)[0], "bytes",
                 at_most=STREAM_BYTES_AT_MOST)
    report.check("CPU of the idle service", spread(shares)[0], "of a core",
                 at_most=IDLE_CPU_AT_MOST)
    return report


def herd(stack, members, options):
    """All streams come back at once, while a user goes on with unary calls through the gateway."""
    tokens_write(stack, members // 2)
    user = stack.users(1)[0]
    command = [stack.binary("tests/bench/stream_load"), "--mode", "idle", "--herd",
               "--target", "127.0.0.1:%d" % stack.grpc_port, "--tokens", stack.path("live-tokens"),
               "--members", str(members), "--channels", str(1 + members // STREAMS_PER_CHANNEL),
               "--seconds", "1", "--pids", str(stack.service.pid)]
    took = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + SLACK_SECONDS
        while process.poll() is None and time.monotonic() < until:
            begun = time.monotonic()
            stack.call("GET", "/api/offline/config", user)
            took.append((time.monotonic() - begun) * 1000)
            time.sleep(0.01)
        process.kill()
        text = process.communicate()[0]
    if process.returncode != 0 or not took:
        raise BenchError("the herd did not come back")
    took.sort()
    return dict(json.loads(text), p50_ms=took[len(took) // 2], p99_ms=took[len(took) * 99 // 100])


def live(options):
    """From a device that sends a change to the arrival on the user's other device."""
    report = Report("live", "A change from one device to another")
    kinds = [(members, rate) for members in (1000, 10000) for rate in (0, NOISE_RATE)]
    runs = {kind: [] for kind in kinds}
    for _ in range(options.rounds):
        for members, rate in kinds:
            with Stack(options.binaries, options.data) as stack:
                runs[members, rate].append(
                    stream_load(stack, "latency", members, options.seconds, rate=rate))
    rows = report.table(
        "200 changes a second timed, %d rounds of %g s; medians of the rounds" %
        (options.rounds, options.seconds),
        ["streams, other changes a second", "p50 ms", "p99 ms", "p99 lowest", "p99 highest",
         "max ms", "arrivals", "other changes/s", "service CPU"])
    for (members, rate), found in runs.items():
        rows.append(["%s, %s" % (format(members, ","), format(rate, ","))] +
                    [spread([run["p50_ms"] for run in found])[0]] +
                    spread([run["p99_ms"] for run in found]) +
                    [spread([run["max_ms"] for run in found])[0],
                     spread([run["arrivals"] for run in found])[0],
                     spread([(run["changes"] - run["arrivals"]) / run["seconds"]
                             for run in found])[0],
                     spread([run["service"]["cpu_seconds"] / run["seconds"] for run in found])[0]])
    report.check("a change's way at 1,000 streams, p99",
                 spread([run["p99_ms"] for run in runs[1000, 0]])[0], "ms",
                 at_most=LATENCY_AT_MOST_MS)
    upload_table(report, options)
    return report


def upload_table(report, options):
    """Batches on streams beside the same batches by UploadChanges, in turns."""
    runs = {"upload": [], "unary": []}
    for number in range(options.rounds):
        for mode in sorted(runs, reverse=number % 2 == 1):
            with Stack(options.binaries, options.data) as stack:
                runs[mode].append(stream_load(stack, mode, UPLOAD_CLIENTS, options.seconds,
                                              devices=1, changes=UPLOAD_CHANGES))
    rows = report.table("Uploads by the stubs, %d clients, %d changes a batch" %
                        (UPLOAD_CLIENTS, UPLOAD_CHANGES), ["", "median", "lowest", "highest"])
    for mode, name in (("upload", "Sync stream, up to 4 batches in flight"),
                       ("unary", "UploadChanges, one after the other")):
        rows.append([name + ", changes/s"] +
                    spread([run["changes"] / run["seconds"] for run in runs[mode]]))
        rows.append(["… CPU of the service, µs a change"] +
                    spread([run["service"]["cpu_seconds"] * 1e6 / max(run["changes"], 1)
                            for run in runs[mode]]))
    rows.append(["stream against unary"] +
                spread([stream["changes"] / stream["seconds"] /
                        (unary["changes"] / unary["seconds"])
                        for stream, unary in zip(runs["upload"], runs["unary"])]))


class Echo:
    """The bare server, as `with Echo(…) as echo`."""

    def __init__(self, binaries):
        self.target = "127.0.0.1:%d" % free_port()
        self.process = subprocess.Popen(
            [os.path.join(binaries, "tests/bench/unary_echo"), self.target, str(os.cpu_count())],
            stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        if self.process.stdout.readline().strip() != "ready":
            raise BenchError("unary_echo did not start")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def unary(options):
    """Stubs and service against the bare library on both sides, in turns."""
    report = Report("unary", "Unary calls by the client stubs")
    names = {"bare": "bare libgrpc: client and echo", "health": "stubs and service: Health/Check",
             "config": "stubs and service: GetSyncConfig, with token and a read of the store"}
    runs = {name: [] for name in names}
    with Stack(options.binaries, options.data) as stack, Echo(options.binaries) as echo:
        token = tokens_write(stack, 1)[0]
        for _ in range(2 * options.rounds):
            for name in names:
                target, pid = ("127.0.0.1:%d" % stack.grpc_port, stack.service.pid) \
                    if name != "bare" else (echo.target, echo.process.pid)
                runs[name].append(json.loads(run_tool(
                    [stack.binary("tests/bench/unary_load"), name, target,
                     token if name == "config" else "", str(UNARY_THREADS),
                     str(max(1, int(options.seconds / 3))), str(pid)])))
    rows = report.table("%d blocking threads on one connection, %d rounds" %
                        (UNARY_THREADS, 2 * options.rounds),
                        ["", "calls/s", "lowest", "highest", "server µs", "client µs", "of bare"])
    for name, title in names.items():
        ratios = [run["calls_per_second"] / bare["calls_per_second"]
                  for run, bare in zip(runs[name], runs["bare"])]
        rows.append([title] + spread([run["calls_per_second"] for run in runs[name]]) +
                    [spread([run["server_us"] for run in runs[name]])[0],
                     spread([run["client_us"] for run in runs[name]])[0], spread(ratios)[0]])
        if name == "health":
            report.check("unary calls against bare libgrpc", spread(ratios)[0], "of its calls",
                         at_least=UNARY_AT_LEAST)
    return report
