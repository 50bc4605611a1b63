#!/usr/bin/env python3
"""429: rate limits and quotas, as a client sees them."""
import harness
from harness import Case, change

CALLS_MAX = 50


class Limits(Case):
    # So small that a slow machine meets them too.
    service_flags = ("--bundles-burst", "5", "--bundles-per-second", "1", "--syncs-burst", "5",
                     "--syncs-per-second", "1", "--changes-burst", "3000", "--changes-per-second",
                     "10")

    def refused(self, call):
        """Calls until it is refused for coming too often."""
        for _ in range(CALLS_MAX):
            answer = call()
            if answer.status == 429:
                self.expect_error(answer, 429, "RESOURCE_EXHAUSTED")
                self.assertGreaterEqual(int(answer.headers["Retry-After"]), 1)
                names = {name.lower() for name in answer.headers}
                self.assertTrue({"ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"}
                                <= names or "ratelimit" in names, names)
                return answer
            self.assertIn(answer.status, (200, 202), answer)
        return self.fail("%d calls and no limit" % CALLS_MAX)

    def test_too_many_bundles_are_refused(self):
        self.refused(lambda: self.get("/api/offline/bundle"))

    def test_too_many_sync_requests_are_refused(self):
        body = {"dataTypes": ["trips"], "syncType": "full", "deviceId": self.phone}
        self.refused(lambda: self.post("/api/offline/sync", body))

    def test_too_many_changes_are_refused_and_not_stored(self):
        count = [0]

        def upload():
            first, count[0] = count[0], count[0] + 1000
            batch = [change(number, data={"n": number}) for number in range(first, count[0])]
            return self.post("/api/offline/changes", {"changes": batch, "deviceId": self.phone})

        self.refused(upload)
        pulled = self.get("/api/offline/bundle")
        self.assertEqual(len(self.expect(pulled, 200)["records"]), count[0] - 1000)

    def test_one_users_haste_is_not_anothers(self):
        self.refused(lambda: self.get("/api/offline/bundle"))
        self.become("calm")
        self.expect(self.get("/api/offline/bundle"), 200)


if __name__ == "__main__":
    harness.main()
