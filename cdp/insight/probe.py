"""The probe: is anything left anywhere of who was erased? By row and by byte, signed.

It knows tombstones only: every text that may be an identifier is keyed as they are, and compared.
"""

import gzip
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cdp.domain.errors import CdpError
from cdp.domain.identifiers import identifier_key, keyed
from cdp.domain.payload import IDENTIFIER_TYPES, timestamp
from cdp.insight.ask import ask
from cdp.profiles.decisions import DECISIONS
from cdp.profiles.port import PROFILES, DocumentStore
from cdp.warehouse.port import Warehouse

_CHUNK: Final = 8 << 20
_LONGEST: Final = 512
_SHORTEST: Final = 6
# Addresses, client ids, numbers, and whatever else may be a user id.
_TEXT: Final = re.compile(rb"\+?[\w%.+\-/]{2,256}(?:@[\w.\-]{2,256})?")


@dataclass(frozen=True, slots=True)
class Place:
    """What was looked through, how much of it there was, and where something was found."""

    store: str
    looked_at: int  # documents, tables or bytes
    found: tuple[str, ...] = ()


def probe(
    stones: frozenset[str],
    salt: str,
    *,
    documents: DocumentStore,
    warehouse: Warehouse | None,
    loaded: Mapping[str, int],
    files: Iterable[Path],
    home: Path,
    clock: datetime | None = None,
) -> dict[str, Any]:
    """Look for every tombstone everywhere; return the signed receipt.

    Args:
        stones: what stands for the erased; see `cdp.insight.erasure.tombstones`.
        warehouse: what readers see; None where there is none.
        loaded: what loaded files hold of them, by table, told row by row.
        files: whatever else holds data, byte by byte; told by their paths below *home*.
    """
    key = identifier_key(salt)
    places = [_documents(documents, stones, key)]
    if warehouse is not None:
        rows = ask(warehouse, "probe_rows", key=key, stones=sorted(stones) or [""])
        found = tuple(f"{row['table_name']}: {row['held']}" for row in rows)
        places.append(Place("warehouse", len(warehouse.shapes()), found))
    places.append(Place("loaded rows", len(loaded), tuple(f"{k}: {n}" for k, n in loaded.items())))
    places.append(_files(files, home, stones, key))
    receipt = {
        "kind": "probe",
        "at": timestamp(clock or datetime.now(UTC)),
        "tombstones": len(stones),
        "digest": hashlib.sha256("\n".join(sorted(stones)).encode()).hexdigest(),
        "found": sum(len(place.found) for place in places),
        "stores": [asdict(place) for place in places],
    }
    return signed(receipt, salt)


def _documents(documents: DocumentStore, stones: frozenset[str], key: str) -> Place:
    count, found = 0, []
    for collection in (PROFILES, DECISIONS):
        cursor = None
        while True:
            page = documents.page(collection, after=cursor, limit=1000)
            for document in page.documents:
                count += 1
                held = _of_tombstones(_identifying(document.body), stones, key)
                found += [document.id] if held else []
            cursor = page.cursor
            if cursor is None:
                break
    return Place("documents", count, tuple(found))


def _identifying(body: Mapping[str, Any]) -> Iterator[str]:
    """Yield the identifiers of a document, however short, and what else may be one."""
    yield from _texts([body.get("identifiers"), body.get("value")])
    yield from (text for text in _texts(dict(body)) if len(text) >= _SHORTEST)


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for below in value:
                yield from _texts(below)
        case dict():
            for below in value.values():
                yield from _texts(below)


def _files(files: Iterable[Path], home: Path, stones: frozenset[str], key: str) -> Place:
    size, found = 0, []
    for file in files:
        met: set[bytes] = set()
        with suppress(FileNotFoundError):  # SQLite's log goes with its last connection
            for piece in _pieces(file):
                size += len(piece)
                met.update(_TEXT.findall(piece))
        texts = (text.decode("utf-8", "ignore") for text in met)
        if _of_tombstones(_spelled(texts), stones, key):
            found.append(str(file.relative_to(home)))
    return Place("files", size, tuple(found))


def _pieces(file: Path) -> Iterator[bytes]:
    """Yield the bytes of a file, of a .gz unpacked, each piece with the end of the one before."""
    with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
        end = b""
        while piece := stream.read(_CHUNK):
            yield end + piece
            end = piece[-_LONGEST:]


def _spelled(texts: Iterable[str]) -> Iterator[str]:
    """Yield the texts, and what is left of one that runs into its neighbours.

    Short ones are met everywhere: they are found by row alone.
    """
    for text in texts:
        for part in (text, text.lower(), *(one.strip(".-+") for one in re.split(r"[/%]", text))):
            if len(part) >= _SHORTEST:
                yield part


def _of_tombstones(texts: Iterable[str], stones: frozenset[str], key: str) -> bool:
    return any(
        keyed(key, type_, text) in stones
        for text in set(texts)
        if text
        for type_ in IDENTIFIER_TYPES
    )


def signed(receipt: Mapping[str, Any], salt: str) -> dict[str, Any]:
    """Return *receipt* with the public key and its signature (Ed25519), in hexadecimal.

    The key is made from the deployment's secret salt: whoever has that can sign.
    """
    private = _private(salt)
    body = {**receipt, "key": _public(private)}
    return {**body, "signature": private.sign(_canonical(body)).hex()}


def verify(receipt: Mapping[str, Any]) -> str:
    """Return the public key that a receipt is signed with.

    Raises:
        CdpError: it is no receipt, or was changed after it was signed.
    """
    try:
        key, signature = str(receipt["key"]), bytes.fromhex(receipt["signature"])
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))
    except (KeyError, TypeError, ValueError):
        raise CdpError("this is no signed receipt; `cdp probe` makes one") from None
    body = {name: value for name, value in receipt.items() if name != "signature"}
    try:
        public.verify(signature, _canonical(body))
    except InvalidSignature:
        raise CdpError(
            "the signature is not of this text: the receipt was changed after it was signed"
        ) from None
    return key


def public_key(salt: str) -> str:
    """Return the public key of the deployment that has this salt, in hexadecimal."""
    return _public(_private(salt))


def _private(salt: str) -> Ed25519PrivateKey:
    seed = hashlib.blake2b(b"receipts", key=salt.encode()[:64], digest_size=32).digest()
    return Ed25519PrivateKey.from_private_bytes(seed)


def _public(private: Ed25519PrivateKey) -> str:
    return private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def _canonical(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
