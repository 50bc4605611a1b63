#!/usr/bin/env python3
"""The gateway before several backends, and before those that are dead, stopped or mute."""
import contextlib
import json
import re
import signal
import socket
import subprocess
import threading
import time
import unittest

import harness
from harness import Stack, free_port, token
from raw_http2 import DyingService, RawClient, StatusService

PATH = "/api/offline/config"
EVENTS = "/api/offline/sync/01a22334-835e-7220-b02b-f9901bf032e5/events"
# A request that is not answered by then hangs.
HANG_SECONDS = 30
FLAGS = ["--threads", "1", "--upstream-health-interval-ms", "200",
         "--upstream-connect-timeout-ms", "2000", "--upstream-health-timeout-ms", "2000"]


class Upstream(unittest.TestCase):
    """A gateway and its backends, all ended with the case."""

    def setUp(self):
        self.bearer = token("upstream-user")
        self.stacks = []

    def tearDown(self):
        for stack in self.stacks:
            if stack.service and stack.service.poll() is None:
                stack.service.send_signal(signal.SIGCONT)
            stack.discard()

    def backend(self):
        """A service with a store of its own."""
        stack = Stack()
        self.stacks.append(stack)
        stack.start_service()
        return stack

    def gateway(self, *targets, flags=()):
        """A gateway before these: services, or addresses as text."""
        texts = [target if isinstance(target, str) else self.name(target) for target in targets]
        self.front = Stack(gateway_flags=["--upstream", ",".join(texts)] + FLAGS + list(flags))
        self.stacks.append(self.front)
        self.front.start_gateway()

    @staticmethod
    def name(backend):
        return "unix:" + backend.path("sync.sock")

    def get(self, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.front.call("GET", PATH, bearer=self.bearer, headers=headers,
                               timeout=HANG_SECONDS)

    def metric(self, name, backend):
        """The value of a backend's series; None where there is none."""
        text = self.front.call("GET", "/metrics").body.decode()
        label = backend if isinstance(backend, str) else self.name(backend)
        found = re.search(r'^%s\{backend="%s"\} (\S+)$' % (name, re.escape(label)), text, re.M)
        return float(found.group(1)) if found else None

    def until(self, what):
        """Waits for what must come."""
        deadline = time.monotonic() + harness.START_SECONDS
        while not what():
            self.assertLess(time.monotonic(), deadline, self.front.log("gateway/sync_gateway"))
            time.sleep(0.02)

    def until_up(self, backend, value=1):
        self.until(lambda: self.metric("gateway_upstream_up", backend) == value)

    def expect_away(self, answer):
        self.assertEqual(answer.status, 503, answer)
        self.assertEqual(answer.headers["Retry-After"], "1")
        self.assertEqual(answer.json["error"]["status"], "UNAVAILABLE")

    def test_calls_are_shared_evenly(self):
        backends = [self.backend(), self.backend()]
        self.gateway(*backends)
        for backend in backends:
            self.until_up(backend)
        for _ in range(20):
            self.assertEqual(self.get().status, 200)
        for backend in backends:
            self.assertEqual(self.metric("gateway_upstream_calls_total", backend), 10)
            self.assertEqual(self.metric("gateway_upstream_outstanding", backend), 0)

    def test_a_killed_backend_is_left_out_until_it_is_back(self):
        first, second = self.backend(), self.backend()
        self.gateway(first, second)
        self.until_up(first)
        self.until_up(second)
        first.kill_service()
        self.until_up(first, 0)
        for _ in range(10):
            self.assertEqual(self.get().status, 200)
        told = '"backend":"%s","reason":"it cannot be reached"' % self.name(first)
        self.until(lambda: told in self.front.log("gateway/sync_gateway"))
        first.start_service()
        self.until_up(first)
        before = self.metric("gateway_upstream_calls_total", first)
        for _ in range(10):
            self.assertEqual(self.get().status, 200)
        self.assertEqual(self.metric("gateway_upstream_calls_total", first), before + 5)
        self.assertIn('"an upstream is used again"', self.front.log("gateway/sync_gateway"))

    def test_backends_restarted_in_turn_lose_no_call_that_follows(self):
        backends = [self.backend(), self.backend()]
        self.gateway(*backends)
        statuses, going = [], threading.Event()
        going.set()

        def load():
            while going.is_set():
                answer = self.get()
                statuses.append(answer.status)
                if answer.status != 200:
                    self.expect_away(answer)

        client = threading.Thread(target=load)
        client.start()
        try:
            for backend in backends:
                self.until_up(backend)
                backend.service.terminate()
                self.assertEqual(backend.service.wait(timeout=harness.START_SECONDS), 0)
                self.until_up(backend, 0)
                backend.start_service()
                self.until_up(backend)
        finally:
            going.clear()
            client.join()
        # One that is with a backend as it stops may be lost, and is told so; no other is.
        self.assertLessEqual(sum(status != 200 for status in statuses), len(backends))
        self.assertGreater(len(statuses), 20)

    def test_a_stopped_backend_is_found_and_used_again(self):
        first, second = self.backend(), self.backend()
        self.gateway(first, second)
        self.until_up(first)
        self.until_up(second)
        first.service.send_signal(signal.SIGSTOP)
        self.until_up(first, 0)
        for _ in range(10):
            self.assertEqual(self.get().status, 200)
        self.assertIn('"reason":"it does not answer"', self.front.log("gateway/sync_gateway"))
        first.service.send_signal(signal.SIGCONT)
        self.until_up(first)

    def test_calls_to_a_stopped_backend_end_by_their_deadline_and_others_at_once(self):
        backend = self.backend()
        self.gateway(backend, flags=["--upstream-health-timeout-ms", "4000"])
        self.until_up(backend)
        backend.service.send_signal(signal.SIGSTOP)
        answer = self.get(x_request_timeout="0.2")
        self.assertEqual(answer.status, 504, answer)
        self.assertEqual(answer.json["error"]["status"], "DEADLINE_EXCEEDED")
        # A connection to it is still taken by the kernel, but nobody greets.
        self.until(lambda: self.get(x_request_timeout="0.1").status == 503)
        self.expect_away(self.get())
        self.assertEqual(self.front.call("GET", "/readyz").status, 503)
        backend.service.send_signal(signal.SIGCONT)
        self.until(lambda: self.get().status == 200)

    def test_an_absent_backend_is_told_at_once(self):
        port = free_port()
        self.gateway("127.0.0.1:%d" % port, "unix:/nonexistent/sync.sock")
        for _ in range(3):
            self.expect_away(self.get())
        self.assertEqual(self.front.call("GET", "/healthz").status, 200)
        self.assertEqual(self.metric("gateway_upstream_up", "unix:/nonexistent/sync.sock"), 0)

    def test_a_backend_that_comes_late_is_used(self):
        stack = Stack()
        self.stacks.append(stack)
        self.gateway(stack)
        self.expect_away(self.get())
        stack.start_service()
        self.until(lambda: self.get().status == 200)

    def test_mute_backends_are_given_up(self):
        for accepts in (False, True):
            with self.subTest(accepts=accepts), contextlib.ExitStack() as held:
                listener = held.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64))
                if accepts:
                    threading.Thread(target=accept_all, args=(listener, held), daemon=True).start()
                backend = self.backend()
                mute = "127.0.0.1:%d" % listener.getsockname()[1]
                self.gateway(mute)
                self.until(lambda: self.get().status == 503)
                self.expect_away(self.get())
                self.gateway(mute, backend)
                self.until_up(backend)
                for _ in range(10):
                    self.assertEqual(self.get().status, 200)
                self.assertEqual(self.metric("gateway_upstream_up", mute), 0)
                listener.shutdown(socket.SHUT_RDWR)

    def blackhole(self):
        """An address whose queue of connections is full: the next is neither taken nor refused."""
        listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.addCleanup(listener.close)
        address = listener.getsockname()
        for _ in range(16):
            client = socket.socket()
            self.addCleanup(client.close)
            client.settimeout(0.2)
            try:
                client.connect(address)
            except TimeoutError:
                return "127.0.0.1:%d" % address[1]
        self.skipTest("the system takes connections beyond the queue")

    def test_a_backend_behind_a_full_queue_is_given_up(self):
        hole = self.blackhole()
        self.gateway(hole)
        for _ in range(3):
            self.expect_away(self.get())
        backend = self.backend()
        self.gateway(hole, backend)
        self.until_up(backend)
        for _ in range(10):
            self.assertEqual(self.get().status, 200)

    def test_no_call_waits_for_the_half_that_is_dead(self):
        with contextlib.ExitStack() as held:
            mute = held.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64))
            threading.Thread(target=accept_all, args=(mute, held), daemon=True).start()
            backends = [self.backend() for _ in range(3)]
            self.gateway("127.0.0.1:%d" % free_port(), backends[0], self.blackhole(), backends[1],
                         "127.0.0.1:%d" % mute.getsockname()[1], backends[2],
                         flags=["--upstream-connect-timeout-ms", "60000"])
            for backend in backends:
                self.until_up(backend)
            for _ in range(30):
                self.assertEqual(self.get().status, 200)
            for backend in backends:
                self.assertEqual(self.metric("gateway_upstream_calls_total", backend), 10)
            mute.shutdown(socket.SHUT_RDWR)

    def test_a_backend_that_dies_in_an_answer_is_told_to_whom_it_answered(self):
        stack = Stack()
        self.stacks.append(stack)
        service = DyingService(stack.path("sync.sock"))
        self.addCleanup(service.close)
        self.gateway(stack, flags=["--upstream-health-interval-ms", "0",
                                   "--upstream-failures-max", "0"])
        self.expect_away(self.get())
        events = self.front.call("GET", EVENTS, bearer=self.bearer,
                                 headers={"Accept": "text/event-stream"}, timeout=HANG_SECONDS)
        last = json.loads(events.body.rsplit(b"data: ", 1)[1])["error"]
        self.assertEqual((last["code"], last["status"]), (503, "UNAVAILABLE"))
        client = RawClient(self.front.grpc_port)
        self.addCleanup(client.close)
        stream = client.call("travelsense.sync.v1.SyncService/GetSyncConfig", self.bearer)
        client.push(stream, b"\0\0\0\0\0")
        client.end(stream)
        while not client.has_ended(stream):
            self.assertTrue(client.take(HANG_SECONDS))
        self.assertIn(b"\x0214", client.ended[stream])

    def test_threads_tell_each_other_of_a_backend_that_fails(self):
        good, bad = self.backend(), Stack()
        self.stacks.append(bad)
        service = StatusService(bad.path("sync.sock"))
        self.addCleanup(service.close)
        service.code = 14
        self.gateway(good, bad, flags=["--threads", "4", "--upstream-failures-max", "10",
                                       "--upstream-health-interval-ms", "0",
                                       "--upstream-ejection-ms", "600000"])
        for backend in (good, bad):
            self.until_up(backend, 4)
        # Each request comes by a connection of its own, to whichever thread.
        self.until(lambda: self.get() and
                   self.metric("gateway_upstream_ejections_total", bad) == 4)
        # Ten in a row for all, and one for each other thread that finds out.
        self.assertLessEqual(self.metric("gateway_upstream_calls_total", bad), 10 + 3)

    def test_a_name_is_all_its_addresses(self):
        port = free_port()
        backend = Stack(service_flags=["--no-limits", "--grpc", "127.0.0.1:%d" % port])
        self.stacks.append(backend)
        backend.start_service()
        self.gateway("localhost:%d" % port)
        self.until(lambda: self.get().status == 200)
        self.assertIsNotNone(self.metric("gateway_upstream_up", "127.0.0.1:%d" % port))
        self.assertIn('"the name of an upstream was looked up"',
                      self.front.log("gateway/sync_gateway"))

    def test_other_machines_need_leave(self):
        command = [harness.binary("gateway/sync_gateway"), "--check-config", "--upstream"]
        for target in ("192.0.2.1:50051", "backend.example:50051"):
            run = subprocess.run(command + [target], capture_output=True, text=True, check=False)
            self.assertEqual(run.returncode, 1)
            self.assertIn(target + " is no upstream: it is on another machine", run.stderr)
            self.assertEqual(run.stderr.count("\n"), 1)
            run = subprocess.run(command + [target, "--upstream-cleartext"], capture_output=True,
                                 text=True, check=False)
            self.assertEqual(run.returncode, 0, run.stderr)


def accept_all(listener, held):
    """Takes connections and says nothing."""
    with contextlib.suppress(OSError):
        while True:
            held.enter_context(listener.accept()[0])


if __name__ == "__main__":
    harness.main()
