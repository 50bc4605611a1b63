"""A proxy before a gRPC service that counts messages and cuts the connection at one of them.

It reads HTTP/2 as far as needed: frame headers, and in DATA frames gRPC's five bytes before each
message. Headers stay compressed. Directions are "up" (to the service) and "down".
"""
import os
import socket
import threading

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_HEAD, DATA = 9, 0
MESSAGE_HEAD = 5
BEFORE, INSIDE, AFTER = "before", "inside", "after"


class Cut:
    """Where a connection ends: before, inside or after the message with this number (from 1)."""

    def __init__(self, direction, number, where):
        self.direction, self.number, self.where = direction, number, where

    def __repr__(self):
        return "%s message %d %s" % (self.where, self.number, self.direction)


class _Messages:
    """The messages of one HTTP/2 stream in one direction, as its DATA comes."""

    def __init__(self):
        self.head, self.left, self.size = b"", 0, 0
        self.number = 0  # of the message, among all of its connection

    def take(self, payload, at):
        """Takes a piece that belongs to one message; returns (what it passes, the piece's size).

        What it passes is of BEFORE, INSIDE, AFTER, all at the end of the piece but BEFORE.
        """
        if self.left == 0:
            starts = not self.head
            piece = payload[at:at + MESSAGE_HEAD - len(self.head)]
            self.head += piece
            passed = [BEFORE] if starts else []
            if len(self.head) == MESSAGE_HEAD:
                self.size = self.left = int.from_bytes(self.head[1:], "big")
                self.head = b""
                if self.size < 2:
                    passed.append(INSIDE)
                if self.size == 0:
                    passed.append(AFTER)
            return passed, len(piece)
        middle = self.left - self.size // 2
        count = min(len(payload) - at, middle if middle > 0 else self.left)
        self.left -= count
        passed = [INSIDE] if self.size >= 2 and count == middle else []
        return passed + ([AFTER] if self.left == 0 else []), count


class _Direction:
    """Reads the frames of one direction of a connection."""

    def __init__(self, name, proxy):
        self.name, self.proxy = name, proxy
        self.count = 0
        self.streams = {}
        self.preface = len(PREFACE) if name == "up" else 0
        self.head, self.left, self.stream = b"", 0, None

    def feed(self, data):
        """Yields (bytes to pass on, whether they are DATA); a None for the bytes is the cut."""
        at = min(self.preface, len(data))
        self.preface -= at
        if at:
            yield data[:at], False
        while at < len(data):
            if self.left == 0:
                piece = data[at:at + FRAME_HEAD - len(self.head)]
                self.head, at = self.head + piece, at + len(piece)
                if len(self.head) == FRAME_HEAD:
                    self.begin_frame()
                if self.left == 0 and len(self.head) == FRAME_HEAD:
                    yield self.pass_head(), False
                continue
            count = min(self.left, len(data) - at)
            if self.stream is None:
                yield self.pass_head() + data[at:at + count], False
            else:
                yield from self.feed_data(data[at:at + count])
            self.left -= count
            at += count

    def begin_frame(self):
        """The head is kept until a byte of the frame passes, so that a cut can come before it."""
        self.left = int.from_bytes(self.head[:3], "big")
        number = int.from_bytes(self.head[5:9], "big")
        self.stream = None
        if self.head[3] == DATA:
            assert not self.head[4] & 8, "padded DATA is not expected"
            self.stream = self.streams.setdefault(number, _Messages())

    def pass_head(self):
        head, self.head = self.head, b""
        return head

    def feed_data(self, payload):
        at = 0
        while at < len(payload):
            passed, count = self.stream.take(payload, at)
            if BEFORE in passed:
                if self.is_cut(self.count + 1, BEFORE):
                    yield None, True
                self.count += 1
                self.stream.number = self.count
            yield self.pass_head() + payload[at:at + count], True
            at += count
            for where in passed:
                if where != BEFORE and self.is_cut(self.stream.number, where):
                    yield None, True

    def is_cut(self, number, where):
        cut = self.proxy.cut
        if cut is None or self.proxy.has_cut.is_set():
            return False
        return (cut.direction, cut.number, cut.where) == (self.name, number, where)


class _Connection:
    """One connection and its twin to the service."""

    def __init__(self, proxy, near, far):
        self.proxy, self.near, self.far = proxy, near, far
        self.up, self.down = _Direction("up", proxy), _Direction("down", proxy)
        self.threads = [threading.Thread(target=self.pump, args=way, daemon=True)
                        for way in ((self.up, near, far), (self.down, far, near))]
        for thread in self.threads:
            thread.start()

    def pump(self, direction, source, sink):
        try:
            while True:
                data = source.recv(1 << 16)
                if not data:
                    break
                for piece, is_data in direction.feed(data):
                    if piece is None:
                        self.proxy.cut_now()
                        self.close()
                        return
                    self.proxy.send(direction.name, sink, piece, is_data)
        except OSError:
            pass
        # A half-closed connection is of no use to gRPC.
        self.close()

    def close(self):
        for end in (self.near, self.far):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def join(self):
        self.close()
        for thread in self.threads:
            thread.join()
        self.near.close()
        self.far.close()


class FrameProxy:
    """Listens on a Unix socket, for `target` another. `cut` ends the first connection there.

    `on_cut` is called at that moment, before either side learns of it. `trickle` is (direction,
    bytes, seconds): DATA pass in pieces of so many bytes with a wait after each.
    """

    def __init__(self, path, target, cut=None, on_cut=None, trickle=None):
        self.path, self.target, self.cut = path, target, cut
        self.on_cut, self.trickle = on_cut, trickle
        self.has_cut = threading.Event()
        self.has_closed = threading.Event()
        self.connections = []
        self.listener = socket.socket(socket.AF_UNIX)
        if os.path.exists(path):
            os.remove(path)
        self.listener.bind(path)
        self.listener.listen(16)
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def address(self):
        return "unix:" + self.path

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            if self.has_closed.is_set():
                near.close()
                return
            far = socket.socket(socket.AF_UNIX)
            try:
                far.connect(self.target)
            except OSError:
                near.close()
                far.close()
                continue
            self.connections.append(_Connection(self, near, far))

    def send(self, name, sink, piece, is_data):
        if not is_data or self.trickle is None or self.trickle[0] != name:
            sink.sendall(piece)
            return
        _, count, seconds = self.trickle
        for at in range(0, len(piece), count):
            sink.sendall(piece[at:at + count])
            if self.has_closed.wait(seconds):
                return

    def cut_now(self):
        """Ends what passes now, as the network does."""
        self.has_cut.set()
        if self.on_cut:
            self.on_cut()

    def break_connections(self):
        """Ends every connection that is open."""
        for connection in list(self.connections):
            connection.close()

    def counts(self):
        """How many messages have begun to pass, up and down."""
        return {"up": sum(connection.up.count for connection in self.connections),
                "down": sum(connection.down.count for connection in self.connections)}

    def close(self):
        self.has_closed.set()
        # A listener that is closed does not wake a thread that accepts; a connection does.
        with socket.socket(socket.AF_UNIX) as knock:
            try:
                knock.connect(self.path)
            except OSError:
                pass
        self.thread.join()
        self.listener.close()
        for connection in self.connections:
            connection.join()
        os.remove(self.path)
