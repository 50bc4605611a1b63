"""Runs the real service and gateway for a test, and speaks to them as a client does.

A test module ends with `harness.main()`. Its cases derive from `harness.Case`, which keeps one
stack of service and gateway for the module and gives each case a user of its own.
"""
import atexit
import base64
import hashlib
import hmac
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ElementTree

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", ".."))
SECRET = b"a secret of the tests, 32 bytes or more"
KEY_ID = "test"
AUDIENCE = "travelsense-sync"
# Sanitizers are slow; a stack that is not up by then never will be.
START_SECONDS = 60
# Of a gateway: a service that only runs slowly is not taken for a dead one.
PATIENT_FLAGS = ["--upstream-connect-timeout-ms", "30000", "--upstream-health-timeout-ms", "30000"]
# Of a gateway: as many loops as a larger machine has, which meet in what they share.
LOOPS_FLAGS = ["--threads", "2"]
# Sockets whose names say which ports this process has been given.
_TAKEN_PORTS = []


def binary(name):
    """The path of a built program: from the runfiles of the test, else from the last build."""
    runfiles = os.path.join(os.environ.get("TEST_SRCDIR", "/nowhere"), "travelsense_sync", name)
    if os.path.exists(runfiles):
        return runfiles
    return os.path.join(os.environ.get("SYNC_BIN", os.path.join(ROOT, ".bazel", "bin")), name)


def tool(name):
    """The path of a tool that tools/setup --ci installs, or None."""
    for path in (os.path.join(ROOT, ".cache", "bin", name), shutil.which(name)):
        if path and os.path.exists(path):
            return path
    return None


def grpcurl():
    """The path of grpcurl, or None."""
    return tool("grpcurl")


def shared_records():
    """The lines of the real records where they are at hand, or None."""
    for folder in (os.environ.get("SYNC_SHARED_DATA"), os.path.join(ROOT, "..", "shared", "data")):
        path = os.path.join(folder, "reservations.jsonl") if folder else ""
        if os.path.exists(path):
            with open(path, encoding="utf-8") as lines:
                return [json.loads(line) for line in lines]
    return None


def own_records():
    """The records that the project ships for its sample."""
    with open(os.path.join(ROOT, "tools", "sample", "records.json"), encoding="utf-8") as file:
        return json.load(file)


def free_port():
    """A port that nobody listens on, below the range that clients take theirs from.

    Until this process ends, no other test is given it: two gateways would share it without a word.
    """
    for _ in range(1000):
        port = random.randint(10000, 32000)
        mark = socket.socket(socket.AF_UNIX)
        with socket.socket() as probe:
            try:
                mark.bind("\0travelsense-test-port-%d" % port)
                probe.bind(("127.0.0.1", port))
            except OSError:
                mark.close()
                continue
        _TAKEN_PORTS.append(mark)
        return port
    raise RuntimeError("no free port")


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(header, claims, secret=SECRET):
    """A JWT signed with HMAC, whatever the header says."""
    parts = [base64url(json.dumps(part).encode()) for part in (header, claims)]
    signed = ".".join(parts)
    return signed + "." + base64url(hmac.new(secret, signed.encode(), hashlib.sha256).digest())


def token(user, device=None, role=None, ttl=3600, **more):
    """A token of the user; `more` are further claims, None removes one."""
    now = int(time.time())
    claims = {"sub": user, "aud": AUDIENCE, "iat": now, "exp": now + ttl}
    if device:
        claims["device_id"] = device
    if role:
        claims["role"] = role
    claims.update(more)
    claims = {name: value for name, value in claims.items() if value is not None}
    return sign({"alg": "HS256", "typ": "JWT", "kid": KEY_ID}, claims)


class Answer:
    """What the gateway answered."""

    def __init__(self, response, body):
        self.status = response.status
        self.headers = response.headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return "%d %s" % (self.status, self.body[:600].decode("utf-8", "replace"))


class Stack:
    """A service and a gateway on ports and a data folder of their own."""

    def __init__(self, service_flags=("--no-limits",), gateway_flags=()):
        self.folder = tempfile.mkdtemp(prefix="sync-", dir="/tmp")
        self.service_flags, self.gateway_flags = list(service_flags), list(gateway_flags)
        self.http_port, self.grpc_port = free_port(), free_port()
        self.fault_file = os.path.join(self.folder, "fault")
        self.service = self.gateway = None
        with open(os.path.join(self.folder, "jwks.json"), "w", encoding="utf-8") as file:
            key = {"kty": "oct", "kid": KEY_ID, "alg": "HS256", "k": base64url(SECRET)}
            json.dump({"keys": [key]}, file)
        atexit.register(self.discard)

    def path(self, name):
        return os.path.join(self.folder, name)

    @property
    def grpc_target(self):
        """Where gRPC is spoken: through the gateway, or to a service that runs alone."""
        if self.gateway:
            return "127.0.0.1:%d" % self.grpc_port
        return "unix:" + self.path("sync.sock")

    def start_service(self):
        self.service = self._start(
            "service/sync_service",
            ["--data", self.path("data"), "--unix", self.path("sync.sock"),
             "--jwks", self.path("jwks.json"), "--store-fault-file", self.fault_file] +
            self.service_flags)

    def start_gateway(self):
        self.gateway = self._start(
            "gateway/sync_gateway",
            ["--upstream", "unix:" + self.path("sync.sock"),
             "--http", "127.0.0.1:%d" % self.http_port,
             "--grpc", "127.0.0.1:%d" % self.grpc_port] + PATIENT_FLAGS + LOOPS_FLAGS +
            self.gateway_flags)

    def start(self):
        self.start_service()
        self.start_gateway()
        return self

    def _start(self, name, flags):
        ready = self.path(os.path.basename(name) + ".ready")
        if os.path.exists(ready):
            os.remove(ready)
        with open(self.path(os.path.basename(name) + ".log"), "ab") as log:
            process = subprocess.Popen([binary(name)] + flags + ["--ready-file", ready],
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while not os.path.exists(ready):
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                process.wait()
                raise RuntimeError("%s did not start:\n%s" % (name, self.log(name)))
            time.sleep(0.01)
        return process

    def log(self, name="service/sync_service"):
        with open(self.path(os.path.basename(name) + ".log"), encoding="utf-8") as log:
            return log.read()[-8000:]

    def metrics(self):
        """The values by series, of a service that was started with --metrics."""
        with open(self.path("sync_service.ready"), encoding="utf-8") as file:
            port = dict(line.strip().split("=") for line in file)["metrics_port"]
        with urllib.request.urlopen("http://127.0.0.1:%s/metrics" % port) as page:
            lines = page.read().decode().splitlines()
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
                for line in lines if line and line[0] != "#"}

    def kill_service(self):
        self.service.send_signal(signal.SIGKILL)
        self.service.wait()
        self.service = None

    def stop(self):
        """Ends both as an operator does; returns their exit codes."""
        codes = []
        for process in (self.gateway, self.service):
            if process is None:
                continue
            process.terminate()
            try:
                codes.append(process.wait(timeout=START_SECONDS))
            except subprocess.TimeoutExpired:
                process.kill()
                codes.append(process.wait())
        self.gateway = self.service = None
        return codes

    def discard(self):
        for process in (self.gateway, self.service):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def call(self, method, path, body=None, bearer=None, headers=None, timeout=60):
        """One HTTP request. `body`: bytes as they are, anything else as JSON."""
        send = {"Authorization": "Bearer " + bearer} if bearer else {}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None:
            send["Content-Type"] = "application/json"
        send.update(headers or {})
        send = {name: value for name, value in send.items() if value is not None}
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=timeout)
        try:
            connection.request(method, path, body, send)
            response = connection.getresponse()
            return Answer(response, response.read())
        finally:
            connection.close()


class Case(unittest.TestCase):
    """A case with a stack, shared by the module, and a user of its own."""

    service_flags = ("--no-limits",)
    gateway_flags = ()

    @classmethod
    def setUpClass(cls):
        cls.stack = Stack(cls.service_flags, cls.gateway_flags).start()

    @classmethod
    def tearDownClass(cls):
        codes = cls.stack.stop()
        logs = cls.stack.log() + cls.stack.log("gateway/sync_gateway")
        cls.stack.discard()
        if codes != [0, 0]:
            raise AssertionError("exit codes %s of gateway and service:\n%s" % (codes, logs))

    def setUp(self):
        self.become(self._testMethodName[:60])

    def become(self, name):
        """From here on the case acts as a new user with new devices."""
        mark = "%08x" % random.getrandbits(32)
        self.user = "%s-%s" % (name, mark)
        self.bearer = token(self.user)
        # A device belongs to the first user that names it.
        self.phone, self.tablet = "phone-" + mark, "tablet-" + mark

    def call(self, method, path, body=None, headers=None, bearer=None):
        return self.stack.call(method, path, body, bearer or self.bearer, headers)

    def get(self, path, **parameters):
        query = urllib.parse.urlencode(parameters, doseq=True)
        return self.call("GET", path + ("?" + query if query else ""))

    def post(self, path, body, **more):
        return self.call("POST", path, body, **more)

    def expect(self, answer, status):
        """The JSON of an answer that has this status."""
        self.assertEqual(answer.status, status, answer)
        return answer.json if answer.body else None

    def expect_error(self, answer, code, status, *words):
        """The error object of a refusal with this code; its text holds the words."""
        self.assertEqual(answer.status, code, answer)
        self.assertIn("application/json", answer.headers["Content-Type"])
        error = answer.json["error"]
        self.assertEqual(error["code"], code, answer)
        self.assertEqual(error["status"], status, answer)
        self.assertGreater(len(error["message"]), 5, answer)
        text = answer.body.decode("utf-8")
        for word in words:
            self.assertIn(word, text)
        return error

    def violations(self, error):
        """The paths of the fields that an error names."""
        fields = []
        for detail in error.get("details", []):
            fields += [fault["field"] for fault in detail.get("fieldViolations", [])]
        return fields

    def upload(self, changes, device=None, **more):
        """The answer to an upload that is accepted."""
        body = dict({"changes": changes, "deviceId": device or self.phone}, **more)
        return self.expect(self.post("/api/offline/changes", body), 202)

    def outcomes(self, changes, device=None, **more):
        return [result["outcome"] for result in self.upload(changes, device, **more)["results"]]

    def bundle(self, **parameters):
        """The answer to a pull that succeeds."""
        return self.expect(self.get("/api/offline/bundle", **parameters), 200)

    def records(self, **parameters):
        """The live records of the user by type and id."""
        return {(record["dataType"], record["dataId"]): record["data"]
                for record in self.bundle(**parameters)["records"] if not record.get("deleted")}

    def assert_nothing_stored(self):
        self.assertEqual(self.bundle()["records"], [])

    def configure(self, **settings):
        return self.expect(self.call("PATCH", "/api/offline/config", settings), 200)

    def finished(self, sync_id, restarted=False):
        """The operation once it has ended. When the service has restarted, the gateway may answer
        503 until each of its loops has noticed and connected again."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            answer = self.get("/api/offline/sync/" + sync_id)
            if restarted and answer.status == 503 and time.monotonic() < deadline:
                time.sleep(0.02)
                continue
            operation = self.expect(answer, 200)
            if operation["status"] in ("completed", "failed", "cancelled"):
                return operation
            self.assertLess(time.monotonic(), deadline, operation)
            time.sleep(0.02)


def change(number, kind="create", data=None, data_type="booking", **more):
    """A change; `number` makes its id, and the record's when the data have none."""
    made = {"id": "c%s" % number, "type": kind, "dataType": data_type,
            "timestamp": "2026-05-01T10:00:00Z"}
    if data is None and kind != "delete":
        data = {"title": "record %s" % number}
    if data is not None:
        made["data"] = data
    if "id" not in (data or {}):
        made["dataId"] = "r%s" % number
    made.update(more)
    return {name: value for name, value in made.items() if value is not None}


class _Result(unittest.TextTestResult):
    """Keeps each case for the XML."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.cases = []

    def _note(self, test, tag=None, text=None):
        self.cases.append((test.id(), tag, text))

    def addSuccess(self, test):
        super().addSuccess(test)
        self._note(test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._note(test, "failure", self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self._note(test, "error", self.errors[-1][1])

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._note(test, "skipped", reason)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._note(subtest, "failure", self._exc_info_to_string(err, test))

    def write(self, path):
        suite = ElementTree.Element("testsuite", name="integration", tests=str(len(self.cases)))
        for name, tag, text in self.cases:
            case = ElementTree.SubElement(suite, "testcase", name=name)
            if tag:
                ElementTree.SubElement(case, tag).text = text
        root = ElementTree.Element("testsuites")
        root.append(suite)
        ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def main():
    """Runs the module's tests; writes the XML that Bazel keeps."""
    sys.dont_write_bytecode = True
    runner = unittest.TextTestRunner(resultclass=_Result, verbosity=2)
    program = unittest.main(module="__main__", testRunner=runner, exit=False)
    if os.environ.get("XML_OUTPUT_FILE"):
        program.result.write(os.environ["XML_OUTPUT_FILE"])
    sys.exit(0 if program.result.wasSuccessful() else 1)
