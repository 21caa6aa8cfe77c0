"""Objects in a bucket of Cloud Storage, for the gcp deployment.

The client library repeats what failed for a moment: reads are of one generation and writes are
whole, so that repeating them changes nothing. It compares checksums of what it uploads; what is
read to its end is compared here, as the library cannot where it reads in parts.
"""

import base64
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from typing import BinaryIO, Final, cast

import google_crc32c
import requests
from google.api_core import exceptions as api
from google.auth import exceptions as auth
from google.cloud.storage import Blob, Bucket
from google.cloud.storage.exceptions import DataCorruption

from cdp.domain.errors import CdpError, Unavailable
from cdp.objects.port import (
    Data,
    GenerationChanged,
    ObjectExists,
    ObjectNotFound,
    ObjectStore,
    Stored,
    check_name,
)

_CHUNK: Final = 8 << 20  # uploads take multiples of 256 KiB
_PIECE: Final = 4 << 20  # of a download: most shards are one
_TRANSIENT: Final = (api.ServerError, api.TooManyRequests, api.RetryError)
_NO_BUCKET: Final = "The specified bucket does not exist"
_TEXTS: Final = {"sql": "text/plain; charset=utf-8", "json": "application/json"}
_FIELDS: Final = "items(name,generation,size,md5Hash,timeCreated),nextPageToken"


class CloudStorageObjects(ObjectStore):
    """The objects of one bucket. An object's generation is Cloud Storage's own."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def put(self, name: str, data: Data, *, if_absent: bool = False) -> Stored:
        """See the port. Where an answer was lost, *if_absent* may find the object it just made."""
        check_name(name)
        blob = self._bucket.blob(name, chunk_size=_CHUNK)
        expect = 0 if if_absent else None
        reader = _Reader(_chunks(data))
        head = reader.read(_CHUNK)
        with self._errors():
            try:
                if len(head) < _CHUNK:
                    blob.upload_from_string(head, _kind(name), if_generation_match=expect)
                else:  # visible when its last part has arrived
                    rest = _Reader(chain([head], iter(lambda: reader.read(_CHUNK), b"")))
                    blob.upload_from_file(
                        rest, content_type=_kind(name), if_generation_match=expect
                    )
            except api.PreconditionFailed:
                raise ObjectExists(f"{name!r} exists already") from None
        return _stored(blob)

    def open(self, name: str, generation: int | None = None) -> BinaryIO:
        blob = self._blob(name)
        if generation not in {None, blob.generation}:
            raise GenerationChanged(f"{name!r} is generation {blob.generation}, not {generation}")
        return cast(BinaryIO, io.BufferedReader(_Pinned(self, blob), min(_PIECE, blob.size or 1)))

    def stat(self, name: str) -> Stored:
        return _stored(self._blob(name))

    def list(self, prefix: str = "") -> Sequence[Stored]:
        folder, slash, _ = prefix.rpartition("/")
        if slash:
            check_name(folder)
        with self._errors():
            found = [
                _stored(blob) for blob in self._bucket.list_blobs(prefix=prefix, fields=_FIELDS)
            ]
        return sorted(found, key=lambda stored: stored.name)

    def delete(self, name: str, generation: int | None = None) -> None:
        check_name(name)
        with suppress(ObjectNotFound), self._errors(name), suppress(api.PreconditionFailed):
            self._bucket.blob(name).delete(if_generation_match=generation)

    def read(self, blob: Blob, start: int, end: int) -> bytes:
        """Return the bytes [start, end) of the generation that *blob* is.

        Raises:
            GenerationChanged: it was overwritten or deleted, and the bucket keeps no versions.
        """
        pinned = self._bucket.blob(blob.name, generation=blob.generation)
        with self._errors():
            try:
                found: bytes = pinned.download_as_bytes(
                    start=start, end=end - 1, raw_download=True, checksum=None
                )
            except api.NotFound:
                raise GenerationChanged(
                    f"{blob.name!r} was overwritten or deleted while it was read; read it again"
                ) from None
        if len(found) != end - start:
            raise CdpError(f"{blob.name!r} came incomplete from Cloud Storage; read it again")
        return found

    def _blob(self, name: str) -> Blob:
        check_name(name)
        blob = self._bucket.blob(name)
        with self._errors(name):
            blob.reload()
        return blob

    @contextmanager
    def _errors(self, name: str | None = None) -> Iterator[None]:
        """Tell the client's errors in words; that the object *name* is not there by its own."""
        uri = f"gs://{self._bucket.name}"
        try:
            yield
        except api.NotFound as error:
            if name is not None and _NO_BUCKET not in error.message:
                raise ObjectNotFound(f"there is no object {name!r}") from None
            raise CdpError(
                f"there is no bucket {uri}; create it, or set CDP_BUCKET to the one there is"
            ) from None
        except api.Forbidden:
            raise CdpError(
                f"{uri} may not be used by this account; grant it roles/storage.objectUser "
                "on the bucket"
            ) from None
        except (api.Unauthorized, auth.GoogleAuthError) as error:
            raise CdpError(
                f"Google Cloud does not know who asks ({type(error).__name__}); run "
                "`gcloud auth application-default login`, or attach a service account"
            ) from None
        except DataCorruption:
            raise CdpError(f"an object arrived damaged in {uri}; store it again") from None
        except (*_TRANSIENT, requests.RequestException) as error:
            raise Unavailable(
                f"{uri} does not answer ({type(error).__name__}); try again, and see "
                "https://status.cloud.google.com"
            ) from None
        except api.GoogleAPIError as error:
            raise CdpError(
                f"{uri} refused a request ({type(error).__name__}); look for a retention policy or "
                "an encryption key that forbids it"
            ) from None


class _Pinned(io.RawIOBase):
    """Reads one generation in parts, and compares the checksum of the whole with its own."""

    def __init__(self, objects: CloudStorageObjects, blob: Blob) -> None:
        self._objects, self._blob = objects, blob
        self._at, self._size = 0, blob.size or 0
        self._checksum = google_crc32c.Checksum()  # type: ignore[no-untyped-call]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._next(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:  # Python's own asks for a few kilobytes at a time
        return b"".join(iter(lambda: self._next(_CHUNK), b""))

    def _next(self, size: int) -> bytes:
        end = min(self._at + size, self._size)
        if end == self._at:
            return b""
        data = self._objects.read(self._blob, self._at, end)
        self._checksum.update(data)  # type: ignore[no-untyped-call]
        expected = self._blob.crc32c
        if end == self._size and self._digest() != expected:
            raise CdpError(f"{self._blob.name!r} arrived damaged from Cloud Storage; read it again")
        self._at = end
        return data

    def _digest(self) -> str:
        return base64.b64encode(self._checksum.digest()).decode()  # type: ignore[no-untyped-call]


class _Reader:
    """What the client reads an upload from: full parts of a size, until the last."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = b""
        self._at = 0

    def read(self, size: int) -> bytes:
        parts, missing = [], size
        while missing:
            part = self._left or next(self._chunks, None)
            if part is None:
                break
            parts.append(part[:missing])
            self._left = part[missing:]
            missing -= len(parts[-1])
        found = b"".join(parts)
        self._at += len(found)
        return found

    def tell(self) -> int:
        return self._at


def _chunks(data: Data) -> Iterator[bytes]:
    if isinstance(data, bytes):
        yield data
    elif hasattr(data, "read"):
        while chunk := data.read(1 << 20):
            yield chunk
    else:
        yield from data


def _kind(name: str) -> str:
    """Return the content's type: a workflow is given what is text as text, the rest as bytes."""
    _, _, ending = name.rpartition(".")
    return _TEXTS.get(ending, "application/octet-stream")


def _stored(blob: Blob) -> Stored:
    md5 = base64.b64decode(blob.md5_hash).hex() if blob.md5_hash else None
    return Stored(blob.name, int(blob.generation), int(blob.size), blob.time_created, md5)
