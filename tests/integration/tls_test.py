#!/usr/bin/env python3
"""TLS at the edge: sessions resumed, certificates renewed, clients known by theirs, bounds kept."""
import os
import shutil
import signal
import socket
import ssl
import time

import edge
import harness

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
LIFETIME_S = 2


class TlsCase(edge.Case):
    def connect(self, context, session=None):
        plain = socket.create_connection(("127.0.0.1", self.https_port), 60)
        return context.wrap_socket(plain, server_hostname="localhost", session=session)

    def ask(self, client):
        """The status of a request on the connection."""
        client.sendall(GET)
        answer = client.recv(65536)
        while b"\r\n\r\n{" not in answer:
            answer += client.recv(65536)
        return int(answer.split()[1])

    def wait_for(self, condition):
        deadline = time.monotonic() + harness.START_SECONDS
        while not condition():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)

    def serial(self):
        """The number of the certificate that a new client is shown."""
        with self.connect(edge.trusting(self.certificate)) as client:
            return client.getpeercert()["serialNumber"]


class Resumption(TlsCase):
    edge_flags = ("--ticket-lifetime-s", str(LIFETIME_S))

    def resumed(self, context):
        """A session that a second connection went on with."""
        while True:
            begun = time.monotonic()
            with self.connect(context) as client:
                self.assertFalse(client.session_reused)
                self.assertEqual(self.ask(client), 200)
                session = client.session
            self.assertTrue(session.has_ticket)
            with self.connect(context, session) as client:
                if not client.session_reused and time.monotonic() - begun >= LIFETIME_S:
                    continue  # a slow machine: its time was over
                self.assertTrue(client.session_reused)
                self.assertEqual(self.ask(client), 200)
            return session

    def test_sessions_are_resumed_until_their_time_is_over(self):
        for version in VERSIONS:
            with self.subTest(version=version):
                context = edge.trusting(self.certificate, minimum_version=version,
                                        maximum_version=version)
                session = self.resumed(context)
                time.sleep(2 * LIFETIME_S + 0.1)  # the key is gone by then
                with self.connect(context, session) as client:
                    self.assertFalse(client.session_reused)
                    self.assertEqual(self.ask(client), 200)


class Renewal(TlsCase):
    def renew(self):
        """Puts a new certificate of the same names in the old one's place."""
        new = self.stack.path("new")
        edge.make_certificate(new)
        os.replace(new + ".key", self.server + ".key")
        os.replace(new + ".pem", self.certificate)

    def test_a_new_certificate_is_taken_by_sighup_without_dropping_connections(self):
        with self.connect(edge.trusting(self.certificate)) as open_before:
            self.assertEqual(self.ask(open_before), 200)
            before = open_before.getpeercert()["serialNumber"]
            self.renew()
            self.stack.gateway.send_signal(signal.SIGHUP)
            self.wait_for(lambda: self.shown() != before)
            self.assertEqual(self.ask(open_before), 200)
            self.assertEqual(self.serial(), self.shown())

    def shown(self):
        """The serial number, whoever issued the certificate."""
        text = ssl.get_server_certificate(("127.0.0.1", self.https_port))
        path = self.stack.path("shown.pem")
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        return edge.run_openssl("x509", "-in", path, "-noout", "-serial").decode()[7:-1]

    def test_changed_files_are_noticed(self):
        before = self.shown()
        self.renew()
        self.wait_for(lambda: self.shown() != before)
        self.assertGreater(self.metric("gateway_tls_certificate_not_after_seconds"), time.time())

    def test_a_bad_certificate_leaves_the_old_one_in_force(self):
        before = self.shown()
        failures = self.metric("gateway_tls_reload_failures_total")
        kept = self.stack.path("kept.pem")
        shutil.copy(self.certificate, kept)
        with open(self.certificate, "w", encoding="ascii") as file:
            file.write("-----BEGIN CERTIFICATE-----\nnonsense\n")
        self.stack.gateway.send_signal(signal.SIGHUP)
        self.wait_for(lambda: self.metric("gateway_tls_reload_failures_total") > failures)
        self.assertIn("the certificate stays as it was", self.stack.log("gateway/sync_gateway"))
        self.assertEqual(self.shown(), before)
        os.replace(kept, self.certificate)
        self.wait_for(lambda: not self.stack.gateway.poll() and self.serial() == before)


class ClientCase(TlsCase):
    @classmethod
    def prepare(cls):
        cls.authority = cls.stack.path("authority")
        edge.make_certificate(cls.authority, "Travel CA")
        cls.client = cls.stack.path("client")
        edge.make_certificate(cls.client, 'agent "7"', "URI:spiffe://travel/agent/7,DNS:agent.test",
                              issuer=cls.authority)
        edge.make_certificate(cls.stack.path("stranger"), "stranger", issuer=None)
        cls.stack.gateway_flags += ["--client-ca", cls.authority + ".pem"]

    def context(self, name=None, **options):
        context = edge.trusting(self.certificate, **options)
        if name:
            path = self.stack.path(name)
            context.load_cert_chain(path + ".pem", path + ".key")
        return context

    def refused(self, context):
        """Whether a client gets no answer for its certificate, or for none."""
        try:
            with self.connect(context) as client:
                return self.ask(client) != 200
        except (ssl.SSLError, ConnectionError, IndexError):
            return True


class Required(ClientCase):
    def test_only_clients_with_a_certificate_of_the_authority_are_served(self):
        for version in VERSIONS:
            limits = {"minimum_version": version, "maximum_version": version}
            self.assertTrue(self.refused(self.context(**limits)))
            self.assertTrue(self.refused(self.context("stranger", **limits)))
            self.assertFalse(self.refused(self.context("client", **limits)))

    def test_a_ticket_is_no_way_around_a_new_authority(self):
        context = self.context("client")
        with self.connect(context) as client:
            self.assertEqual(self.ask(client), 200)
            session = client.session
        loads = self.metric("gateway_tls_reloads_total")
        self.stack.gateway.send_signal(signal.SIGHUP)
        self.wait_for(lambda: self.metric("gateway_tls_reloads_total") > loads)
        with self.connect(context, session) as client:
            self.assertFalse(client.session_reused)
            self.assertEqual(self.ask(client), 200)


class HandshakeTime(TlsCase):
    edge_flags = ("--handshake-timeout-ms", "400")

    def test_a_handshake_that_does_not_end_is_ended(self):
        begun = time.monotonic()
        with socket.create_connection(("127.0.0.1", self.https_port), 60) as silent:
            silent.sendall(b"\x16\x03\x01")
            self.assertEqual(edge.read_all(silent), b"")
        self.assertGreater(time.monotonic() - begun, 0.39)


class HandshakeCount(TlsCase):
    edge_flags = ("--handshake-timeout-ms", "60000", "--max-handshakes", "8")

    def test_half_open_handshakes_give_way_to_newer_ones(self):
        dropped = self.metric("gateway_tls_handshakes_dropped_total")
        silent = [socket.create_connection(("127.0.0.1", self.https_port), 60) for _ in range(40)]
        try:
            with self.connect(edge.trusting(self.certificate)) as client:
                self.assertEqual(self.ask(client), 200)
            # The other loop may have some of the silent ones yet to accept.
            self.wait_for(lambda: self.metric("gateway_tls_handshakes_dropped_total") - dropped
                          >= 40 - 8)
        finally:
            for client in silent:
                client.close()


if __name__ == "__main__":
    harness.main()
