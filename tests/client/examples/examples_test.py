#!/usr/bin/env python3
"""The example services, as real programs against the real service: what they write reaches devices
live, and what devices change reaches them."""
import os
import queue
import subprocess
import sys
import threading

sys.path.append(os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..",
                             "integration"))
import harness  # noqa: E402 pylint: disable=C0413
from harness import change  # noqa: E402 pylint: disable=C0413
from stream_device import Device  # noqa: E402 pylint: disable=C0413

SECONDS_MAX = 60


class Program:
    """An example as it runs: its lines of output, one by one."""

    def __init__(self, command, text):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.lines = queue.Queue()
        self.process.stdin.write(text)
        self.process.stdin.close()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))

    def line(self):
        return self.lines.get(timeout=SECONDS_MAX)

    def end(self):
        """The exit status, and what was said on standard error."""
        code = self.process.wait(timeout=SECONDS_MAX)
        self.reader.join()
        with self.process.stderr as errors:
            said = errors.read()
        self.process.stdout.close()
        return code, said

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.end()


class Examples(harness.Case):
    def setUp(self):
        super().setUp()
        self.token_file = self.stack.path("service.token")
        self.write_token(harness.token("trips", role="service"))

    def write_token(self, text):
        with open(self.token_file, "w", encoding="utf-8") as file:
            file.write(text + "\n")

    def start(self, name, text, *flags):
        command = [harness.binary("client/examples/" + name), "--target",
                   "unix:" + self.stack.path("sync.sock"), "--token-file", self.token_file,
                   "--user", self.user] + list(flags)
        program = Program(command, text)
        self.addCleanup(program.kill)
        return program

    def device(self):
        """A device on a live stream that has caught up."""
        device = Device(self.phone, self.bearer)
        self.addCleanup(device.disconnect)
        device.connect("127.0.0.1:%d" % self.stack.grpc_port)
        self.assertTrue(device.run(lambda: device.is_complete))
        return device

    def test_trips_are_written_and_watched(self):
        trips = self.start("trip_service", "oslo 2026-12-01T08:00:00Z Oslo in winter\n"
                           "rome 2027-04-01T08:00:00Z Rome\n", "--count", "2")
        self.assertEqual(trips.line(), "wrote oslo version 1")
        self.assertEqual(trips.line(), "wrote rome version 2")
        self.assertEqual(self.records()["trip", "oslo"], {
            "id": "oslo", "startTime": "2026-12-01T08:00:00Z", "name": "Oslo in winter"})
        self.upload([change(1, "update", {"name": "Oslo with Anna"}, "trip", dataId="oslo",
                            baseVersion="1")])
        self.assertEqual(trips.line(),
                         "changed oslo version 3: Oslo with Anna at 2026-12-01T08:00:00Z")
        self.upload([change(2, "delete", None, "trip", dataId="rome", baseVersion="2")])
        self.assertEqual(trips.line(), "deleted rome version 4")
        self.assertEqual(trips.end(), (0, ""))

    def test_trips_are_watched_over_a_restart_of_the_service(self):
        trips = self.start("trip_service", "oslo 2026-12-01T08:00:00Z Oslo\n", "--count", "1")
        self.assertEqual(trips.line(), "wrote oslo version 1")
        self.stack.kill_service()
        self.stack.start_service()
        self.upload([change(1, "update", {"name": "Bergen"}, "trip", dataId="oslo",
                            baseVersion="1")])
        self.assertEqual(trips.line(), "changed oslo version 2: Bergen at 2026-12-01T08:00:00Z")
        self.assertEqual(trips.end(), (0, ""))

    def test_a_written_trip_reaches_a_device_live(self):
        device = self.device()
        trips = self.start("trip_service", "oslo 2026-12-01T08:00:00Z Oslo\n")
        self.assertTrue(device.run(lambda: ("trip", "oslo") in device.records))
        self.assertEqual(device.data(("trip", "oslo"))["name"], "Oslo")
        trips.kill()

    def test_a_cancellation_reaches_a_device_live(self):
        key = ("booking", "hotel-7")
        self.upload([change(1, "create", {"id": "hotel-7", "status": "confirmed", "beds": 2})])
        device = self.device()
        self.assertEqual(device.data(key)["status"], "confirmed")
        bookings = self.start("booking_service", "hotel-7 The hotel is full\n")
        self.assertTrue(device.run(lambda: device.data(key)["status"] == "cancelled"))
        self.assertEqual(device.data(key), {
            "id": "hotel-7", "status": "cancelled", "beds": 2,
            "cancellationReason": "The hotel is full"})
        self.assertEqual(bookings.line(), "hotel-7 CHANGE_OUTCOME_APPLIED version 2")
        self.assertEqual(bookings.end(), (0, ""))

    def test_a_cancellation_of_nothing_is_told(self):
        bookings = self.start("booking_service", "nothing at all\n\n")
        self.assertRegex(bookings.line(), "^nothing CHANGE_OUTCOME_REJECTED version 0 NOT_FOUND$")
        code, said = bookings.end()
        self.assertEqual(code, 0)
        self.assertIn("a line is no cancellation", said)

    def test_without_the_role_nothing_is_done(self):
        self.write_token(self.bearer)
        for name, text in (("trip_service", "oslo 2026-12-01T08:00:00Z Oslo\n"),
                           ("booking_service", "hotel-7 full\n")):
            code, said = self.start(name, text).end()
            self.assertEqual(code, 1)
            self.assertIn("PERMISSION_DENIED", said)

    def test_without_a_token_nothing_is_done(self):
        os.remove(self.token_file)
        code, said = self.start("booking_service", "hotel-7 full\n").end()
        self.assertEqual(code, 1)
        self.assertIn("UNAUTHENTICATED", said)

    def test_flags_are_checked(self):
        for name in ("trip_service", "booking_service"):
            run = subprocess.run([harness.binary("client/examples/" + name), "--target", "x"],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True, check=False)
            self.assertEqual((run.returncode, run.stdout), (2, ""))
            self.assertIn("usage: ", run.stderr)


if __name__ == "__main__":
    harness.main()
