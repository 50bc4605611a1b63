"""Benches of the gateway alone, before a service that only echoes, beside others of its kind."""
import json
import os
import re
import shutil
import socket
import subprocess
import time

from benchmark.report import Report, spread
from benchmark.stack import START_SECONDS, BenchError, Stack, free_port, run_tool

CONNECTIONS, THREADS = 64, 2
SMALL_AT_LEAST, BATCH_AT_LEAST = 8, 15
SMALL_BYTES, BATCH_CHANGES, TEXT_BYTES = 200, 100, 300
OURS = "this gateway"
BARE = "the system alone"  # a server that answers with what it got, and does nothing else
PEERS = {"grpc-gateway": "gateway", "Vanguard": "vanguard"}  # by name: their programs
H2LOAD_DONE = re.compile(r"finished in ([0-9.]+)(ms|s), ")
H2LOAD_CODES = re.compile(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx")


def change(number, text):
    """A change as a client sends it, with so long a text."""
    return {"id": "%016x" % (number * 0x9e3779b97f4a7c15 % (1 << 64)), "collection": "notes",
            "op": "UPSERT", "baseVersion": "3", "clientTimeMs": "1790000000000",
            "title": "a title of some words %d" % number,
            "body": ("the quick brown fox jumps over the lazy dog " * (text // 44 + 1))[:text],
            "done": False, "tags": ["alpha", "beta"]}


def body_of(changes):
    return json.dumps({"clientId": "c-1", "sinceToken": "t0", "changes": changes},
                      separators=(",", ":"))


def small_body():
    """A request of SMALL_BYTES."""
    one = {key: value for key, value in change(1, 0).items()
           if key not in ("title", "done", "tags")}
    one["body"] = "x" * (SMALL_BYTES - len(body_of([one])))
    return body_of([one])


def batch_body():
    """A request of BATCH_CHANGES changes, about 50 kB."""
    return body_of([change(number, TEXT_BYTES) for number in range(BATCH_CHANGES)])


def h2load_figures(text):
    """Requests answered well, and seconds, of what h2load prints; nothing else may have come."""
    done, codes = H2LOAD_DONE.search(text), H2LOAD_CODES.search(text)
    if not done or not codes:
        raise BenchError("h2load printed nothing that is known here")
    good, *bad = map(int, codes.groups())
    if good == 0 or any(bad):
        raise BenchError("h2load was answered by something else than 2xx")
    return good, float(done.group(1)) / (1000 if done.group(2) == "ms" else 1)


class Gateways(Stack):
    """All gateways, or ours alone, before one backend."""

    def __init__(self, binaries, base, peers):
        super().__init__(binaries, base)
        self.peers, self.children, self.ports, self.pids = peers, [], {}, {}
        self.backend_port = free_port()

    def loops(self):
        """How many event loops our gateway runs."""
        folder, count = "/proc/%d/task" % self.gateway.pid, 0
        for thread in os.listdir(folder):
            with open(os.path.join(folder, thread, "comm"), encoding="ascii") as file:
                count += file.read() == "gateway-loop\n"
        return count

    def start(self):
        backend = "127.0.0.1:%d" % self.backend_port
        if self.peers:
            self.run(os.path.join(self.peers, "backend"), [backend], self.backend_port)
        else:
            self.run(self.binary("tests/bench/unary_echo"), [backend, str(THREADS)],
                     self.backend_port)
        self.gateway = self.launch("gateway/sync_gateway", [
            "--descriptor-set", self.binary("tests/bench/echo_descriptor.binpb"),
            "--upstream", backend, "--http", "127.0.0.1:%d" % self.port, "--no-access-log"])
        self.ports[OURS], self.pids[OURS] = self.port, self.gateway.pid
        port = free_port()
        child = self.run(self.binary("tests/bench/bare_http"), [str(port), str(self.loops())], port)
        self.ports[BARE], self.pids[BARE] = port, child.pid
        for name, program in PEERS.items() if self.peers else ():
            port = free_port()
            child = self.run(os.path.join(self.peers, program),
                             ["127.0.0.1:%d" % port, backend], port)
            self.ports[name], self.pids[name] = port, child.pid
        for name, text in (("small", small_body()), ("batch", batch_body())):
            with open(self.path(name), "w", encoding="utf-8") as file:
                file.write(text)
        self.write_lines("targets", ["/v1/echo"] * CONNECTIONS)

    def processes(self):
        return self.pids

    def run(self, program, flags, port):
        """Starts a program that is ready once it listens."""
        child = subprocess.Popen([program] + flags, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.children.append(child)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return child
            except OSError as error:
                if child.poll() is not None or time.monotonic() > deadline:
                    raise BenchError("%s did not start" % os.path.basename(program)) from error
                time.sleep(0.02)

    def __exit__(self, *_):
        super().__exit__()
        for child in self.children:
            child.kill()
            child.wait()

    def http1(self, who, body, seconds):
        """Requests a second, and CPU of the gateway in µs a request."""
        found = json.loads(run_tool([
            self.binary("tests/bench/load"), "--mode", "post", "--port", str(self.ports[who]),
            "--clients", str(CONNECTIONS), "--body", self.path(body),
            "--targets", self.path("targets"), "--warm-ms", str(int(seconds * 200)),
            "--measure-ms", str(int(seconds * 1000)), "--count", '"notes"',
            "--expect", str(1 if body == "small" else BATCH_CHANGES),
            "--pids", str(self.pids[who])]))
        return (found["requests_per_second"],
                found["processes"][0]["cpu_seconds"] * 1e6 / max(found["requests"], 1))

    def http2(self, who, body, seconds):
        """The same over HTTP/2, a stream a connection."""
        before = self.cpu_us()[who]
        text = run_tool(["h2load", "-t1", "-c%d" % CONNECTIONS, "-m1",
                         "-D%d" % max(1, round(seconds)), "-d", self.path(body),
                         "-H", "content-type: application/json",
                         "http://127.0.0.1:%d/v1/echo" % self.ports[who]])
        good, took = h2load_figures(text)
        return good / took, (self.cpu_us()[who] - before) / good


def peers_of(options):
    """The folder of the peers that tools/setup --peers installed, or None."""
    folder = os.path.join(options.root, ".cache", "peer", "bin")
    there = [os.path.exists(os.path.join(folder, name))
             for name in ("backend", *PEERS.values())]
    return folder if all(there) else None


def kinds(has_h2load):
    """Each kind of load: its name, body, method of Gateways, and the ratio it must reach."""
    found = []
    for body, words, least in (("small", "200 bytes", SMALL_AT_LEAST),
                               ("batch", "100 changes", BATCH_AT_LEAST)):
        found.append((words + ", HTTP/1.1", body, Gateways.http1, least))
        if has_h2load:
            found.append((words + ", HTTP/2", body, Gateways.http2, least))
    return found


def gateway(options):
    """The gateways take turns, in another order in each round."""
    report = Report("gateway", "The gateway alone")
    peers, has_h2load = peers_of(options), shutil.which("h2load") is not None
    runs = {}
    with Gateways(options.binaries, options.data, peers) as stack:
        for number in range(options.rounds):
            for name, body, load, _ in kinds(has_h2load):
                for who in sorted(stack.ports, reverse=number % 2 == 1):
                    if who == BARE and (body, load) != ("small", Gateways.http1):
                        continue
                    runs.setdefault((name, who), []).append(
                        load(stack, who, body, options.seconds / 2))
    missing = [words for words, is_there in (
        ("the peers are not installed (tools/setup --peers): this gateway alone, before the C "
         "core", peers), ("h2load is not installed (tools/setup --peers): HTTP/1.1 alone",
                          has_h2load)) if not is_there]
    if missing:
        report.text("What was left out", "\n".join(missing))
    tables(report, options, runs, kinds(has_h2load), bool(peers))
    return report


def times(ours, theirs):
    """How many times our rate is theirs, and their CPU ours: medians over the rounds."""
    return [spread([one[at] / other[at] if at == 0 else other[at] / one[at]
                    for one, other in zip(ours, theirs)])[0] for at in (0, 1)]


def tables(report, options, runs, loads, compared):
    rows = report.table(
        "JSON to gRPC and back, %d connections, %d rounds of %g s" %
        (CONNECTIONS, options.rounds, options.seconds / 2),
        ["", "requests/s", "lowest", "highest", "CPU µs a request", "lowest", "highest",
         "our rate, times", "our CPU, times less"])
    for name, _, _, least in loads:
        ours = runs[name, OURS]
        ratios = {peer: times(ours, runs[name, peer]) for peer in PEERS if compared}
        for who in (OURS, *ratios, BARE):
            found = runs.get((name, who))
            if not found:
                continue
            rows.append(["%s: %s" % (name, who)] + spread([one[0] for one in found]) +
                        spread([one[1] for one in found]) + ratios.get(who, ["", ""]))
        if ratios:
            report.check("CPU of the better peer against this gateway's, %s" % name,
                         min(one[1] for one in ratios.values()), "times", at_least=least)
