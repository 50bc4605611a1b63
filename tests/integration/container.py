"""Reads a bundle container as bundle.proto describes it.

Written apart from the service's own code on purpose: two readings of one document must agree.
"""
import ctypes
import hashlib
import os
import sys

import harness

sys.path.append(os.path.join(harness.ROOT, "tools", "sample"))
from state import DATA_TYPES, canonical, checksum  # noqa: E402,F401 pylint: disable=C0413,W0611

SNAPPY, ZSTD = 2, 3


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
        shift += 7


def fields(data):
    """Yields (number, value) of a message; value is an int or bytes."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 2:
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
            assert len(value) == size, "a field runs over the end"
        else:
            raise AssertionError("unexpected wire type %d" % kind)
        yield tag >> 3, value


def unzstd(data, size, dictionary):
    """Decompresses one frame of zstd to so many bytes, by the library itself."""
    zstd = ctypes.CDLL("libzstd.so.1")
    zstd.ZSTD_createDCtx.restype = ctypes.c_void_p
    zstd.ZSTD_decompress_usingDict.restype = ctypes.c_size_t
    context, out = ctypes.c_void_p(zstd.ZSTD_createDCtx()), ctypes.create_string_buffer(size)
    count = zstd.ZSTD_decompress_usingDict(
        context, out, ctypes.c_size_t(size), data, ctypes.c_size_t(len(data)), dictionary,
        ctypes.c_size_t(len(dictionary)))
    zstd.ZSTD_freeDCtx(context)
    assert count == size, "a chunk does not decompress"
    return out.raw


def unsnap(data):
    """Decompresses snappy's block format."""
    size, at = varint(data, 0)
    out = bytearray()
    while at < len(data):
        tag = data[at]
        at += 1
        if tag & 3 == 0:
            length = tag >> 2
            if length >= 60:
                extra = length - 59
                length, at = int.from_bytes(data[at:at + extra], "little"), at + extra
            out += data[at:at + length + 1]
            at += length + 1
            continue
        if tag & 3 == 1:
            length, offset, at = 4 + (tag >> 2 & 7), (tag >> 5) << 8 | data[at], at + 1
        else:
            width = 2 if tag & 3 == 2 else 4
            length, offset = 1 + (tag >> 2), int.from_bytes(data[at:at + width], "little")
            at += width
        for _ in range(length):
            out.append(out[-offset])
    assert len(out) == size
    return bytes(out)


def entry_of(data):
    entry = {"deleted": False, "version": 0}
    for number, value in fields(data):
        if number == 1:
            entry["dataType"] = DATA_TYPES[value]
        elif number == 2:
            entry["dataId"] = value.decode()
        elif number == 3:
            entry["version"] = value
        elif number == 4:
            entry["deleted"] = bool(value)
        elif number == 5:
            entry["json"] = value
        elif number == 6:
            entry["patch"] = value
        elif number == 8:
            entry.setdefault("operations", []).append(value)
    return entry


def read(data, dictionary=b""):
    """The header as a dict of field numbers, and the entries, of a container that proves itself."""
    header, proof, entries, hashes, trailer = {}, b"", [], [], {}
    for number, value in fields(data):
        if number == 1:
            header, proof = dict(fields(value)), hashlib.sha256(value).digest()
        elif number == 2:
            chunk = dict(fields(value))
            assert chunk.get(1, 0) == len(hashes), "chunks out of order"
            digest = hashlib.sha256(chunk[5]).digest()
            assert digest == chunk[4], "a chunk differs from its checksum"
            hashes.append(digest)
            raw = chunk[5]
            if chunk[2] == SNAPPY:
                raw = unsnap(raw)
            elif chunk[2] == ZSTD:
                raw = unzstd(raw, chunk[3], dictionary if header.get(11) else b"")
            assert len(raw) == chunk[3], "a chunk's size differs"
            at = 0
            while at < len(raw):
                size, at = varint(raw, at)
                entries.append(entry_of(raw[at:at + size]))
                at += size
        elif number == 3:
            trailer = dict(fields(value))
    assert trailer.get(1, 0) == len(hashes), "chunks are missing"
    assert trailer[2] == hashlib.sha256(proof + b"".join(hashes)).digest(), "the root differs"
    assert header.get(10, 0) == len(entries), "records are missing"
    return header, entries


def codecs(data):
    """The codecs of a container's chunks."""
    return {dict(fields(value))[2] for number, value in fields(data) if number == 2}


def members(value):
    """Yields (name, text) of every member that is a text, however deep."""
    if isinstance(value, list):
        for item in value:
            yield from members(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            if isinstance(item, str):
                yield name, item
            else:
                yield from members(item)
