"""The gateway's open side, for tests that speak to it below HTTP: certificates, raw sockets."""
import select
import socket
import ssl
import subprocess

import harness

SOCKET_SECONDS = 60


def run_openssl(*arguments):
    """What an openssl command prints."""
    run = subprocess.run(("openssl",) + arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         check=False)
    if run.returncode != 0:
        raise RuntimeError("openssl %s: %s" % (arguments[0], run.stderr.decode()))
    return run.stdout


def make_certificate(path, name="localhost", names="IP:127.0.0.1,DNS:localhost", issuer=None):
    """Writes path.pem and path.key, self-signed or by the authority at issuer.pem."""
    arguments = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-days", "2", "-subj", "/O=Travel/CN=" + name, "-addext",
                 "subjectAltName=" + names, "-keyout", path + ".key", "-out", path + ".pem"]
    if issuer:
        arguments += ["-CA", issuer + ".pem", "-CAkey", issuer + ".key", "-addext",
                      "basicConstraints=critical,CA:FALSE"]
    run_openssl(*arguments)


def talk(port, data, source="127.0.0.1", end=False, secure=None):
    """Sends bytes on a new connection and gives what comes until the other side closes."""
    with socket.create_connection(("127.0.0.1", port), SOCKET_SECONDS, (source, 0)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if secure:
            client = secure.wrap_socket(client, server_hostname="localhost")
        for piece in [data] if isinstance(data, bytes) else data:
            client.sendall(piece)
        if end:
            client.shutdown(socket.SHUT_WR)
        return read_all(client)


def pump(client, data):
    """Sends more than both sides hold at once, taking what comes meanwhile until the other closes.

    On one thread: Python's TLS takes another thread's write for the end of a read now and then.
    """
    parts, left = [], memoryview(data)
    waits = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
    client.setblocking(False)
    while True:
        try:
            while left:
                left = left[client.send(left[:65536]):]
        except waits:
            pass
        try:
            while part := client.recv(65536):
                parts.append(part)
            return b"".join(parts)
        except waits:
            pass
        if not any(select.select([client], [client] if left else [], [], SOCKET_SECONDS)):
            raise TimeoutError("nothing comes, with %d bytes to send" % len(left))


def read_all(client):
    """Everything until the other side closes; a reset ends it as well."""
    parts = []
    try:
        while True:
            part = client.recv(65536)
            if not part:
                break
            parts.append(part)
    except ConnectionError:
        pass
    return b"".join(parts)


def trusting(certificate, **options):
    """A client's TLS context that trusts a certificate."""
    context = ssl.create_default_context(cafile=certificate)
    for name, value in options.items():
        setattr(context, name, value)
    return context


class Case(harness.Case):
    """A case whose gateway serves in clear and by TLS, with `edge_flags` of its own."""

    edge_flags = ()

    @classmethod
    def setUpClass(cls):
        cls.stack = harness.Stack(cls.service_flags)
        cls.server = cls.stack.path("server")
        make_certificate(cls.server)
        cls.certificate = cls.server + ".pem"
        cls.https_port = harness.free_port()
        cls.stack.gateway_flags = ["--https", "127.0.0.1:%d" % cls.https_port, "--cert",
                                   cls.certificate, "--key", cls.server + ".key"]
        cls.stack.gateway_flags += cls.edge_flags
        cls.prepare()
        cls.stack.start()

    @classmethod
    def prepare(cls):
        """Called before the programs start, with `stack` and `server` known."""

    def metric(self, name):
        """The sum of a metric's series."""
        text = self.stack.call("GET", "/metrics").body.decode()
        values = [line.rsplit(" ", 1)[1] for line in text.splitlines()
                  if line.split("{")[0].split(" ")[0] == name]
        self.assertTrue(values, name)
        return sum(float(value) for value in values)
