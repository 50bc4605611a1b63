#!/usr/bin/env python3
"""Devices: registration, binding and revocation."""
import time

import harness
from harness import Case, change

PATH = "/api/offline/devices"


class Devices(Case):
    def setUp(self):
        super().setUp()
        self.device = self.phone

    def devices(self):
        return self.expect(self.get(PATH), 200)["devices"]

    def register(self, device, **more):
        return self.post(PATH, dict(deviceId=device, **more))

    def test_a_device_is_registered_by_its_first_use(self):
        self.assertEqual(self.devices(), [])
        self.upload([change(1)], device=self.device)
        (device,) = self.devices()
        self.assertEqual(device["deviceId"], self.device)
        self.assertIs(device["revoked"], False)
        for name in ("registeredAt", "lastSeenAt"):
            self.assertTrue(device[name], name)

    def test_a_device_can_be_registered_and_renamed(self):
        device = self.expect(self.register(self.device, name="Ann's phone", platform="ios"), 200)
        self.assertEqual((device["name"], device["platform"]), ("Ann's phone", "ios"))
        self.expect(self.register(self.device, name="Das Telefon – neu"), 200)
        self.assertEqual(self.devices()[0]["name"], "Das Telefon – neu")

    def test_a_pull_acknowledges_the_cursor_it_starts_from(self):
        self.upload([change(1)], device=self.device)
        cursor = self.bundle(deviceId=self.device)["cursor"]
        self.bundle(deviceId=self.device, cursor=cursor)
        # It is stored beside the answer, not before it.
        deadline = time.monotonic() + harness.START_SECONDS
        while self.devices()[0].get("acknowledgedCursor") != cursor:
            self.assertLess(time.monotonic(), deadline, "the cursor is not acknowledged")
            time.sleep(0.01)

    def test_another_users_device_is_403(self):
        self.upload([change(1)], device=self.device)
        self.bearer = harness.token("other-" + self.user)
        body = {"changes": [change(1)], "deviceId": self.device}
        self.expect_error(self.post("/api/offline/changes", body), 403, "PERMISSION_DENIED")
        self.expect_error(self.get("/api/offline/bundle", deviceId=self.device), 403,
                          "PERMISSION_DENIED")
        self.expect_error(self.register(self.device), 403, "PERMISSION_DENIED")
        self.expect_error(self.call("DELETE", PATH + "/" + self.device), 403, "PERMISSION_DENIED")
        self.assert_nothing_stored()

    def test_a_token_for_one_device_serves_no_other(self):
        self.bearer = harness.token(self.user, device=self.device)
        self.upload([change(1)], device=self.device)
        body = {"changes": [change(2)], "deviceId": self.device + "-b"}
        self.expect_error(self.post("/api/offline/changes", body), 403, "PERMISSION_DENIED")
        self.assertEqual(len(self.records()), 1)

    def test_a_revoked_device_is_refused(self):
        self.upload([change(1)], device=self.device)
        answer = self.expect(self.call("DELETE", PATH + "/" + self.device), 200)
        self.assertIs(answer["revoked"], True)
        body = {"changes": [change(2)], "deviceId": self.device}
        self.expect_error(self.post("/api/offline/changes", body), 403, "PERMISSION_DENIED")
        self.assertEqual(len(self.records()), 1)
        self.assertIs(self.devices()[0]["revoked"], True)

    def test_a_token_bound_to_anothers_device_is_refused(self):
        self.expect(self.register(self.device), 200)
        bound = harness.token("other-" + self.user, device=self.device)
        for path in ("config", "sync", "conflicts", "devices", "bundle"):
            answer = self.call("GET", "/api/offline/" + path, bearer=bound)
            self.expect_error(answer, 403, "PERMISSION_DENIED", "DEVICE_OF_ANOTHER_USER")

    def test_an_unknown_device_cannot_be_revoked(self):
        self.expect_error(self.call("DELETE", PATH + "/nobodys-" + self.device), 404, "NOT_FOUND")

    def test_malformed_ids_and_long_names_are_refused(self):
        for device in ("", "a b", "ä", "x" * 129, "a/b"):
            with self.subTest(device=device):
                self.expect_error(self.register(device), 400, "INVALID_ARGUMENT", "deviceId")
        self.expect_error(self.register(self.device, name="x" * 257), 400, "INVALID_ARGUMENT",
                          "name")
        self.assertEqual(self.devices(), [])

    def test_devices_are_listed_by_pages(self):
        for number in range(5):
            self.expect(self.register("%s-%d" % (self.device, number)), 200)
        first = self.expect(self.get(PATH, pageSize=3), 200)
        rest = self.expect(self.get(PATH, pageSize=3, pageToken=first["nextPageToken"]), 200)
        names = [device["deviceId"] for device in first["devices"] + rest["devices"]]
        self.assertEqual(names, ["%s-%d" % (self.device, number) for number in range(5)])


if __name__ == "__main__":
    harness.main()
