"""The real service and gateway on a data folder of their own, and the load put on them."""
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.append(os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "tests",
                             "integration"))
from harness import free_port  # noqa: E402

START_SECONDS = 60
SOCKET_PATH_MAX = 100
TOKEN_SECONDS = 86400
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    """Something without which there is nothing to measure, said in one line."""


def run_tool(command, timeout=600):
    """The standard output of a program that must succeed."""
    run = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    if run.returncode != 0:
        words = (run.stderr or run.stdout).strip().splitlines() or ["no word of why"]
        raise BenchError("%s: %s" % (os.path.basename(command[0]), words[-1]))
    return run.stdout


def counter_of(page, name):
    """The sum of a counter's series on a page of metrics."""
    series = [line.rpartition(" ") for line in page.splitlines()]
    values = [float(value) for key, _, value in series if key.split("{")[0] == name]
    if not values:
        raise BenchError("there is no counter %s" % name)
    return sum(values)


class User:
    """A traveller with a device and its token."""

    def __init__(self, name, device, token):
        self.name, self.device, self.token = name, device, token


class Stack:
    """A service and a gateway, as `with Stack(…) as stack`; all of it is removed at the end."""

    def __init__(self, binaries, base):
        self.binaries = binaries
        self.folder = tempfile.mkdtemp(prefix="bench-", dir=base)
        self.socket_folder = None
        self.port, self.grpc_port, self.metrics_port = free_port(), free_port(), free_port()
        self.service = self.gateway = self.unix = None
        self.users_made = 0

    def path(self, name):
        return os.path.join(self.folder, name)

    def binary(self, name):
        return os.path.join(self.binaries, name)

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in (self.gateway, self.service):
            if process and process.poll() is None:
                process.terminate()
                try:
                    process.wait(START_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.socket_folder:
            shutil.rmtree(self.socket_folder, ignore_errors=True)

    def start(self):
        run_tool([self.binary("tools/token_tool"), "--init", "--data", self.folder])
        unix = self.path("sync.sock")
        if len(unix) > SOCKET_PATH_MAX:
            self.socket_folder = tempfile.mkdtemp(prefix="bench-")
            unix = os.path.join(self.socket_folder, "sync.sock")
        self.unix = unix
        self.service = self.launch("service/sync_service", [
            "--data", self.path("store"), "--unix", unix,
            "--grpc", "127.0.0.1:%d" % self.grpc_port,
            "--metrics", "127.0.0.1:%d" % self.metrics_port,
            "--jwks", self.path("keys/jwks.json"), "--no-limits"])
        self.gateway = self.launch("gateway/sync_gateway", [
            "--upstream", "unix:" + unix, "--http", "127.0.0.1:%d" % self.port])

    def launch(self, name, flags):
        ready, log_path = self.path(os.path.basename(name) + ".ready"), self.log_path(name)
        with open(log_path, "ab") as log:
            process = subprocess.Popen([self.binary(name)] + flags + ["--ready-file", ready],
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while not os.path.exists(ready):
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                process.wait()
                with open(log_path, encoding="utf-8", errors="replace") as log:
                    words = log.read().strip().splitlines() or ["no word of why"]
                raise BenchError("%s did not start: %s" % (os.path.basename(name), words[-1]))
            time.sleep(0.02)
        return process

    def log_path(self, name):
        return self.path(os.path.basename(name) + ".log")

    def processes(self):
        return {"service": self.service.pid, "gateway": self.gateway.pid}

    def token(self, user, device):
        return run_tool([self.binary("tools/token_tool"), user, "--device", device,
                         "--data", self.folder, "--ttl", str(TOKEN_SECONDS)]).strip()

    def users(self, count):
        """New users; the device of the i-th of one call is "phone<call>-i", as load names it."""
        self.users_made += 1
        prefix = "phone%d" % self.users_made
        made = []
        for number in range(count):
            name, device = "bench-%d-%d" % (self.users_made, number), "%s-%d" % (prefix, number)
            made.append(User(name, device, self.token(name, device)))
        return made

    def second_devices(self, users):
        """The same users on another device each."""
        return [User(user.name, "tablet-" + user.device,
                     self.token(user.name, "tablet-" + user.device)) for user in users]

    def call(self, method, path, user, body=None, headers=None):
        """One request that must succeed: its body as bytes, and the body's coding."""
        send = {"Authorization": "Bearer " + user.token, "Accept-Encoding": "identity"}
        if body is not None:
            send["Content-Type"] = "application/json"
            body = json.dumps(body).encode()
        send.update(headers or {})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path, body, send)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        if answer.status not in (200, 202):
            raise BenchError("%s %s: %d %s" % (method, path.split("?")[0], answer.status,
                                               data[:300].decode("utf-8", "replace")))
        return data, answer.getheader("Content-Encoding", "identity")

    def counter(self, name):
        """A counter of the service as it stands."""
        connection = http.client.HTTPConnection("127.0.0.1", self.metrics_port, timeout=120)
        try:
            connection.request("GET", "/metrics")
            return counter_of(connection.getresponse().read().decode(), name)
        finally:
            connection.close()

    def upload(self, user, changes):
        """Uploads changes that must all take effect."""
        answer = json.loads(self.call("POST", "/api/offline/changes", user,
                                      {"changes": changes, "deviceId": user.device})[0])
        for result in answer["results"]:
            if result["outcome"] != "applied":
                raise BenchError("a change was not applied: %s" % json.dumps(result)[:300])
        return answer

    def bundle(self, user, query=""):
        """A bundle as JSON; `query` begins with "?"."""
        return json.loads(self.call("GET", "/api/offline/bundle" + query, user)[0])

    def load(self, mode, users, options, targets=None):
        """One run of the load generator; adds "service_us" and "gateway_us", CPU per item."""
        self.write_lines("tokens", [user.token for user in users])
        command = [self.binary("tests/bench/load"), "--mode", mode, "--port", str(self.port),
                   "--tokens", self.path("tokens"), "--clients", str(len(users)),
                   "--device", users[0].device.rsplit("-", 1)[0],
                   "--pids", ",".join(map(str, self.processes().values()))]
        if targets:
            self.write_lines("targets", targets)
            command += ["--targets", self.path("targets")]
        for name, value in options.items():
            command += ["--" + name.replace("_", "-"), str(value)]
        result = json.loads(run_tool(command))
        items = max(result["items"], 1)
        for name, use in zip(self.processes(), result["processes"]):
            result[name + "_us"] = use["cpu_seconds"] * 1e6 / items
            result[name + "_rss"] = (use["rss_before_bytes"], use["rss_after_bytes"])
        result["load_us"] = result["load_cpu_seconds"] * 1e6 / items
        return result

    def write_lines(self, name, lines):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in lines))

    def fill(self, users, records):
        """Uploads so many records for each user, of the load's own making."""
        batch = min(records, 1000)
        self.load("upload", users, {"changes": batch, "each": records // batch})

    def cpu_us(self):
        """CPU so far of each process, user and system."""
        found = {}
        for name, pid in self.processes().items():
            with open("/proc/%d/stat" % pid, encoding="utf-8") as file:
                after_name = file.read().rpartition(")")[2].split()
            found[name] = (int(after_name[11]) + int(after_name[12])) * 1e6 / CLOCK_TICKS
        return found

    def memory(self):
        """Resident MiB now and at most, of each process."""
        found = {}
        for name, pid in self.processes().items():
            with open("/proc/%d/status" % pid, encoding="utf-8") as lines:
                sizes = dict(line.split(":", 1) for line in lines if line.startswith("Vm"))
            found[name] = tuple(int(sizes[key].split()[0]) / 1024 for key in ("VmRSS", "VmHWM"))
        return found
