"""Counts what gRPC answers weigh on a connection: frames, compressed headers and messages.

The bench uses it as well. One thread.
"""
import struct
import time

from raw_http2 import DATA, END_STREAM, HEADERS, RawClient, frame

SERVICE = "travelsense.sync.v1.SyncService/"
FULL, DELTA = 1, 2  # of SyncType
FRAME_HEAD = 9
ANSWER_SECONDS = 60
# How long what belongs to an answer may come after its end.
REST_SECONDS = 0.2


def varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def number_field(number, value):
    return varint(number << 3) + varint(value)


def bytes_field(number, value):
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def framed(message):
    """A message behind gRPC's five bytes."""
    return b"\0" + struct.pack(">I", len(message)) + message


def pull_of(cursor, sync_type=DELTA):
    """GetBundleRequest."""
    return bytes_field(4, cursor) + number_field(8, sync_type)


def hello_of(device, cursor):
    """SyncRequest: a hello for patches, live."""
    return bytes_field(1, bytes_field(1, device) + bytes_field(2, cursor) +
                       number_field(4, DELTA) + number_field(7, 1))


class Weight:
    """The bytes from the server for one answer: of its stream, and for the connection's upkeep."""

    def __init__(self, frames, stream):
        sizes = [(kind, number, FRAME_HEAD + len(payload)) for kind, number, payload in frames]
        self.headers = sum(size for kind, _, size in sizes if kind == HEADERS)
        self.data = sum(size for kind, number, size in sizes if kind == DATA and number == stream)
        self.total = sum(size for _, _, size in sizes)
        self.upkeep = self.total - self.headers - self.data
        self.message = b"".join(payload for kind, number, payload in frames
                                if kind == DATA and number == stream)[5:]

    def __repr__(self):
        return "%d bytes (headers %d, data %d, upkeep %d)" % (
            self.total, self.headers, self.data, self.upkeep)


class Scale(RawClient):
    """A connection that keeps every frame from the server."""

    def __init__(self, where, bearer):
        self.frames = []
        self.bearer = bearer
        super().__init__(where)

    def _take_frame(self, kind, flags, stream, payload):
        self.frames.append((kind, stream, payload))
        super()._take_frame(kind, flags, stream, payload)

    def unary(self, method, message):
        """The weight of one call's answer; of the first on a connection, with its greeting."""
        before = len(self.frames) if self.next_stream > 1 else 0
        stream = self.call(SERVICE + method, self.bearer)
        self.send(frame(DATA, END_STREAM, stream, framed(message)))
        deadline = time.monotonic() + ANSWER_SECONDS
        while not self.has_ended(stream):
            assert time.monotonic() < deadline, "no answer"
            self.take(0.05)
        self.rest()
        return Weight(self.frames[before:], stream)

    def rest(self):
        """Takes what comes until nothing does."""
        while self.take(REST_SECONDS):
            pass

    def live(self, device, cursor, change):
        """Opens a Sync stream at the cursor and lets it come to rest; then the weight of what the
        call of `change` brings it."""
        stream = self.call(SERVICE + "Sync", self.bearer)
        self.send(frame(DATA, 0, stream, framed(hello_of(device, cursor))))
        self.wait_for_data(stream, 0)
        before = len(self.frames)
        change()
        self.wait_for_data(stream, before)
        weight = Weight(self.frames[before:], stream)
        self.end(stream)
        return weight

    def wait_for_data(self, stream, begin):
        deadline = time.monotonic() + ANSWER_SECONDS
        while not any(kind == DATA and number == stream
                      for kind, number, _ in self.frames[begin:]):
            assert time.monotonic() < deadline, "nothing came"
            self.take(0.05)
        self.rest()
