"""grpc-go's interop server, as tools/setup --ci installs it."""
import os
import socket
import subprocess
import time
import unittest

import harness

SERVER = os.path.join(harness.ROOT, ".cache", "bin", "grpc-interop-server")
SECONDS_MAX = 60
REQUIRED = unittest.skipUnless(os.path.exists(SERVER), "grpc-go's interop server is not in "
                               ".cache/bin (tools/setup --ci)")


def wait_for(process, port):
    """Returns once the process accepts connections; kills it and raises where it does not."""
    deadline = time.monotonic() + SECONDS_MAX
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                process.wait()
                raise
            time.sleep(0.01)


def start(flags=()):
    """Starts it on a free port; gives process and port once it accepts connections."""
    port = harness.free_port()
    server = subprocess.Popen([SERVER, "-port", str(port)] + list(flags),
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    wait_for(server, port)
    return server, port
