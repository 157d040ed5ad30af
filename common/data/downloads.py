"""Downloads that go on where they were cut, never grow beyond what is expected, and appear verified or not at all."""

import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tqdm import tqdm

from common.errors import RelicError, one_line

TIMEOUT_SECONDS = 30  # without a byte
SLOW_SECONDS = 60  # after so long a download has to have taken LEAST_BYTES more
LEAST_BYTES = 2**16
TRIES = 3  # without so many more
PAUSE_SECONDS = 1  # before the next one
PART = 2**20
MOST_BYTES = 2**38  # of a file whose size is not known


@dataclass(frozen=True)
class Expected:
    """What is known of a file before it is there: size in bytes, sha256 and MD5, 0 and empty where it is not."""

    size: int = 0
    sha256: str = ""
    md5: str = ""

    @property
    def most_bytes(self) -> int:
        """Return how large the file may be."""
        return self.size or MOST_BYTES


class _BrokenOffError(Exception):
    """A connection that ended early."""


class _TooSlowError(Exception):
    """A server that sends a byte now and then."""


def download(url: str, path: Path, expected: Expected, remedy: str = "") -> None:
    """Write what is at a URL to `path`, which appears when it is complete and verified.

    What has come is kept beside it as `<name>.partial`, and the next call goes on there where the server can. A broken
    connection is taken up again as long as bytes come. Raises RelicError, which ends with `remedy`, where the file
    cannot be had, is not the one expected (nothing of it is kept then), or comes too slowly.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    _complete(url, partial, expected, remedy)
    reason = mismatch(partial, expected)
    if reason:
        partial.unlink()
        raise RelicError(f"refused {url}: {reason}; try again, or another --url")
    os.replace(partial, path)


def _complete(url: str, partial: Path, expected: Expected, remedy: str) -> None:
    """Append to a partial file until it is complete."""
    tries, most = 0, _size(partial)
    while True:
        try:
            return _go_on(url, partial, expected)
        except RelicError:
            raise
        except (_BrokenOffError, TimeoutError, ConnectionError, http.client.HTTPException) as error:
            # Against the most there ever was: a server that lets all be sent again must not do so for ever.
            tries = 0 if _size(partial) - most >= LEAST_BYTES else tries + 1
            most = max(most, _size(partial))
            if tries == TRIES:
                raise _failed(url, error, partial, remedy) from error
            time.sleep(PAUSE_SECONDS)
        except (_TooSlowError, urllib.error.URLError, ValueError) as error:
            raise _failed(url, error, partial, remedy) from error


def _failed(url: str, error: Exception, partial: Path, remedy: str) -> RelicError:
    reason = one_line(getattr(error, "reason", None) or error) or type(error).__name__
    size = _size(partial)
    again = f"the same command goes on after the {size:,} bytes that are here" if size else "try again"
    return RelicError(f"cannot download {url} ({reason}): {again}{', or ' + remedy if remedy else ''}")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _go_on(url: str, partial: Path, expected: Expected) -> None:
    """Ask for the rest of a file and append it; raise _BrokenOffError where it ends early."""
    start = _size(partial)
    if expected.size and start == expected.size:
        return
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 416 or not start:
            raise
        partial.unlink()  # longer than the file, or of another one
        raise _BrokenOffError("the server had another file before") from error
    with response:
        if not isinstance(response, http.client.HTTPResponse):
            raise ValueError("not an http or https address")
        if start and not (response.status == 206 and _starts_at(response, start)):
            start = 0  # it sends all from the beginning
        length = response.headers.get("Content-Length")
        total = start + int(length) if length and length.isascii() and length.isdigit() else None
        if total is not None and (total > expected.most_bytes or (expected.size and total != expected.size)):
            partial.unlink(missing_ok=True)
            raise RelicError(f"refused {url}: it has {total:,} bytes, not {expected.size or expected.most_bytes:,}")
        with partial.open("ab" if start else "wb") as file:
            _copy(response, file, start, total, expected)


def _starts_at(response: Any, start: int) -> bool:
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range") or "")
    return match is not None and int(match[1]) == start


def _copy(response: Any, file: IO[bytes], start: int, total: int | None, expected: Expected) -> None:
    """Copy a response to the end of a file; raise _BrokenOffError where it ends early, RelicError if it is too long."""
    size = start
    name = os.path.basename(file.name).removesuffix(".partial")
    bar = tqdm(desc=name, initial=start, total=total, unit="B", unit_scale=True, disable=None, leave=False)
    with bar:
        for part in _parts(response):
            size += len(part)
            if size > expected.most_bytes:
                os.unlink(file.name)
                raise RelicError(f"refused {response.url}: it has more than {expected.most_bytes:,} bytes")
            file.write(part)
            bar.update(len(part))
    if size < (total or expected.size):
        raise _BrokenOffError(f"the connection ended after {size:,} of {total or expected.size:,} bytes")


def _parts(response: Any) -> Iterator[bytes]:
    """Yield a response as it comes; raise _TooSlowError where it comes too slowly."""
    checked, since = time.monotonic(), 0
    while part := response.read1(PART):
        yield part
        since += len(part)
        if time.monotonic() - checked > SLOW_SECONDS:
            if since < LEAST_BYTES:
                raise _TooSlowError(f"{since:,} bytes in {SLOW_SECONDS} s")
            checked, since = time.monotonic(), 0


def mismatch(path: Path, expected: Expected) -> str:
    """Return why a file is not the one expected, as half a sentence; empty where it may be."""
    size = path.stat().st_size
    if expected.size and size != expected.size:
        return f"it has {size:,} bytes, not {expected.size:,}"
    for kind, digest in (("sha256", expected.sha256), ("md5", expected.md5)):
        if digest:
            return "" if _digest(path, kind) == digest else f"its {kind} is not the published one"
    return ""


def _digest(path: Path, kind: str) -> str:
    """Return the digest of a file of any size, in hexadecimal."""
    digest = hashlib.new(kind, usedforsecurity=False)
    size = path.stat().st_size
    with (
        path.open("rb") as file,
        tqdm(desc=f"{kind} of {path.name}", total=size, unit="B", unit_scale=True, disable=None, leave=False) as bar,
    ):
        while part := file.read(PART):
            digest.update(part)
            bar.update(len(part))
    return digest.hexdigest()
