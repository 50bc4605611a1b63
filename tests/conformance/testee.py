#!/usr/bin/env python3
"""testee.py TRANSCODE DESCRIPTOR_SET: what protobuf's conformance_test_runner runs.

It speaks the runner's protocol (conformance.proto: a 4-byte length, then a ConformanceRequest or
its response) and lets `transcode --framed` do the work. What goes from JSON to JSON or from binary
to binary takes both directions of it.
"""
import os
import struct
import subprocess
import sys

# Of ConformanceRequest and WireFormat.
PROTOBUF_PAYLOAD, JSON_PAYLOAD, FORMAT, MESSAGE, CATEGORY = 1, 2, 3, 4, 5
PROTOBUF, JSON, IGNORE_UNKNOWN = 1, 2, 3
# Of ConformanceResponse.
PARSE_ERROR, PROTOBUF_RESULT, JSON_RESULT, SKIPPED, SERIALIZE_ERROR = 1, 3, 4, 5, 6


def varint_read(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def request_read(data):
    """The fields of a request by number; all are varints or have a length."""
    fields, at = {}, 0
    while at < len(data):
        tag, at = varint_read(data, at)
        if tag & 7 == 2:
            size, at = varint_read(data, at)
            fields[tag >> 3] = data[at:at + size]
            at += size
        else:
            fields[tag >> 3], at = varint_read(data, at)
    return fields


def response(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


class Testee:
    def __init__(self, tool, descriptor_set):
        self.command = [tool, "--descriptor-set", descriptor_set, "--framed"]
        self.processes = {}

    def process(self, message, to, ignore_unknown):
        key = (message, to, ignore_unknown)
        if key not in self.processes:
            unknown = "--ignore-unknown" if ignore_unknown else "--reject-unknown"
            self.processes[key] = subprocess.Popen(
                self.command + ["--message", message, "--to", to, unknown],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                env={k: v for k, v in os.environ.items() if k != "LD_PRELOAD"})
        return self.processes[key]

    def transcode(self, message, to, content, ignore_unknown=False):
        """The content in the other form, or None and the error."""
        process = self.process(message, to, ignore_unknown)
        process.stdin.write(struct.pack("<I", len(content)) + content)
        process.stdin.flush()
        size, = struct.unpack("<I", process.stdout.read(4))
        answer = process.stdout.read(size)
        return (answer[1:], None) if answer[0] == 0 else (None, answer[1:])

    def answer(self, request):
        wanted = request.get(FORMAT, 0)
        if wanted not in (PROTOBUF, JSON) or not (
                JSON_PAYLOAD in request or PROTOBUF_PAYLOAD in request):
            return response(SKIPPED, b"only protobuf and JSON are transcoded")
        message = request[MESSAGE].decode()
        if JSON_PAYLOAD in request:
            ignore = request.get(CATEGORY) == IGNORE_UNKNOWN
            given, forms = JSON, [("binary", ignore), ("json", False)]
            content = request[JSON_PAYLOAD]
        else:
            given, forms = PROTOBUF, [("json", False), ("binary", False)]
            content = request[PROTOBUF_PAYLOAD]
        for step, (to, ignore) in enumerate(forms[:2 if wanted == given else 1]):
            content, error = self.transcode(message, to, content, ignore)
            if error is not None:
                late = step > 0 or error.startswith(b"json:")
                return response(SERIALIZE_ERROR if late else PARSE_ERROR, error)
        return response(PROTOBUF_RESULT if wanted == PROTOBUF else JSON_RESULT, content)

    def serve(self, source, sink):
        while True:
            head = source.read(4)
            if len(head) < 4:
                return
            size, = struct.unpack("<I", head)
            answer = self.answer(request_read(source.read(size)))
            sink.write(struct.pack("<I", len(answer)) + answer)
            sink.flush()


if __name__ == "__main__":
    Testee(sys.argv[1], sys.argv[2]).serve(sys.stdin.buffer, sys.stdout.buffer)
