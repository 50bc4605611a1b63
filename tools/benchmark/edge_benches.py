"""Benches of the gateway's edge: what a connection costs that only waits."""
import resource
import socket
import ssl
import subprocess
import time

from benchmark.report import Report, spread
from benchmark.stack import BenchError, free_port, Stack

CONNECTIONS = 10000
CLEAR_AT_MOST, TLS_AT_MOST = 10 << 10, 25 << 10
# Long enough for the gateway to give back what only work needs.
REST_SECONDS = 12
DESCRIPTORS_SPARE = 500
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
HTTP1 = b"GET /healthz HTTP/1.1\r\nHost: bench\r\n\r\n"


def http2_request():
    """The preface, SETTINGS and a GET without any compression (RFC 7541, section 6.2.2)."""
    block = b""
    for name, value in ((b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/healthz"),
                        (b":authority", b"bench")):
        block += b"\0%c%s%c%s" % (len(name), name, len(value), value)
    return PREFACE + b"\0\0%c\1\5\0\0\0\1" % len(block) + block


class Edge(Stack):
    """A gateway alone, in clear and by TLS."""

    def start(self):
        self.tls_port = free_port()
        certificate, key = self.path("cert.pem"), self.path("key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=bench",
                        "-keyout", key, "-out", certificate], check=True, capture_output=True)
        self.gateway = self.launch("gateway/sync_gateway", [
            "--upstream", "unix:" + self.path("none.sock"), "--http", "127.0.0.1:%d" % self.port,
            "--https", "127.0.0.1:%d" % self.tls_port, "--cert", certificate, "--key", key,
            "--max-connections", str(2 * CONNECTIONS), "--idle-timeout-ms", "3600000"])

    def resident(self):
        """Bytes of the gateway."""
        with open("/proc/%d/status" % self.gateway.pid, encoding="ascii") as file:
            for line in file:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) << 10
        raise BenchError("the gateway's memory cannot be read")

    def connect(self, protocol, secure):
        """A connection that has had one answer."""
        client = socket.create_connection(("127.0.0.1", self.tls_port if secure else self.port), 60)
        if secure:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.set_alpn_protocols([protocol])
            client = context.wrap_socket(client)
        client.sendall(HTTP1 if protocol == "http/1.1" else http2_request())
        answer = b""
        while b'"status"' not in answer:
            part = client.recv(65536)
            if not part:
                raise BenchError("the gateway closed a connection")
            answer += part
        return client


def idle_bytes(options, protocol, secure, count):
    """Resident bytes of the gateway for each of so many idle connections."""
    with Edge(options.binaries, options.data) as edge:
        clients = [edge.connect(protocol, secure) for _ in range(100)]
        time.sleep(1)
        before = edge.resident()
        clients += [edge.connect(protocol, secure) for _ in range(count)]
        time.sleep(REST_SECONDS)
        size = (edge.resident() - before) / count
        for client in clients:
            client.close()
    return size


def connections(options):
    """What an idle connection costs, by protocol."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(CONNECTIONS, hard - DESCRIPTORS_SPARE)
    report = Report("connections", "Idle connections")
    rows = report.table("%d connections after one request each, %d rounds, bytes of the gateway a "
                        "connection" % (count, options.rounds),
                        ["", "median", "lowest", "highest"])
    for protocol, secure, most in (("http/1.1", False, CLEAR_AT_MOST), ("h2", False, CLEAR_AT_MOST),
                                   ("http/1.1", True, TLS_AT_MOST), ("h2", True, TLS_AT_MOST)):
        name = protocol + (" over TLS" if secure else " in clear")
        sizes = [idle_bytes(options, protocol, secure, count) for _ in range(options.rounds)]
        rows.append([name] + spread(sizes))
        report.check("an idle connection, " + name, spread(sizes)[0], "bytes", at_most=most)
    return report
