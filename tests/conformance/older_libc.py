#!/usr/bin/env python3
"""older_libc.py PROGRAM COPY: copies a program that was linked with newer C and C++ libraries than
Debian 12's, so that it runs with these and older_libc.cc.

The versions that Debian 12 lacks are marked weak in the copy (.gnu.version_r, see elf(5)): the
loader then goes on without them, and the few symbols that they name come from older_libc.cc.
"""
import os
import struct
import sys

LACKING = (b"GLIBC_2.38", b"GLIBCXX_3.4.32")
SHT_GNU_VERNEED, VER_FLG_WEAK = 0x6ffffffe, 2


def sections(image):
    """(type, offset, link) of each section of a 64-bit little-endian ELF file."""
    offset, = struct.unpack_from("<Q", image, 40)
    size, count = struct.unpack_from("<HH", image, 58)
    for i in range(count):
        kind, = struct.unpack_from("<I", image, offset + i * size + 4)
        at, = struct.unpack_from("<Q", image, offset + i * size + 24)
        link, = struct.unpack_from("<I", image, offset + i * size + 40)
        yield kind, at, link


def chain(image, at, next_offset):
    """The entries of a list whose members tell how far the next one is."""
    while True:
        yield at
        step, = struct.unpack_from("<I", image, at + next_offset)
        if step == 0:
            return
        at += step


def weaken(image):
    table = list(sections(image))
    for kind, offset, link in table:
        if kind != SHT_GNU_VERNEED:
            continue
        for library in chain(image, offset, 12):
            first, = struct.unpack_from("<I", image, library + 8)
            for version in chain(image, library + first, 12):
                flags, _, name = struct.unpack_from("<HHI", image, version + 4)
                begin = table[link][1] + name
                if bytes(image[begin:image.index(0, begin)]) in LACKING:
                    struct.pack_into("<H", image, version + 4, flags | VER_FLG_WEAK)


def main():
    with open(sys.argv[1], "rb") as file:
        image = bytearray(file.read())
    if image[:6] != b"\x7fELF\x02\x01":
        sys.exit("older_libc.py: %s is no 64-bit little-endian ELF file" % sys.argv[1])
    weaken(image)
    with open(sys.argv[2], "wb") as file:
        file.write(image)
    os.chmod(sys.argv[2], 0o755)


if __name__ == "__main__":
    main()
