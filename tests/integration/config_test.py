#!/usr/bin/env python3
"""GET and PATCH /api/offline/config."""
import json

import harness
from harness import Case

PATH = "/api/offline/config"
DEFAULTS = {
    "autoSync": True,
    "syncInterval": 15,
    "dataTypes": ["trips", "profiles", "preferences", "bookings"],
    "bandwidthLimit": 0,
    "compressData": True,
    "conflictResolution": "merge",
}


class Config(Case):
    def test_a_new_user_has_the_documented_defaults(self):
        config = self.expect(self.get(PATH), 200)
        self.assertEqual(config["userId"], self.user)
        for name, value in DEFAULTS.items():
            if name == "dataTypes":
                self.assertEqual(sorted(config[name]), sorted(value))
            else:
                self.assertEqual(config[name], value, name)

    def test_each_setting_can_be_changed_alone(self):
        changes = {"autoSync": False, "syncInterval": 60, "dataTypes": ["trips"],
                   "bandwidthLimit": 250, "compressData": False, "conflictResolution": "server"}
        expected = dict(DEFAULTS)
        for name, value in changes.items():
            expected[name] = value
            config = self.configure(**{name: value})
            self.assertEqual(config[name], value)
        config = self.expect(self.get(PATH), 200)
        for name, value in expected.items():
            self.assertEqual(config[name], value, name)

    def test_every_strategy_is_taken(self):
        for strategy in ("server", "client", "merge", "manual"):
            self.assertEqual(self.configure(conflictResolution=strategy)["conflictResolution"],
                             strategy)

    def test_both_forms_of_a_data_type_are_taken_and_the_plural_is_answered(self):
        config = self.configure(dataTypes=["trip", "profiles", "preference", "BOOKINGS".lower()])
        self.assertEqual(sorted(config["dataTypes"]),
                         ["bookings", "preferences", "profiles", "trips"])

    def test_times_of_storing_are_told(self):
        first = self.configure(syncInterval=20)
        self.assertRegex(first["createdAt"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
        second = self.configure(syncInterval=21)
        self.assertEqual(second["createdAt"], first["createdAt"])
        self.assertGreaterEqual(second["updatedAt"], first["updatedAt"])

    def test_an_update_mask_chooses_the_fields(self):
        answer = self.call("PATCH", PATH + "?updateMask=syncInterval",
                           {"syncInterval": 33, "autoSync": False})
        config = self.expect(answer, 200)
        self.assertEqual((config["syncInterval"], config["autoSync"]), (33, True))

    def test_bad_settings_are_refused_and_change_nothing(self):
        for name, value in (("syncInterval", 0), ("syncInterval", 10081), ("syncInterval", "soon"),
                            ("bandwidthLimit", -1), ("conflictResolution", "coin"),
                            ("dataTypes", ["planes"]), ("dataTypes", ["trips"] * 101),
                            ("autoSync", "perhaps"), ("syncInterval", 1e300),
                            ("syncInterval", 1.5)):
            with self.subTest(name=name, value=value):
                answer = self.call("PATCH", PATH, {name: value})
                error = self.expect_error(answer, 400, "INVALID_ARGUMENT", name)
                # The path is that of the body, which knows no "config".
                self.assertEqual([path.split("[")[0] for path in self.violations(error)], [name])
                self.assertNotIn("config.", error["message"])
        config = self.expect(self.get(PATH), 200)
        self.assertEqual(config["syncInterval"], 15)
        self.assertEqual(config["conflictResolution"], "merge")

    def test_a_patch_without_a_body_is_refused(self):
        error = self.expect_error(self.call("PATCH", PATH), 400, "INVALID_ARGUMENT", "body")
        self.assertNotIn("config", json.dumps(error))

    def test_what_only_the_server_sets_stays(self):
        self.call("PATCH", PATH, {"userId": "somebody", "syncInterval": 16})
        self.assertEqual(self.expect(self.get(PATH), 200)["userId"], self.user)

    def test_users_have_settings_of_their_own(self):
        self.configure(syncInterval=99)
        other = self.stack.call("GET", PATH, bearer=harness.token(self.user + "-other"))
        self.assertEqual(self.expect(other, 200)["syncInterval"], 15)


if __name__ == "__main__":
    harness.main()
