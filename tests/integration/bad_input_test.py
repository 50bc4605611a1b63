#!/usr/bin/env python3
"""Input of every bad kind: its code, a sentence that helps, and nothing stored."""
import json
import socket

import harness
from harness import Case, change

PATH = "/api/offline/changes"
LARGE = 64 << 20


class BadInput(Case):
    def tearDown(self):
        self.assert_nothing_stored()

    def body(self, data_text):
        """An upload whose data are this JSON text, as it stands."""
        one = dict(change(1), data="@")
        text = json.dumps({"changes": [one], "deviceId": self.phone})
        return text.replace('"@"', data_text).encode("utf-8", "surrogatepass")

    def refused(self, body, code=400, status="INVALID_ARGUMENT", *words, **headers):
        answer = self.call("POST", PATH, body, headers=headers)
        return self.expect_error(answer, code, status, *words)

    def test_broken_json(self):
        whole = self.body('{"a":1}')
        for bad in (b"", b"{", b"}", b"null", b"[]", b'"text"', b"7", b"true", b"{}{}", b"{'a':1}",
                    whole[:-1], whole[:-20], whole + b"x", b"\xef\xbb\xbf" + whole[:-1],
                    whole.replace(b":", b"=", 1), whole.replace(b",", b",,", 1),
                    whole.replace(b"[", b"[,", 1), b"// no\n" + whole, b"\x00" + whole,
                    b"nulL", b'{"changes":}', b'{"changes":[}'):
            with self.subTest(bad=bad[:30]):
                self.refused(bad)

    def test_broken_json_inside_the_data(self):
        for bad in ("{,}", '{"a":}', '{"a":1,}', '{"a" 1}', '{"a":01}', '{"a":+1}', '{"a":.5}',
                    '{"a":1.}', '{"a":1e}', '{"a":0x10}', '{"a":NaN}', '{"a":Infinity}',
                    '{"a":-}', '{"a":"\\x"}', '{"a":"\\u12"}', '{"a":"\n"}', '{"a":\'b\'}',
                    "{a:1}", '{"a":tru}', '{"a":undefined}'):
            with self.subTest(bad=bad):
                self.refused(self.body(bad))

    def test_wrong_types(self):
        whole = {"changes": [change(1)], "deviceId": self.phone}
        for name, values in (("changes", ({}, "x", 7, True)), ("deviceId", ({}, [], 7, True)),
                             ("sentAt", (7, "noon", {})), ("validateOnly", ("yes", 1, {}))):
            for value in values:
                with self.subTest(name=name, value=value):
                    self.refused(dict(whole, **{name: value}), 400, "INVALID_ARGUMENT", name)
        for name, values in (("id", (7, {}, [], "")), ("type", (7.5, {}, [], "")),
                             ("dataType", ({}, [], "")), ("data", ([], "x", 7, True)),
                             ("timestamp", (7, {}, "", "2026-02-30T00:00:00Z", "10:00")),
                             ("dataId", (7, {}, [])), ("baseVersion", ("x", {}, 1.5, -1))):
            for value in values:
                with self.subTest(name=name, value=value):
                    body = dict(whole, changes=[dict(change(1), **{name: value})])
                    self.refused(body, 400, "INVALID_ARGUMENT", "changes[0]." + name)

    def test_unknown_fields_are_named(self):
        self.refused({"changes": [change(1)], "deviceId": self.phone, "colour": 1}, 400,
                     "INVALID_ARGUMENT", "colour")
        self.refused({"changes": [change(1, colour=1)], "deviceId": self.phone}, 400,
                     "INVALID_ARGUMENT", "colour")

    def test_a_field_given_twice(self):
        body = self.body("{}").replace(b'"deviceId"', b'"deviceId":"x","deviceId"', 1)
        self.refused(body)
        self.refused(self.body('{"a":1,"a":2}'))

    def test_depth_101(self):
        for opening, closing in (('{"a":', "}"), ("[", "]")):
            deep = opening * 101 + "1" + closing * 101
            if opening == "[":
                deep = '{"a":%s}' % deep
            with self.subTest(opening=opening):
                self.refused(self.body(deep))
        self.refused(b"[" * 100000)
        self.refused(b'{"a":' * 100000)

    def test_invalid_utf8(self):
        for bad in (b"\xff", b"\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80",
                    b"\xe2\x82"):
            with self.subTest(bad=bad):
                self.refused(self.body('{"a":"@"}').replace(b"@", bad))
                self.refused(self.body('{"@":1}').replace(b"@", bad))

    def test_lone_surrogates(self):
        for bad in ('"\\ud800"', '"\\udc00"', '"\\ud800\\ud800"', '"\\ud800x"'):
            with self.subTest(bad=bad):
                self.refused(self.body('{"a":%s}' % bad))

    def test_huge_numbers(self):
        for bad in ("9007199254740993", "-9007199254740993", "1e309", "-1e309", "1" * 400,
                    "123456789012345678901234567890"):
            with self.subTest(bad=bad[:30]):
                self.refused(self.body('{"a":%s}' % bad))
        whole = {"changes": [change(1, baseVersion="9223372036854775808")],
                 "deviceId": self.phone}
        self.refused(whole, 400, "INVALID_ARGUMENT", "baseVersion")

    def test_a_body_of_64_mib(self):
        for sent in (True, False):
            with self.subTest(sent=sent):
                self.large_body(sent)

    def large_body(self, sent):
        """A body too large is refused by its length, whether or not it comes."""
        with socket.create_connection(("127.0.0.1", self.stack.http_port), timeout=60) as client:
            head = ("POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
                    "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n")
            client.sendall((head % (PATH, self.bearer, LARGE)).encode())
            try:
                for _ in range(LARGE >> 16 if sent else 0):
                    client.sendall(b" " * (1 << 16))
            except OSError:
                pass  # The answer came before the end, which is right.
            try:
                answer = client.recv(65536)
            except ConnectionResetError:
                self.assertTrue(sent)
                return
            self.assertTrue(answer.startswith(b"HTTP/1.1 413"), answer[:300])

    def test_a_large_body_in_chunks(self):
        with socket.create_connection(("127.0.0.1", self.stack.http_port), timeout=60) as client:
            head = ("POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
                    "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
            client.sendall((head % (PATH, self.bearer)).encode())
            try:
                for _ in range(LARGE >> 16):
                    client.sendall(b"10000\r\n" + b" " * (1 << 16) + b"\r\n")
                client.sendall(b"0\r\n\r\n")
                answer = client.recv(65536)
            except OSError:
                return
            self.assertTrue(answer.startswith(b"HTTP/1.1 413"), answer[:300])

    def test_a_wrong_content_type(self):
        for kind in ("text/plain", "application/xml", "application/x-www-form-urlencoded",
                     "multipart/form-data; boundary=x"):
            with self.subTest(kind=kind):
                answer = self.call("POST", PATH, self.body("{}"), headers={"Content-Type": kind})
                self.assertIn(answer.status, (400, 415), answer)
                self.assertTrue(answer.json["error"]["message"])

    def test_an_unknown_path(self):
        for path in ("/nothing", "/api", "/api/offline", "/api/offline/", "/api/offline/changes/",
                     "/api/offline/change", "/api/offline/config/x", "/API/offline/config",
                     "/api/offline//config", "/etc/passwd", "/api/offline/../config"):
            with self.subTest(path=path):
                answer = self.call("GET", path)
                self.assertIn(answer.status, (404, 400, 405), answer)
                self.assertTrue(answer.json["error"]["message"])

    def test_a_wrong_method(self):
        for method, path, allowed in (
                ("PUT", PATH, "POST, OPTIONS"), ("GET", PATH, "POST, OPTIONS"),
                ("DELETE", "/api/offline/config", "GET, HEAD, PATCH, OPTIONS"),
                ("POST", "/api/offline/bundle", "GET, HEAD, OPTIONS"),
                ("PATCH", "/api/offline/sync", "GET, HEAD, POST, OPTIONS")):
            with self.subTest(method=method, path=path):
                answer = self.call(method, path)
                self.assertEqual(answer.status, 405, answer)
                self.assertEqual(answer.headers["Allow"], allowed)
                self.assertIn(allowed, answer.json["error"]["message"])

    def test_bytes_that_are_no_http(self):
        for bad in (b"\r\n\r\n\r\n", b"GET\r\n\r\n", b"\x00" * 100 + b"\r\n\r\n",
                    b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nHost x\r\n\r\n",
                    b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
                    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
                    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
                    b"Transfer-Encoding: chunked\r\n\r\n",
                    b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
                    b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
                    b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100000 + b"\r\n\r\n"):
            with self.subTest(bad=bad[:40]):
                with socket.create_connection(("127.0.0.1", self.stack.http_port)) as client:
                    client.settimeout(30)
                    try:
                        client.sendall(bad)
                        client.shutdown(socket.SHUT_WR)
                        answer = client.recv(65536)
                    except ConnectionError:
                        continue
                    if answer:
                        self.assertRegex(answer[:12], rb"^HTTP/1\.1 (4\d\d|505)")

    def test_another_users_ids(self):
        other = harness.token("other-" + self.user)
        made = self.stack.call("POST", "/api/offline/sync",
                               {"dataTypes": ["trips"], "syncType": "full",
                                "deviceId": self.tablet}, bearer=other)
        sync_id = self.expect(made, 202)["syncId"]
        self.expect_error(self.get("/api/offline/sync/" + sync_id), 403, "PERMISSION_DENIED")
        self.refused({"changes": [change(1)], "deviceId": self.tablet}, 403, "PERMISSION_DENIED")

    def test_a_nul_is_refused_by_the_field_it_stands_in(self):
        for body, field in (({"changes": [change(1, id="a\0b")], "deviceId": self.phone},
                             "changes[0].id"),
                            ({"changes": [change(1, dataId="a\0")], "deviceId": self.phone},
                             "changes[0].dataId"),
                            ({"changes": [change(1)], "deviceId": "a\0b"}, "deviceId")):
            with self.subTest(field=field):
                error = self.refused(body, 400, "INVALID_ARGUMENT", "NUL")
                self.assertEqual(self.violations(error), [field])
                self.assertTrue(error["message"].startswith(field + ": "), error)

    def test_a_body_that_is_no_object_is_told_in_whole_sentences(self):
        for body in (b"null", b"[]", b"1"):
            error = self.expect_error(self.post(PATH, body), 400, "INVALID_ARGUMENT", "object")
            self.assertNotIn(" in :", error["message"])
            self.assertFalse(error["message"].startswith(":"), error)

    def test_odd_ids_in_the_path(self):
        for bad in ("%00", "%ff", "..%2f..", "x" * 5000, "%F0%9F%9B%AB", "'; drop table"):
            with self.subTest(bad=bad[:20]):
                answer = self.call("GET", "/api/offline/sync/" + bad.replace(" ", "%20"))
                self.assertIn(answer.status, (400, 404), answer)


class Lengths(Case):
    def test_they_are_bytes_as_the_document_says(self):
        schemas = self.stack.call("GET", "/openapi.json").json["components"]["schemas"]
        bounds = [schema["properties"]["dataId"] for name, schema in schemas.items()
                  if name.split(".")[-1].startswith("Change") and "dataId" in schema["properties"]]
        most = {(bound["maxLength"], bound["x-maxBytes"]) for bound in bounds
                if "maxLength" in bound}
        self.assertEqual(most, {(256, 256)})
        self.assertEqual(self.outcomes([change(1, data={}, dataId="\u00e9" * 128)]), ["applied"])
        for data_id in ("\u00e9" * 129, "e" * 257):
            answer = self.post("/api/offline/changes", {
                "changes": [change(2, data={}, dataId=data_id)], "deviceId": self.phone})
            error = self.expect_error(answer, 400, "INVALID_ARGUMENT", "256 bytes")
            self.assertEqual(self.violations(error), ["changes[0].dataId"])


if __name__ == "__main__":
    harness.main()
