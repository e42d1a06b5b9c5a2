"""Archives, good and bad, for tests that speak to the service."""

import gzip
import io
import tarfile


def archive(files: dict[str, str | bytes], *extra: tarfile.TarInfo) -> bytes:
    """A gzipped tar of these files, and of members that are only headers."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for info in extra:
            tar.addfile(info)
    return gzip.compress(buffer.getvalue(), mtime=0)


def member(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    """A member that is not a plain file."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def bomb(megabytes: int) -> bytes:
    """A tar of one file of zeros, which packs to a thousandth."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=9) as packed:
        info = tarfile.TarInfo("zeros")
        info.size = megabytes << 20
        packed.write(info.tobuf())
        for _ in range(megabytes):
            packed.write(bytes(1 << 20))
        packed.write(bytes(1024))
    return buffer.getvalue()


def long_header(megabytes: int) -> bytes:
    """A tar whose pax header claims, and is, far longer than any name."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb") as packed:
        info = tarfile.TarInfo("./PaxHeaders/x")
        info.type, info.size = tarfile.XHDTYPE, megabytes << 20
        packed.write(info.tobuf())
        packed.write(bytes(megabytes << 20))
    return buffer.getvalue()


def backward() -> bytes:
    """A tar whose member says that it is of negative size."""
    info = tarfile.TarInfo("a")
    header = bytearray(info.tobuf())
    header[124:136] = b"\xff" * 10 + (-512 & 0xFFFF).to_bytes(2, "big")
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header[:512]):06o}\0 ".encode()
    return gzip.compress(bytes(header) + bytes(1024))


GOOD = archive({"first/notes.ipynb": "{}", "first/data/a.txt": "a"})

BAD = {
    "not a gzip": b"hello, this is a letter",
    "empty": b"",
    "gzip of something else": gzip.compress(b"hello"),
    "tar without gzip": gzip.decompress(GOOD),
    "cut short": GOOD[:-20],
    "wrong checksum": GOOD[:-8] + b"\0\0\0\0" + GOOD[-4:],
    "no file": archive({}),
    "absolute": archive({"/etc/cron.d/x": "x"}),
    "dots": archive({"first/../../x": "x"}),
    "dots at the end": archive({"first/..": "x"}),
    "backslash": archive({"..\\x": "x"}),
    "newline in a name": archive({"a\nb": "x"}),
    "escape in a name": archive({"a\x1b[2Jb": "x"}),
    "symbolic link": archive({"a": "a"}, member("b", tarfile.SYMTYPE, "/etc/shadow")),
    "hard link": archive({"a": "a"}, member("b", tarfile.LNKTYPE, "a")),
    "device": archive({"a": "a"}, member("b", tarfile.CHRTYPE)),
    "fifo": archive({"a": "a"}, member("b", tarfile.FIFOTYPE)),
    "sparse": archive({"a": "a"}, member("b", tarfile.GNUTYPE_SPARSE)),
    "twice": gzip.compress(
        gzip.decompress(archive({"a": "1"}))[:1024] + gzip.decompress(archive({"./a": "2"}))
    ),
    "file and folder": archive({"a": "1", "a/b": "2"}),
    "too many": archive({str(number): "" for number in range(10_001)}),
    "bomb": bomb(600),
    "long header": long_header(70),
    "negative size": backward(),
}
