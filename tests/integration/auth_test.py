#!/usr/bin/env python3
"""Who may call: tokens good and bad, on every endpoint."""
import json
import time

import harness
from harness import Case, base64url, change, sign, token

UNKNOWN = "0192f3c0-0000-7000-8000-000000000000"
SYNC = {"dataTypes": ["trips"], "syncType": "full", "deviceId": "phone"}
ENDPOINTS = (
    ("GET", "/api/offline/config", None),
    ("PATCH", "/api/offline/config", {"syncInterval": 20}),
    ("POST", "/api/offline/sync", SYNC),
    ("GET", "/api/offline/sync", None),
    ("GET", "/api/offline/sync/" + UNKNOWN, None),
    ("POST", "/api/offline/sync/%s:cancel" % UNKNOWN, {}),
    ("GET", "/api/offline/bundle", None),
    ("GET", "/api/offline/bundle/" + UNKNOWN, None),
    ("POST", "/api/offline/changes", {"changes": [change(1)], "deviceId": "phone"}),
    ("GET", "/api/offline/conflicts", None),
    ("GET", "/api/offline/conflicts/" + UNKNOWN, None),
    ("POST", "/api/offline/conflicts/resolve", {"conflictId": UNKNOWN, "resolution": "client"}),
    ("GET", "/api/offline/devices", None),
    ("POST", "/api/offline/devices", {"deviceId": "phone"}),
    ("DELETE", "/api/offline/devices/phone", None),
)


class Auth(Case):
    def claims(self):
        return {"sub": self.user, "aud": harness.AUDIENCE, "exp": int(time.time()) + 3600}

    def refused(self, authorization, method="GET", path="/api/offline/config", body=None):
        answer = self.stack.call(method, path, body, headers={"Authorization": authorization})
        error = self.expect_error(answer, 401, "UNAUTHENTICATED")
        self.assertIn("Bearer", answer.headers["WWW-Authenticate"])
        if authorization and len(authorization) > 40:
            self.assertNotIn(authorization[-30:], answer.body.decode(), "a token must not leak")
        return error

    def test_without_a_token_nothing_else_is_looked_at(self):
        for path in ("/api/offline/bundle?pageSize=none", "/api/offline/config?unknown=1"):
            answer = self.stack.call("GET", path)
            error = self.expect_error(answer, 401, "UNAUTHENTICATED")
            self.assertIn("token", error["message"])
            self.assertIn("WWW-Authenticate", answer.headers)

    def test_every_endpoint_needs_a_token(self):
        for method, path, body in ENDPOINTS:
            with self.subTest(method=method, path=path):
                accept = {"Accept": "application/vnd.travelsense.bundle"} if UNKNOWN in path else {}
                answer = self.stack.call(method, path, body, headers=accept)
                self.expect_error(answer, 401, "UNAUTHENTICATED")

    def test_what_is_no_bearer_token_is_refused(self):
        good = self.bearer
        for bad in (None, "", "Bearer", "Bearer ", good, "Basic dXNlcjpwYXNz", "Bearer nonsense",
                    "Bearer a.b", "Bearer a.b.c", "Bearer ....", "Bearer " + good + ".x",
                    "Bearer " + "x" * 9000):
            with self.subTest(bad=(bad or "")[:30]):
                answer = self.stack.call("GET", "/api/offline/config",
                                         headers={"Authorization": bad})
                self.assertIn(answer.status, (401, 431), answer)

    def test_the_scheme_is_read_in_any_case(self):
        for scheme in ("bearer", "BEARER", "Bearer"):
            answer = self.stack.call("GET", "/api/offline/config",
                                     headers={"Authorization": scheme + " " + self.bearer})
            self.expect(answer, 200)

    def test_expired_and_early_tokens_are_refused(self):
        self.refused("Bearer " + token(self.user, ttl=-3600))
        self.refused("Bearer " + token(self.user, nbf=int(time.time()) + 3600))
        self.refused("Bearer " + token(self.user, exp=None))
        self.refused("Bearer " + token(self.user, exp="tomorrow"))

    def test_a_token_for_another_audience_is_refused(self):
        self.refused("Bearer " + token(self.user, aud="somebody-else"))
        self.refused("Bearer " + token(self.user, aud=None))
        answer = self.stack.call("GET", "/api/offline/config",
                                 bearer=token(self.user, aud=["other", harness.AUDIENCE]))
        self.expect(answer, 200)

    def test_a_token_without_a_user_is_refused(self):
        for user in (None, "", 7, "u" * 129):
            with self.subTest(user=user):
                self.refused("Bearer " + token("x", sub=user))

    def test_algorithm_none_is_refused(self):
        claims = self.claims()
        for name in ("none", "None", "NONE", ""):
            for kid in (harness.KEY_ID, None):
                header = {"alg": name, "typ": "JWT"}
                if kid:
                    header["kid"] = kid
                unsigned = ".".join(base64url(json.dumps(part).encode())
                                    for part in (header, claims))
                self.refused("Bearer " + unsigned + ".")
                self.refused("Bearer " + sign(header, claims))

    def test_another_algorithm_than_the_keys_is_refused(self):
        claims = self.claims()
        for name in ("HS384", "HS512", "RS256", "ES256", "EdDSA", "hs256"):
            self.refused("Bearer " + sign({"alg": name, "kid": harness.KEY_ID}, claims))

    def test_forged_tokens_are_refused(self):
        claims = self.claims()
        header = {"alg": "HS256", "kid": harness.KEY_ID}
        self.refused("Bearer " + sign(header, claims, b"another secret, also long enough......"))
        self.refused("Bearer " + sign(dict(header, kid="unknown"), claims))
        head, body, mark = self.bearer.split(".")
        other = base64url(json.dumps(dict(claims, sub="somebody")).encode())
        self.refused("Bearer " + ".".join((head, other, mark)))
        self.refused("Bearer " + ".".join((head, body, mark[:-4] + "AAAA")))
        self.refused("Bearer " + ".".join((head, body, "")))

    def test_a_token_that_was_good_does_not_vouch_for_its_twin(self):
        self.expect(self.get("/api/offline/config"), 200)
        twin = self.bearer[:-2] + ("AA" if self.bearer[-2:] != "AA" else "BB")
        self.refused("Bearer " + twin)

    def test_nothing_is_stored_without_a_token(self):
        body = {"changes": [change(1)], "deviceId": self.phone}
        self.refused(None, "POST", "/api/offline/changes", body)
        self.refused("Bearer " + token(self.user, ttl=-3600), "POST", "/api/offline/changes", body)
        self.assert_nothing_stored()
        self.assertEqual(self.expect(self.get("/api/offline/devices"), 200)["devices"], [])

    def test_a_token_stops_working_when_it_expires(self):
        short = token(self.user, ttl=2)
        self.expect(self.stack.call("GET", "/api/offline/config", bearer=short), 200)
        deadline = time.monotonic() + 90
        while self.stack.call("GET", "/api/offline/config", bearer=short).status == 200:
            self.assertLess(time.monotonic(), deadline, "an expired token is still taken")
            time.sleep(0.5)


if __name__ == "__main__":
    harness.main()
