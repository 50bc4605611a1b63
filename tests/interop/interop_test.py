#!/usr/bin/env python3
"""The generated stubs of gRPC's own TestService against the server of another implementation:
grpc-go's, which tools/setup --ci installs; without it the cases are skipped. Directly, and passed
through the gateway."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.append(os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "integration"))
import harness  # noqa: E402 pylint: disable=C0413
import interop_server  # noqa: E402 pylint: disable=C0413

CLIENT = harness.binary("tests/interop/interop_client")
GATEWAY = harness.binary("gateway/sync_gateway")

STANDARD = (
    "empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong",
    "empty_stream", "cancel_after_begin", "cancel_after_first_response",
    "timeout_on_sleeping_server", "status_code_and_message", "special_status_message",
    "unimplemented_method", "unimplemented_service", "custom_metadata")


@interop_server.REQUIRED
class Cleartext(unittest.TestCase):
    server_flags = ()
    client_flags = ()

    @classmethod
    def setUpClass(cls):
        cls.server, cls.port = interop_server.start(cls.server_flags)

    @classmethod
    def tearDownClass(cls):
        cls.server.kill()
        cls.server.wait()

    def run_case(self, name):
        run = subprocess.run([CLIENT, "127.0.0.1:%d" % self.port, name] + list(self.client_flags),
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             timeout=interop_server.SECONDS_MAX, check=False)
        self.assertEqual(run.returncode, 0, run.stdout)

    def test_every_standard_case_is_there(self):
        self.assertLessEqual(set(STANDARD), set(CASES))


def make_certificate(folder):
    """The paths of a certificate for interop.test and its key, in the folder."""
    certificate, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                    "/CN=interop.test", "-addext", "subjectAltName=DNS:interop.test",
                    "-keyout", key, "-out", certificate], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return certificate, key


@unittest.skipUnless(shutil.which("openssl"), "openssl makes the certificate")
class Tls(Cleartext):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="interop-", dir="/tmp")
        certificate, key = make_certificate(cls.folder)
        cls.server_flags = ("-use_tls", "-tls_cert_file", certificate, "-tls_key_file", key)
        cls.client_flags = (certificate, "interop.test")
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        shutil.rmtree(cls.folder, ignore_errors=True)

    def test_a_server_by_another_name_is_refused(self):
        run = subprocess.run([CLIENT, "127.0.0.1:%d" % self.port, "empty_unary",
                              self.client_flags[0], "other.test"], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, timeout=interop_server.SECONDS_MAX,
                             check=False)
        self.assertEqual(run.returncode, 1, run.stdout)


class ThroughGateway(Cleartext):
    """Passed through in clear; the service is not ours, nor in the gateway's descriptor set."""

    option, more_flags = "--http", ()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        upstream, cls.port = cls.port, harness.free_port()
        cls.gateway = subprocess.Popen(
            [GATEWAY, "--upstream", "127.0.0.1:%d" % upstream, "--http", "",
             cls.option, "127.0.0.1:%d" % cls.port] + list(cls.more_flags),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        interop_server.wait_for(cls.gateway, cls.port)

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.gateway.terminate()
        if cls.gateway.wait(interop_server.SECONDS_MAX) != 0:
            raise AssertionError("the gateway ended with %d" % cls.gateway.returncode)


@unittest.skipUnless(shutil.which("openssl"), "openssl makes the certificate")
class ThroughGatewayByTls(ThroughGateway):
    option = "--https"

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="interop-", dir="/tmp")
        certificate, key = make_certificate(cls.folder)
        cls.client_flags = (certificate, "interop.test")
        cls.more_flags = ("--cert", certificate, "--key", key)
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        shutil.rmtree(cls.folder, ignore_errors=True)


CASES = subprocess.run([CLIENT, "list"], stdout=subprocess.PIPE, text=True,
                       check=True).stdout.split()
for case in CASES:
    setattr(Cleartext, "test_" + case, lambda self, name=case: self.run_case(name))

if __name__ == "__main__":
    harness.main()
