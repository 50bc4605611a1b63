"""An HTTP/2 client that sends what no library would: calls whose messages stop in the middle.

It keeps to the service's flow control, and to nothing else. One thread; not for answers of any
size.
"""
import select
import socket
import struct
import threading

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_HEAD = 9
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
CONTINUATION = 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
REFUSED_STREAM = 7
INITIAL_WINDOW_SETTING, WINDOW_DEFAULT, WINDOW_MAX = 4, 65535, (1 << 31) - 1
FRAME_BYTES = 16384


def frame(kind, flags, stream, payload=b""):
    """An HTTP/2 frame."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(
        ">I", stream) + payload


def literal(name, value, indexed=False):
    """A header field without Huffman coding (RFC 7541, 6.2); indexed: in the table from then on."""
    field = b"\x40" if indexed else b"\0"
    for text in (name.encode(), value.encode()):
        size = len(text)
        if size < 127:
            field += bytes([size])
        else:
            field, size = field + b"\x7f", size - 127
            while size >= 128:
                field, size = field + bytes([size & 127 | 128]), size >> 7
            field += bytes([size])
        field += text
    return field


def hello(device):
    """A Sync session's first message: SyncRequest { hello { device_id } }."""
    inner = b"\x0a" + bytes([len(device)]) + device.encode()
    message = b"\x0a" + bytes([len(inner)]) + inner
    return b"\0" + struct.pack(">I", len(message)) + message


class RawClient:
    """A connection to a Unix socket, or to a port of this machine."""

    def __init__(self, where):
        if isinstance(where, int):
            self.socket = socket.create_connection(("127.0.0.1", where))
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(where)
        self.windows = {0: WINDOW_DEFAULT}
        self.initial, self.next_stream, self.input = WINDOW_DEFAULT, 1, b""
        self.ended, self.closed = {}, False  # by stream: its last block of headers, compressed
        self.data, self.goaways = {}, []  # by stream: what came; last stream and code of each
        self.answers_pings = True
        self.send(PREFACE + frame(SETTINGS, 0, 0))

    def close(self):
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            self.closed = True

    def widen(self):
        """Lets the service send as much as it has, whether it is read or not."""
        self.send(frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SETTING, WINDOW_MAX)) +
                  frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", WINDOW_MAX - WINDOW_DEFAULT)))

    def has_ended(self, stream):
        """Whether the service has ended the call, or the connection."""
        return self.closed or stream in self.ended

    def call(self, method, bearer, content_type="application/grpc", more=()):
        """Begins a call, with more headers; returns its stream."""
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        fields = [(":method", "POST"), (":scheme", "http"), (":path", "/" + method),
                  (":authority", "raw"), ("content-type", content_type), ("te", "trailers"),
                  ("authorization", "Bearer " + bearer)]
        self.windows[stream] = self.initial
        self.send_headers(stream, fields + list(more))
        return stream

    def send_headers(self, stream, fields, end=False):
        """Sends headers."""
        self.send_block(stream, b"".join(literal(*field) for field in fields), end)

    def send_block(self, stream, block, end=False):
        """Sends a block of headers, in as many frames as it takes."""
        kind, flags = HEADERS, END_STREAM if end else 0
        while len(block) > FRAME_BYTES:
            self.send(frame(kind, flags, stream, block[:FRAME_BYTES]))
            kind, flags, block = CONTINUATION, 0, block[FRAME_BYTES:]
        self.send(frame(kind, flags | END_HEADERS, stream, block))

    def end(self, stream):
        """Ends the request."""
        self.send(frame(DATA, END_STREAM, stream))

    def reset(self, stream, code):
        """Ends the stream in the middle of whatever it is in."""
        self.send(frame(RESET, 0, stream, struct.pack(">I", code)))

    def begin_message(self, stream, size):
        """Announces a message of that size; its bytes are `push`'s."""
        self.push(stream, b"\0" + struct.pack(">I", size))

    def push(self, stream, data, seconds=5):
        """Sends bytes as far as the service lets it, and waits at most so long for it to; returns
        how many it took."""
        sent = 0
        while sent < len(data) and not self.has_ended(stream):
            size = min(len(data) - sent, FRAME_BYTES, self.windows[0], self.windows[stream])
            if size <= 0:
                if not self.take(seconds):
                    break
                continue
            self.send(frame(DATA, 0, stream, data[sent:sent + size]))
            self.windows[0] -= size
            self.windows[stream] -= size
            sent += size
            self.take(0)
        return sent

    def take(self, seconds):
        """Takes what the service has sent; False when nothing came in that time."""
        if self.closed or not select.select([self.socket], [], [], seconds)[0]:
            return False
        try:
            data = self.socket.recv(1 << 16)
        except OSError:
            data = b""
        self.closed = not data
        self.input += data
        while len(self.input) >= FRAME_HEAD:
            size = int.from_bytes(self.input[:3], "big")
            if len(self.input) < FRAME_HEAD + size:
                break
            kind, flags = self.input[3:5]
            stream = int.from_bytes(self.input[5:9], "big")
            payload, self.input = self.input[9:9 + size], self.input[9 + size:]
            self._take_frame(kind, flags, stream, payload)
        return True

    def _take_frame(self, kind, flags, stream, payload):
        if kind == WINDOW_UPDATE:
            self.windows[stream] = self.windows.get(stream, 0) + int.from_bytes(payload, "big")
        elif kind == SETTINGS and not flags & ACK:
            for at in range(0, len(payload), 6):
                name, value = struct.unpack(">HI", payload[at:at + 6])
                if name == INITIAL_WINDOW_SETTING:
                    for other in self.windows:
                        self.windows[other] += value - self.initial if other else 0
                    self.initial = value
            self.send(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK and self.answers_pings:
            self.send(frame(PING, ACK, 0, payload))
        elif kind == RESET or kind == HEADERS and flags & 1:
            self.ended[stream] = payload if kind == HEADERS else self.ended.get(stream, b"")
        elif kind == GOAWAY:
            self.goaways.append(struct.unpack(">II", payload[:8]))
            self.closed = self.goaways[-1][1] != 0
        elif kind == DATA:
            self.data[stream] = self.data.get(stream, b"") + payload
            if flags & END_STREAM:
                self.ended[stream] = b""


class RawService:
    """A service on a Unix socket that greets whoever connects; what it does with a call is its
    child's to say."""

    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def called(self, client, stream):
        """A call begins on the stream; `client` is the socket of its connection."""
        raise NotImplementedError

    def _accept(self):
        try:
            while True:
                client = self.listener.accept()[0]
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()
        except OSError:
            pass

    def _serve(self, client):
        with client, client.makefile("rb") as stream:
            client.sendall(frame(SETTINGS, 0, 0))
            stream.read(len(PREFACE))
            while head := stream.read(FRAME_HEAD):
                stream.read(int.from_bytes(head[:3], "big"))
                if head[3] == HEADERS:
                    self.called(client, int.from_bytes(head[5:], "big"))
                elif head[3] == SETTINGS and not head[4] & ACK:
                    client.sendall(frame(SETTINGS, ACK, 0))


class RefusingService(RawService):
    """Refuses every call."""

    def called(self, client, stream):
        client.sendall(frame(RESET, 0, stream, struct.pack(">I", REFUSED_STREAM)))


class StatusService(RawService):
    """Answers every call with a message, where it has one, and a status of gRPC."""

    message, code = None, 0

    def called(self, client, stream):
        head = literal(":status", "200") + literal("content-type", "application/grpc")
        end = literal("grpc-status", str(self.code)) + literal("grpc-message", "so it says")
        if self.message is None:
            client.sendall(frame(HEADERS, END_HEADERS | END_STREAM, stream, head + end))
            return
        data = b"\0" + struct.pack(">I", len(self.message)) + self.message
        client.sendall(frame(HEADERS, END_HEADERS, stream, head) + frame(DATA, 0, stream, data) +
                       frame(HEADERS, END_HEADERS | END_STREAM, stream, end))


class DyingService(RawService):
    """Is gone in the middle of every answer."""

    def called(self, client, stream):
        head = literal(":status", "200") + literal("content-type", "application/grpc")
        client.sendall(frame(HEADERS, END_HEADERS, stream, head) +
                       frame(DATA, 0, stream, b"\0\0\0\0\x09half"))
        client.shutdown(socket.SHUT_RDWR)


class LeavingService(RawService):
    """Says goodbye to the connection in the middle of its first answer. That goes on when told to,
    and any later call is answered at once."""

    def __init__(self, path, message):
        self.message, self.go_on = message, threading.Event()
        self.connections = []  # of each call
        super().__init__(path)

    def called(self, client, stream):
        self.connections.append(client)
        data = b"\0" + struct.pack(">I", len(self.message)) + self.message
        half = len(data) // 2
        head = literal(":status", "200") + literal("content-type", "application/grpc")
        client.sendall(frame(HEADERS, END_HEADERS, stream, head) +
                       frame(DATA, 0, stream, data[:half]))
        if len(self.connections) == 1:
            client.sendall(frame(GOAWAY, 0, 0, struct.pack(">II", stream, 0)))
            self.go_on.wait()
        client.sendall(frame(DATA, 0, stream, data[half:]) +
                       frame(HEADERS, END_HEADERS | END_STREAM, stream,
                              literal("grpc-status", "0")))
