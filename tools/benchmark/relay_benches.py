"""Benches of gRPC that the gateway passes through."""
import json
import os
import shutil
import subprocess
import tempfile
import time

from benchmark.live_benches import Echo, tokens_write
from benchmark.report import Report, spread
from benchmark.stack import BenchError, Stack, free_port, run_tool

CONNECTIONS, STREAMS = 4, 25
IDLE_STREAMS, STREAMS_PER_CONNECTION = 10000, 120
CALL_US_AT_MOST, IDLE_BYTES_AT_MOST = 15, 2048
START_SECONDS, SLACK_SECONDS = 30, 300


class Gateway:
    """A gateway of one's own, as `with Gateway(…) as gateway`."""

    def __init__(self, binaries, upstream, *flags):
        self.target = "127.0.0.1:%d" % free_port()
        self.folder = tempfile.mkdtemp(prefix="relay-")
        self.ready = os.path.join(self.folder, "ready")
        self.process = subprocess.Popen(
            [os.path.join(binaries, "gateway/sync_gateway"), "--upstream", upstream, "--http",
             self.target, "--log-level", "error", "--ready-file", self.ready] + list(flags))

    def __enter__(self):
        deadline = time.monotonic() + START_SECONDS
        while not os.path.exists(self.ready):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise BenchError("the gateway did not start")
            time.sleep(0.02)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def calls(options, target, pid):
    """Calls a second of all connections, and CPU microseconds of the process for each."""
    loads = [subprocess.Popen(
        [os.path.join(options.binaries, "tests/bench/unary_load"), "bare", target, "",
         str(STREAMS), str(max(1, int(options.seconds / 3))), str(pid)],
        stdout=subprocess.PIPE, text=True) for _ in range(CONNECTIONS)]
    found = []
    for load in loads:
        text = load.communicate(timeout=options.seconds + SLACK_SECONDS)[0]
        if load.returncode != 0:
            raise BenchError("unary_load: a call failed")
        found.append(json.loads(text))
    # Each has shared the same CPU out among its own calls.
    return (sum(one["calls_per_second"] for one in found),
            1 / sum(1 / one["server_us"] for one in found))


def idle(options):
    """Bytes of the gateway for each of many streams that say nothing."""
    with Stack(options.binaries, options.data) as stack, \
            Gateway(options.binaries, "unix:" + stack.unix) as gateway:
        tokens_write(stack, IDLE_STREAMS // 2)
        found = json.loads(run_tool(
            [stack.binary("tests/bench/stream_load"), "--mode", "idle", "--target", gateway.target,
             "--tokens", stack.path("live-tokens"), "--members", str(IDLE_STREAMS), "--devices",
             "2", "--channels", str(1 + IDLE_STREAMS // STREAMS_PER_CONNECTION), "--seconds",
             str(max(1, int(options.seconds))), "--pids", str(gateway.process.pid)],
            options.seconds + SLACK_SECONDS))["processes"][0]
        return (found["rss_bytes"] - found["rss_empty_bytes"]) / IDLE_STREAMS


def relay(options):
    """What passing a call through costs, and a stream that waits."""
    report = Report("relay", "gRPC through the gateway")
    rates, costs, direct, sizes = [], [], [], []
    with Echo(options.binaries) as echo, Gateway(options.binaries, echo.target) as gateway:
        for _ in range(options.rounds):
            direct.append(calls(options, echo.target, echo.process.pid)[0])
            rate, cost = calls(options, gateway.target, gateway.process.pid)
            rates.append(rate)
            costs.append(cost)
    for _ in range(options.rounds):
        sizes.append(idle(options))
    rows = report.table("%d connections of %d streams; %d idle streams; %d rounds" %
                        (CONNECTIONS, STREAMS, IDLE_STREAMS, options.rounds),
                        ["", "median", "lowest", "highest"])
    rows += [["calls a second, to the server itself"] + spread(direct),
             ["calls a second, through the gateway"] + spread(rates),
             ["CPU of the gateway, µs a call"] + spread(costs),
             ["bytes of the gateway an idle stream"] + spread(sizes)]
    report.check("CPU of a call passed through", spread(costs)[0], "µs", at_most=CALL_US_AT_MOST)
    report.check("memory of an idle stream passed through", spread(sizes)[0], "bytes",
                 at_most=IDLE_BYTES_AT_MOST)
    return report
