"""Archives from strangers: what is taken, and the tricks that are not."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from archives import BAD, GOOD
from fastapi import HTTPException
from machineroom_hub.service.archives import Refused, take


async def sent(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, max(1, len(data)), 65536):
        yield data[start : start + 65536]


async def test_a_good_archive_is_taken_and_kept_whole(tmp_path: Path) -> None:
    upload = await take(sent(GOOD), tmp_path)
    assert (upload.sha256, upload.size) == (hashlib.sha256(GOOD).hexdigest(), len(GOOD))
    kept = tmp_path / "linux" / "first" / "1.tar.gz"
    upload.keep(kept)
    upload.discard()
    assert kept.read_bytes() == GOOD
    assert left(tmp_path) == ["linux"]


@pytest.mark.parametrize("trick", BAD)
async def test_a_bad_archive_is_refused_in_words_and_leaves_nothing(tmp_path: Path, trick: str) -> None:
    began = time.monotonic()
    with pytest.raises(Refused, match=r"The archive was refused: .+ Nothing was stored"):
        await take(sent(BAD[trick]), tmp_path)
    assert not left(tmp_path)
    assert time.monotonic() - began < 10


async def test_a_body_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield GOOD[:10]
        raise HTTPException(413, "too large")

    with pytest.raises(HTTPException):
        await take(breaking(), tmp_path)
    with pytest.raises(asyncio.CancelledError):
        await take(cancelled(), tmp_path)
    assert not left(tmp_path)


def left(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def cancelled() -> AsyncIterator[bytes]:
    yield GOOD[:10]
    raise asyncio.CancelledError
