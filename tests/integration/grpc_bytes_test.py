#!/usr/bin/env python3
"""What a pull weighs over gRPC: the bounds of docs/performance.md, held for every build."""
import container
import grpc_bytes
import harness
from harness import Case, change

DELTA_BYTES_AT_MOST = 150


def records_of(message):
    """The records of a GetBundleResponse, as lists of (field, value)."""
    return [dict(container.fields(value)) for number, value in container.fields(message)
            if number == 3]


class GrpcBytes(Case):
    def addresses(self):
        return {"service": self.stack.path("sync.sock"), "gateway": self.stack.grpc_port}

    def edited(self, data, patch, count=200):
        """The cursor before one edit among so many records, the first of which has the data."""
        self.upload([change(0, data=data, dataId="r-000")] +
                    [change(number, dataId="r-%03d" % number) for number in range(1, count)])
        cursor = self.bundle()["cursor"]
        self.upload([change("edit", "update", patch, dataId="r-000")])
        return cursor

    def test_a_delta_after_one_edit_keeps_its_bound_on_a_warm_connection(self):
        cursor = self.edited({"airplaneSeat": "3C", "text": "x" * 900}, {"airplaneSeat": "99Z"})
        for name, where in self.addresses().items():
            scale = grpc_bytes.Scale(where, self.bearer)
            print("%s, cold: %s" % (name, scale.unary("GetBundle", grpc_bytes.pull_of(cursor))))
            for _ in range(3):
                warm = scale.unary("GetBundle", grpc_bytes.pull_of(cursor))
                print("%s: %s" % (name, warm))
                self.assertLessEqual(warm.total, DELTA_BYTES_AT_MOST, (name, warm))
                self.assertIn(b"99Z", warm.message)
                self.assertIn(6, records_of(warm.message)[0], "a patch")
            scale.close()

    def test_a_live_record_of_one_edit_keeps_it_too(self):
        self.edited({"airplaneSeat": "3C", "text": "x" * 900}, {"airplaneSeat": "1A"})
        for seat, (name, where) in zip(("98Z", "99Z"), self.addresses().items()):
            edit = [change(seat, "update", {"airplaneSeat": seat}, dataId="r-000")]
            scale = grpc_bytes.Scale(where, self.bearer)
            live = scale.live(self.tablet, self.bundle()["cursor"],
                              lambda edit=edit: self.upload(edit))
            scale.close()
            print("%s: %s" % (name, live))
            self.assertIn(seat.encode(), live.message)
            self.assertLessEqual(live.total, DELTA_BYTES_AT_MOST, (name, live))

    def test_what_the_basic_view_leaves_out_the_full_one_has(self):
        cursor = self.edited({"airplaneSeat": "3C", "text": "x" * 900}, {"airplaneSeat": "99Z"}, 2)
        scale = grpc_bytes.Scale(self.stack.grpc_port, self.bearer)
        basic = scale.unary("GetBundle", grpc_bytes.pull_of(cursor)).message
        full = scale.unary("GetBundle", grpc_bytes.pull_of(cursor) +
                           grpc_bytes.number_field(9, 2)).message
        whole = scale.unary("GetBundle", b"").message
        scale.close()
        self.assertEqual({number for number, _ in container.fields(basic)}, {3, 4, 6})
        self.assertEqual({number for number, _ in container.fields(full)},
                         {1, 2, 3, 4, 6, 7, 8, 9, 11})
        self.assertEqual({number for number, _ in container.fields(whole)},
                         {1, 2, 3, 4, 5, 6, 7, 8, 9, 11})
        self.assertEqual(dict(container.fields(basic))[6], dict(container.fields(whole))[6])

    def test_the_basic_view_can_be_asked_for_by_http(self):
        cursor = self.edited({"airplaneSeat": "3C", "text": "x" * 900}, {"airplaneSeat": "99Z"}, 2)
        full = self.bundle(cursor=cursor, syncType="delta")
        basic = self.bundle(cursor=cursor, syncType="delta", view="basic")
        self.assertTrue(full["bundleId"])
        self.assertNotIn("bundleId", basic)
        for name in ("records", "cursor", "checksum"):
            self.assertEqual(basic[name], full[name])
        self.expect_error(self.get("/api/offline/bundle", view="some"), 400, "INVALID_ARGUMENT",
                          "view")


if __name__ == "__main__":
    harness.main()
