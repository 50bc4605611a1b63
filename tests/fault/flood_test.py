#!/usr/bin/env python3
"""Floods, each from one connection and from many: the gateway's memory stays under its bound, other
clients are answered meanwhile, and all is well afterwards.

FLOOD_SECONDS says how long each lasts; from 1 on in rounds, between which others are also measured
alone and beside a process that is as busy: then the printed ratios mean something. The floods come
from an address of their own, which FLOOD_PENALTY_MS has wait with new connections as it does by
default; without they come as often as they can.
"""
import http.client
import os
import re
import resource
import socket
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "integration"))
import edge  # noqa: E402
import harness  # noqa: E402
import http2_flood  # noqa: E402

SECONDS = float(os.environ.get("FLOOD_SECONDS", "0.3"))
LONG = SECONDS >= 1
ROUNDS = 5 if LONG else 1
ROUND_SECONDS = SECONDS / ROUNDS
QUIET_SECONDS = max(0.15, ROUND_SECONDS / 2)
PENALTY_MS = os.environ.get("FLOOD_PENALTY_MS", "0")
MANY = 64
# docs/operations.md states it: above the quiet gateway, with these flags.
MEMORY_MAX = 128 << 20
BUFFERS_MAX = 32 << 20
BACK_SECONDS = 1
# Of others, beside the p99 of a busy machine; where there is little time, a guard alone, as the
# machine may be busy with other tests.
P99_TIMES_MAX = 5 if LONG else 100
P99_SECONDS_MIN = 0 if LONG else 1  # less is well in any case
TRIES = 2
HALF_OPEN = 10000 if LONG else 3000
DESCRIPTORS = 64


def raise_descriptors():
    """Takes as many descriptors as the system gives; returns their number."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Times:
    """How long requests took, round by round."""

    def __init__(self):
        self.rounds = []

    def p99(self):
        """The median of the rounds' p99."""
        return statistics.median(self._p99s())

    def _p99s(self):
        return [sorted(times)[int(len(times) * 0.99)] for times in self.rounds]

    def __str__(self):
        return "%.1f ms (%.1f to %.1f)" % tuple(
            1e3 * part for part in (self.p99(), min(self._p99s()), max(self._p99s())))


class Flood(edge.Case):
    # As many loops as by default.
    edge_flags = ("--buffer-bytes-max", str(BUFFERS_MAX), "--penalty-ms", PENALTY_MS,
                  "--threads", "0")

    alone = busy = None  # Times of others where nobody attacks

    def setUp(self):
        super().setUp()
        self.quiet_memory = self.memory()

    def memory(self):
        """Resident bytes of the gateway."""
        with open("/proc/%d/status" % self.stack.gateway.pid, encoding="ascii") as file:
            for line in file:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) << 10
        raise RuntimeError("no VmRSS")

    def client(self, timeout=30):
        return http.client.HTTPConnection("127.0.0.1", self.stack.http_port, timeout=timeout)

    def ask(self, client):
        """One request of a client that means well; its seconds."""
        begun = time.monotonic()
        client.request("GET", "/api/offline/config",
                       headers={"Authorization": "Bearer " + self.bearer})
        response = client.getresponse()
        body = response.read()
        self.assertEqual(response.status, 200, body)
        return time.monotonic() - begun

    def cpu(self):
        """Seconds of processor time that the gateway has used."""
        return time.clock_gettime(~self.stack.gateway.pid << 3 | 2)

    def watch(self, flood):
        """Asks until the flood has ended; each request's seconds and the most memory."""
        client, times, most = self.client(), [], 0
        while flood.is_running():
            times.append(self.ask(client))
            most = max(most, self.memory())
            time.sleep(0.002)
        client.close()
        return times, most

    def watch_quiet(self):
        """A round while nobody attacks: alone, and beside a process that is as busy."""
        client, times = self.client(), []
        deadline = time.monotonic() + QUIET_SECONDS
        while time.monotonic() < deadline:
            times.append(self.ask(client))
            time.sleep(0.002)
        client.close()
        Flood.alone.rounds.append(times)
        Flood.busy.rounds.append(self.watch(http2_flood.Idle(None, 0, 0, QUIET_SECONDS))[0])

    def check(self, kind, port, connections, flood=http2_flood.Flood, secure=False):
        """Runs a flood and looks at everything else."""
        if LONG or not Flood.alone:  # where there is little time, once for all
            Flood.alone, Flood.busy = Times(), Times()
        times, most, cpu, opened = Times(), 0, 0, 0
        for number in range(ROUNDS):
            if len(Flood.alone.rounds) <= number:
                self.watch_quiet()
            cpu -= self.cpu()
            running = flood(kind, port, connections, ROUND_SECONDS, secure)
            of_round, of_memory = self.watch(running)
            cpu += self.cpu()
            opened += running.end()
            times.rounds.append(of_round)
            most = max(most, of_memory)
        self.assertIsNone(self.stack.gateway.poll())
        grown = most - self.quiet_memory
        print("%-15s %-3s %5d at once, %6d in all: %5.1f MB more, %3d %% of a core, p99 of others "
              "%s, %.1f times the %s of a busy machine, %.1f times the %s of a quiet one" %
              (kind.__name__, "TLS" if secure else "", connections, opened, grown / 1e6,
               cpu / SECONDS * 100, times, times.p99() / self.busy.p99(), self.busy,
               times.p99() / self.alone.p99(), self.alone), file=sys.stderr)
        self.assertLess(grown, MEMORY_MAX)
        self.assertLess(min(self.ask(self.client()) for _ in range(2)), BACK_SECONDS)
        return times.p99() < max(P99_SECONDS_MIN, P99_TIMES_MAX * self.busy.p99())

    def flood(self, kind, secure):
        port = self.https_port if secure else self.stack.http_port
        for connections in (1, MANY):
            with self.subTest(connections=connections, secure=secure):
                self.assertTrue(any(self.check(kind, port, connections, secure=secure)
                                    for _ in range(TRIES)))

    def test_half_open_handshakes(self):
        count = min(HALF_OPEN, raise_descriptors() - 200)
        self.assertTrue(any(self.check(http2_flood.HalfOpen, self.https_port, count,
                                       http2_flood.HalfOpenFlood) for _ in range(TRIES)))

    def test_descriptors_run_out_and_come_back(self):
        pid = self.stack.gateway.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        first = self.client()
        self.ask(first)
        clients = []
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, before[1]))
        try:
            for _ in range(2 * DESCRIPTORS):
                clients.append(socket.create_connection(("127.0.0.1", self.stack.http_port), 30))
            deadline = time.monotonic() + 5
            while len(os.listdir("/proc/%d/fd" % pid)) < DESCRIPTORS:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.01)
            self.ask(first)  # who is in is served
            for client in clients:
                client.close()
            self.ask(self.client())
        finally:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        self.ask(self.client())
        first.close()


def add_case(kind, secure):
    def case(self):
        self.flood(kind, secure)
    words = re.sub("([A-Z])", r"_\1", kind.__name__).lower()
    setattr(Flood, "test" + words + ("_over_tls" if secure else ""), case)


OF_HTTP1 = (http2_flood.SlowHead, http2_flood.Pipeline)
OVER_TLS = (http2_flood.RapidReset, http2_flood.HpackBomb)  # also where there is little time
for each in (http2_flood.RapidReset, http2_flood.RapidResetCalls, http2_flood.MadeYouReset,
             http2_flood.Continuation, http2_flood.Settings, http2_flood.Ping,
             http2_flood.PingUnread, http2_flood.EmptyData, http2_flood.ClosedData,
             http2_flood.Priority, http2_flood.WindowUpdate, http2_flood.ZeroWindow,
             http2_flood.HpackBomb, http2_flood.TrailersBomb, http2_flood.LargeHeads,
             http2_flood.SlowReader, http2_flood.SlowHead, http2_flood.Pipeline,
             http2_flood.PipelineUnread):
    add_case(each, False)
    if not issubclass(each, OF_HTTP1) and (LONG or each in OVER_TLS):
        add_case(each, True)
add_case(http2_flood.TinyRecords, True)


if __name__ == "__main__":
    harness.main()
