#!/usr/bin/env python3
"""The generated stubs of SyncService and RecordService, every shape of call, against the real
service: through the gateway and over its Unix socket."""
import os
import subprocess
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..",
                             "integration"))
import harness  # noqa: E402 pylint: disable=C0413

CALLS = harness.binary("tests/client/generated/service_calls")
SECONDS_MAX = 60


class Generated(harness.Case):
    def run_case(self, name):
        service = harness.token("trips", role="service")
        for target in ("127.0.0.1:%d" % self.stack.grpc_port,
                       "unix:" + self.stack.path("sync.sock")):
            self.become(name[:40])
            run = subprocess.run([CALLS, target, name, self.user, self.bearer, service],
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                 timeout=SECONDS_MAX, check=False)
            self.assertEqual(run.returncode, 0, "%s\n%s" % (target, run.stdout))


for case in subprocess.run([CALLS, "list"], stdout=subprocess.PIPE, text=True,
                           check=True).stdout.split():
    setattr(Generated, "test_" + case, lambda self, name=case: self.run_case(name))

if __name__ == "__main__":
    harness.main()
