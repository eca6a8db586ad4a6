#!/usr/bin/env python3
"""Found inputs of a fuzz target in one text file, a line of base64 each: tests/fuzz/corpus/NAME.b64.

    pack.py pack DIR FILE      the smallest of DIR, as many as fit (merge first: libFuzzer's
                               -set_cover_merge=1 leaves those that cover something of their own)
    pack.py unpack FILE DIR
"""
import base64
import os
import sys

BYTES = 8192  # of all targets together under 200 KB, with the base64


def pack(folder, file):
    found = sorted((open(os.path.join(folder, n), "rb").read() for n in os.listdir(folder)),
                   key=lambda text: (len(text), text))
    left = BYTES
    with open(file, "w") as out:
        for text in found:
            left -= len(text)
            if left < 0:
                break
            out.write(base64.b64encode(text).decode() + "\n")


def unpack(file, folder):
    with open(file) as lines:
        for i, line in enumerate(lines):
            with open(os.path.join(folder, "found-%d" % i), "wb") as out:
                out.write(base64.b64decode(line, validate=False))


if __name__ == "__main__":
    {"pack": pack, "unpack": unpack}[sys.argv[1]](*sys.argv[2:])
