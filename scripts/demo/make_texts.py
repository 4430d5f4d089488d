#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Cut the demo's texts out of two Debian 12 packages. Python's standard library and dpkg-deb, nothing else.

    apt-get download r-cran-janeaustenr=1.0.0-1 golang-1.19-src=1.19.8-2
    python3 scripts/demo/make_texts.py . models/demo/text

The first argument is the folder with the two .deb files. Neither package is installed. See models/demo/text/README.md.
"""
import argparse
import hashlib
import lzma
import pathlib
import re
import struct
import subprocess
import tarfile
import zlib

AUSTEN = ("r-cran-janeaustenr_1.0.0-1_all.deb", "./usr/lib/R/site-library/janeaustenr/data/Rdata.rdb")
OPTICKS = ("golang-1.19-src_1.19.8-2_all.deb", "./usr/share/go-1.19/src/testdata/Isaac.Newton-Opticks.txt")

EXPECTED = {
    "pretrain.txt": "ee123b4313124026967585c695782f7a2884186434c9bb29fe2000c4ed31eedc",
    "pretrain-val.txt": "1b9db9b3d2d8f379313d8f83fbf60bf78e72b2f7e106f6415fd745dc2b786361",
    "second.txt": "ccaee924fe074f0d93f23533ace48a9adb16a09cdb8e3477f6298abc473afd1c",
    "second-val.txt": "7cfd07deaf98edc3c3351b8ed9b7b510377f306ea8a25923399073ef5524b8fa",
}


def member(folder, deb, path):
    """The bytes of one file inside a Debian package."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(folder / deb)], stdout=subprocess.PIPE) as process:
        with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
            for entry in archive:
                if entry.name == path:
                    content = archive.extractfile(entry).read()
                    process.kill()
                    return content
    raise SystemExit(f"{deb}: no {path} inside")


def character_vectors(rdb):
    """R's lazy-load database: (u32 length, zlib stream)*; each stream is one serialised (XDR) character vector."""
    while rdb:
        stream = zlib.decompressobj()
        raw = stream.decompress(rdb[4:])
        rdb = stream.unused_data
        if raw[:2] != b"X\n" or struct.unpack(">i", raw[2:6])[0] != 3:
            raise SystemExit("Rdata.rdb: expected XDR serialisation, version 3")
        at = 18 + struct.unpack(">i", raw[14:18])[0]  # after the name of the native encoding
        kind, count = struct.unpack(">ii", raw[at:at + 8])
        if kind & 0xFF != 16:
            raise SystemExit("Rdata.rdb: expected a character vector")
        at += 8
        lines = []
        for _ in range(count):
            _, length = struct.unpack(">ii", raw[at:at + 8])
            lines.append(raw[at + 8:at + 8 + length].decode("utf-8"))
            at += 8 + length
        yield lines


def tidy(text):
    """At most one blank line in a row, no blanks at line ends, one newline at the end."""
    text = re.sub(r"[ \t]+\n", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def novels(folder):
    books = {lines[0]: "\n".join(lines) for lines in character_vectors(member(folder, *AUSTEN))}
    return tidy(books["PRIDE AND PREJUDICE"]) + "\n" + tidy(books["SENSE AND SENSIBILITY"])


def opticks(folder, size):
    text = member(folder, *OPTICKS).decode("utf-8").replace("\r\n", "\n")
    text = text[text.index("THE FIRST BOOK OF OPTICKS"):]      # drops the credit of the transcribers and the prefaces
    text = re.sub(r"\[Illustration[^\]]*\]", "", text)
    text = re.sub(r"\[Greek: ([^\]]*)\]", r"\1", text)
    text = re.sub(r"(?<=\S)\[[A-Z]\]", "", text)               # marks of footnotes
    text = re.sub(r"(?m)^ *\*(?: +\*)+ *$", "", text)          # rows of asterisks
    text = text.replace("_", "")                               # marks of italics
    for letter, ascii_letters in {"Æ": "Ae", "æ": "ae", "ê": "e", "û": "u", "×": "x", "·": ".", "§": "Sect.",
                                  "´": "'"}.items():
        text = text.replace(letter, ascii_letters)
    text = tidy(text)
    return text[:text.rindex("\n\n", 0, size)] + "\n"


def split(text, share):
    """(training part, held-out part): the held-out part is the last `share`, from the start of a paragraph."""
    at = text.index("\n\n", int(len(text) * (1.0 - share))) + 2
    return text[:at], text[at:]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("packages", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)

    texts = {}
    texts["pretrain.txt"], texts["pretrain-val.txt"] = split(novels(arguments.packages), 0.05)
    texts["second.txt"], texts["second-val.txt"] = split(opticks(arguments.packages, 400_000), 0.10)
    for name, text in texts.items():
        content = text.encode("ascii")
        digest = hashlib.sha256(content).hexdigest()
        print(f"{digest}  {len(content):8d}  {name}")
        if EXPECTED.get(name, digest) != digest:
            raise SystemExit(f"{name} differs from the one that the demo's checkpoint was trained on")
        if name == "pretrain.txt":  # only the recipe reads it; the tool reads the others as they are
            (arguments.out / (name + ".xz")).write_bytes(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))
        else:
            (arguments.out / name).write_bytes(content)


if __name__ == "__main__":
    main()
