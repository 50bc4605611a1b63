#!/usr/bin/env python3
"""gRPC itself, as an engineer with grpcurl meets it: no proto file, only a token."""
import base64
import json
import subprocess
import unittest

import container
import harness
from harness import Case, change

SYNC = "travelsense.sync.v1.SyncService"
RECORDS = "travelsense.sync.v1.RecordService"
GRPCURL = harness.grpcurl()


@unittest.skipUnless(GRPCURL, "grpcurl is not installed (tools/setup --ci installs it)")
class Grpc(Case):
    def grpcurl(self, *arguments, bearer=None, data=None):
        """The process of one grpcurl run."""
        command = [GRPCURL, "-plaintext"]
        if bearer:
            command += ["-H", "authorization: Bearer " + bearer]
        if data is not None:
            command += ["-d", "@"]  # an argument has a bound
        command += ["127.0.0.1:%d" % self.stack.grpc_port] + list(arguments)
        return subprocess.run(command, input=None if data is None else json.dumps(data),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=120, check=False)

    def good(self, *arguments, **more):
        run = self.grpcurl(*arguments, **more)
        self.assertEqual(run.returncode, 0, run.stderr)
        return run.stdout

    def rpc(self, method, data, bearer=None):
        return json.loads(self.good(method, bearer=bearer or self.bearer, data=data))

    def refused(self, code, method, data, bearer=None):
        run = self.grpcurl(method, bearer=bearer or self.bearer, data=data)
        self.assertNotEqual(run.returncode, 0)
        self.assertIn("Code: " + code, run.stderr)

    def service(self):
        return harness.token("booking-service", role="service")

    def test_list_names_the_services(self):
        services = self.good("list").split()
        for name in (SYNC, RECORDS, "grpc.health.v1.Health",
                     "grpc.reflection.v1.ServerReflection",
                     "grpc.reflection.v1alpha.ServerReflection"):
            self.assertIn(name, services)
        self.assertIn(SYNC + ".UploadChanges", self.good("list", SYNC).split())

    def test_describe_shows_services_methods_and_messages(self):
        self.assertIn("rpc GetSyncConfig", self.good("describe", SYNC))
        self.assertIn("UploadChangesRequest", self.good("describe", SYNC + ".UploadChanges"))
        self.assertIn("string id = 1", self.good("describe", "travelsense.sync.v1.Change"))

    def test_health_is_serving(self):
        answer = json.loads(self.good("grpc.health.v1.Health/Check"))
        self.assertEqual(answer["status"], "SERVING")

    def test_a_call_with_a_token_works_and_without_one_is_refused(self):
        answer = self.rpc(SYNC + "/GetSyncConfig", {})
        self.assertEqual(answer["config"]["userId"], self.user)
        run = self.grpcurl(SYNC + "/GetSyncConfig")
        self.assertIn("Code: Unauthenticated", run.stderr)

    def test_what_is_not_there_yet_says_so(self):
        self.refused("Unimplemented", RECORDS + "/EraseUser", {}, bearer=self.service())

    def test_faults_beyond_what_trailers_hold_are_counted(self):
        batch = {"changes": [{"id": str(n), "type": "CHANGE_TYPE_CREATE", "data": {},
                              "dataType": "DATA_TYPE_TRIP", "baseVersion": "-1",
                              "timestamp": "2026-05-01T10:00:00Z"} for n in range(1000)],
                 "deviceId": self.phone}
        run = self.grpcurl(SYNC + "/UploadChanges", bearer=self.bearer, data=batch)
        self.assertIn("Code: InvalidArgument", run.stderr)
        self.assertIn("1000 faults", run.stderr)
        named = run.stderr.count("].baseVersion\"")
        self.assertGreater(named, 20)
        self.assertIn('"omitted": "%d"' % (1000 - named), run.stderr)

    def test_changes_by_grpc_are_pulled_by_rest(self):
        upload = {"changes": [{"id": "1", "type": "CHANGE_TYPE_CREATE",
                               "dataType": "DATA_TYPE_TRIP", "data": {"name": "Łódź"},
                               "dataId": "t", "timestamp": "2026-05-01T10:00:00Z"}],
                  "deviceId": self.phone}
        answer = self.rpc(SYNC + "/UploadChanges", upload)
        self.assertEqual(answer["results"][0]["outcome"], "CHANGE_OUTCOME_APPLIED")
        self.assertEqual(self.records(), {("trip", "t"): {"name": "Łódź"}})
        pulled = self.rpc(SYNC + "/GetBundle", {})
        self.assertEqual(pulled["records"][0]["data"], {"name": "Łódź"})

    def test_a_container_by_grpc_is_the_same_as_by_rest(self):
        self.upload([change(number) for number in range(10)])
        out = self.good(SYNC + "/DownloadBundle", bearer=self.bearer, data={})
        decoder, body, at = json.JSONDecoder(), b"", 0
        while out[at:].strip():
            at += len(out[at:]) - len(out[at:].lstrip())
            part, at = decoder.raw_decode(out, at)
            body += base64.b64decode(part.get("data", ""))
        _, entries = container.read(body)
        self.assertEqual(len(entries), 10)

    def test_services_write_records_that_reach_devices(self):
        put = {"userId": self.user, "records": [
            {"dataType": "DATA_TYPE_BOOKING", "dataId": "b1", "data": {"seat": "3C"}},
            {"dataType": "DATA_TYPE_TRIP", "dataId": "t1", "data": {"name": "Rome"}}]}
        answer = self.rpc(RECORDS + "/PutRecords", put, self.service())
        self.assertEqual([record["version"] for record in answer["records"]], ["1", "2"])
        self.assertEqual(self.records(), {("booking", "b1"): {"seat": "3C"},
                                          ("trip", "t1"): {"name": "Rome"}})

    def test_services_read_what_devices_wrote(self):
        self.upload([change(1, data={"seat": "4A"}), change(2, data_type="trip")])
        keys = [{"dataType": "DATA_TYPE_BOOKING", "dataId": "r1"},
                {"dataType": "DATA_TYPE_BOOKING", "dataId": "missing"}]
        found = self.rpc(RECORDS + "/GetRecords", {"userId": self.user, "keys": keys},
                         self.service())["records"]
        self.assertEqual([record["data"] for record in found], [{"seat": "4A"}])
        listed = self.rpc(RECORDS + "/ListRecords", {"userId": self.user}, self.service())
        self.assertEqual(len(listed["records"]), 2)

    def test_a_put_with_the_wrong_base_stores_nothing(self):
        record = {"dataType": "DATA_TYPE_TRIP", "dataId": "t", "data": {"a": 1}}
        self.rpc(RECORDS + "/PutRecords", {"userId": self.user, "records": [record]},
                 self.service())
        wrong = [dict(record, dataId="u"), dict(record, data={"a": 2}, baseVersion="7")]
        run = self.grpcurl(RECORDS + "/PutRecords", bearer=self.service(),
                           data={"userId": self.user, "records": wrong})
        self.assertNotEqual(run.returncode, 0)
        self.assertEqual(self.records(), {("trip", "t"): {"a": 1}})

    def test_travellers_may_not_use_the_record_service(self):
        self.refused("PermissionDenied", RECORDS + "/ListRecords", {"userId": self.user})

    def test_bad_requests_have_the_codes_of_rest(self):
        self.refused("InvalidArgument", SYNC + "/UploadChanges", {"deviceId": self.phone})
        self.refused("InvalidArgument", SYNC + "/GetSyncOperation", {"syncId": "x"})
        self.refused("NotFound", SYNC + "/GetSyncOperation",
                     {"syncId": "0192f3c0-0000-7000-8000-000000000000"})


if __name__ == "__main__":
    harness.main()
