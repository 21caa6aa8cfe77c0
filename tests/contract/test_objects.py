"""The object store's contract, for every adapter."""

import contextlib
import http.server
import io
import json
import threading
import tracemalloc
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from cdp.domain.errors import CdpError
from cdp.objects.cloud_storage import CloudStorageObjects
from cdp.objects.folder import FolderObjects
from cdp.objects.port import GenerationChanged, InvalidName, ObjectExists, ObjectNotFound

LOOSE, STRICT = "gcp-storage-emulator", "fake-gcs-server"
PART = 8 << 20


def client(url):
    return storage.Client(
        "t", credentials=AnonymousCredentials(), client_options={"api_endpoint": url}
    )


@pytest.fixture(params=["folder", LOOSE, STRICT])
def store(request):
    """The name of an adapter and, for Cloud Storage, of the emulator behind it."""
    return request.param


@pytest.fixture
def objects(request, store, tmp_path):
    if store == "folder":
        yield FolderObjects(tmp_path / "objects")
        return
    emulator = "storage_emulator" if store == LOOSE else "strict_storage_emulator"
    with client(request.getfixturevalue(emulator)) as connected:
        yield CloudStorageObjects(connected.create_bucket(f"t-{uuid4().hex}"))


@pytest.fixture
def folder(tmp_path):
    return FolderObjects(tmp_path / "objects")


def gap(**reasons):
    """Say what the service does and an emulator does not."""
    marks = {
        {"loose": LOOSE, "strict": STRICT}[name]: [pytest.mark.xfail(reason=why, strict=True)]
        for name, why in reasons.items()
    }
    stores = [pytest.param(name, marks=marks.get(name, [])) for name in ("folder", LOOSE, STRICT)]
    return pytest.mark.parametrize("store", stores)


IGNORES = "ignores preconditions"


def read(objects, name, generation=None):
    with objects.open(name, generation) as stream:
        return stream.read()


def test_an_object_reads_back_as_it_was_put(objects):
    for data in (b"one", iter([b"o", b"", b"ne"]), io.BytesIO(b"one")):
        stored = objects.put("runs/r 1/part-0.ndjson", data)
        assert (stored.size, stored.md5) == (3, "f97c5d29941bfb1b2fdab0874906ab82")
        assert read(objects, stored.name, stored.generation) == b"one"
        assert objects.stat(stored.name).generation == stored.generation
        assert objects.stat(stored.name).size == 3


def test_every_overwrite_is_another_generation(objects):
    generations = [objects.put("a", b"same").generation for _ in range(50)]
    assert sorted(set(generations)) == generations
    with pytest.raises(GenerationChanged):
        objects.open("a", generations[0])
    assert read(objects, "a", generations[-1]) == b"same"


@pytest.mark.parametrize("size", [5, 5 * 4_000_000])
@pytest.mark.parametrize("other", [b"second", b"other" * 4_000_000], ids=["short", "long"])
def test_a_stream_that_is_open_reads_what_it_opened_or_fails(objects, size, other):
    objects.put("a", iter([b"first"] * (size // 5)))
    with objects.open("a") as stream:
        assert stream.read(5) == b"first"
        objects.put("a", other)
        try:
            rest = stream.read()
        except CdpError as error:
            rest = str(error)
    assert rest in {b"first" * (size // 5 - 1)} | LATE


LATE = {
    "'a' was overwritten or deleted while it was read; read it again",
    "'a' came incomplete from Cloud Storage; read it again",
    "'a' arrived damaged from Cloud Storage; read it again",
}


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 2 * PART])
def test_an_object_of_several_parts_is_whole(objects, size):
    content = (b"0123456789abcde" * (size // 15 + 1))[:size]
    pieces = [content[at : at + 1_000_003] for at in range(0, size, 1_000_003)]
    for data in (content, iter(pieces), io.BytesIO(content)):
        stored = objects.put("a", data)
        assert stored.size == size
        assert read(objects, "a") == content
    with objects.open("a") as stream:
        assert list(stream) == ([content] if size else [])


@gap(loose=IGNORES)
def test_if_absent_leaves_what_is_there(objects):
    assert objects.put("a", b"1", if_absent=True).size == 1
    with pytest.raises(ObjectExists):
        objects.put("a", b"2", if_absent=True)
    assert read(objects, "a") == b"1"
    assert [stored.name for stored in objects.list()] == ["a"]


@gap(loose=IGNORES, strict="ignores preconditions of resumable uploads")
def test_if_absent_holds_for_an_object_of_several_parts(objects):
    objects.put("a", b"1")
    with pytest.raises(ObjectExists):
        objects.put("a", bytes(PART), if_absent=True)
    assert read(objects, "a") == b"1"


@gap(loose=IGNORES)
def test_of_many_who_create_one_object_one_succeeds(objects):
    results = []

    def create(n):
        try:
            objects.put("lock", str(n).encode(), if_absent=True)
            results.append(n)
        except ObjectExists:
            pass

    threads = [threading.Thread(target=create, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 1
    assert read(objects, "lock") == str(results[0]).encode()


def test_an_object_is_never_half_visible(objects):
    objects.put("a", b"old")

    def data():
        yield b"new"
        assert [stored.name for stored in objects.list()] == ["a"]
        assert read(objects, "a") == b"old"
        raise OSError("the source failed")

    with pytest.raises(OSError, match="the source failed"):
        objects.put("a", data())
    assert read(objects, "a") == b"old"
    assert [stored.name for stored in objects.list()] == ["a"]


def test_list_is_sorted_and_takes_any_prefix(objects):
    names = ["runs/r1/part-0", "runs/r1/part-1", "runs/r1/rejected/0", "runs/r10/part-0", "a"]
    for name in reversed(names):
        objects.put(name, b"x")
    assert [stored.name for stored in objects.list()] == sorted(names)
    assert [stored.name for stored in objects.list("runs/r1/part-")] == names[:2]
    assert [stored.name for stored in objects.list("runs/r1")] == names[:4]
    assert objects.list("none/") == objects.list("runs/r2") == []
    assert objects.list("a")[0].size == 1


def test_what_is_not_there(objects):
    for name in ("none", "none/none"):
        with pytest.raises(ObjectNotFound):
            objects.open(name)
        with pytest.raises(ObjectNotFound):
            objects.stat(name)
        objects.delete(name)
    objects.put("runs/a", b"x")
    objects.delete("runs/a")
    for name in ("runs/a", "runs"):
        with pytest.raises(ObjectNotFound):
            objects.open(name)


def test_an_object_is_deleted_by_its_generation(objects):
    stored = objects.put("runs/a", b"x")
    for _ in range(2):
        objects.delete("runs/a", stored.generation)
        assert objects.list() == []


@gap(loose=IGNORES, strict="ignores preconditions of deletions")
def test_what_is_deleted_by_its_generation_is_never_a_newer_one(objects):
    older = objects.put("runs/a", b"older")
    objects.put("runs/a", b"newer")
    objects.delete("runs/a", older.generation)
    assert read(objects, "runs/a") == b"newer"


def test_an_object_tells_when_it_was_stored(objects):
    earlier = objects.put("b", b"x")
    stored = objects.put("a", b"x")
    assert {objects.stat("a").at, objects.list()[0].at} == {stored.at}
    assert earlier.at <= stored.at
    assert stored.at.utcoffset() is not None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../x",
        "a//b",
        "a/",
        "./a",
        "a/.hidden",
        "a\\b",
        "a\nb",
        "a\0b",
        "x" * 256,
        "/".join(["x" * 200] * 6),
        "\ud800",
    ],
)
def test_a_name_that_leads_out_or_that_a_store_refuses(objects, name):
    for act in (objects.open, objects.stat, objects.delete, lambda n: objects.put(n, b"x")):
        with pytest.raises(InvalidName):
            act(name)


def test_a_prefix_does_not_lead_out_either(objects):
    with pytest.raises(InvalidName):
        objects.list("../")


# A folder's own


def test_a_name_cannot_be_the_folder_of_another(folder):
    folder.put("a/b", b"x")
    for name in ("a", "a/b/c"):
        with pytest.raises(InvalidName):
            folder.put(name, b"x")
    assert [stored.name for stored in folder.list()] == ["a/b"]


def test_a_link_does_not_lead_out(folder, tmp_path):
    folder.put("a", b"x")
    (tmp_path / "objects" / "out").symlink_to(tmp_path)
    with pytest.raises(InvalidName):
        folder.put("out/b", b"x")


# Cloud Storage's own


@pytest.fixture
def bucket(strict_storage_emulator):
    with client(strict_storage_emulator) as connected:
        yield connected.create_bucket(f"t-{uuid4().hex}")


def test_a_generation_that_is_gone_ends_the_reading(bucket):
    objects = CloudStorageObjects(bucket)
    objects.put("a", b"x" * 2 * PART)
    with objects.open("a") as stream:
        stream.read(1)
        objects.put("a", b"x" * 2 * PART)
        with pytest.raises(GenerationChanged, match="overwritten or deleted"):
            stream.read()


def test_put_and_open_keep_parts_in_memory_never_the_whole(bucket):
    objects = CloudStorageObjects(bucket)
    tracemalloc.start()
    try:
        objects.put("a", (bytes(1 << 20) for _ in range(100)))
        with objects.open("a") as stream:
            assert sum(len(part) for part in iter(lambda: stream.read(1 << 20), b"")) == 100 << 20
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 6 * PART


def test_a_bucket_that_is_not_there(bucket):
    none = CloudStorageObjects(bucket.client.bucket("none-such"))
    for act in (lambda: none.put("a", b""), none.list, lambda: none.put("a", b"x" * PART)):
        with pytest.raises(CdpError, match="there is no bucket gs://none-such; create it"):
            act()


class Server(http.server.BaseHTTPRequestHandler):
    def tell(self, status, body):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Pages(Server):
    """Lists an object a page, as the service does a thousand."""

    def do_GET(self):
        page = int((self.path.partition("pageToken=")[2] or "0").partition("&")[0])
        item = {"name": f"a/{page}", "generation": "1", "size": "1"}
        more = {"nextPageToken": str(page + 1)} if page < 2 else {}
        self.tell(200, json.dumps({"items": [item], **more}).encode())


class Refuses(Server):
    """Answers everything with the status that the path's bucket is named after."""

    def answer(self):
        status = int(self.path.split("/b/status-")[1][:3])
        text = "The specified bucket does not exist." if status == 404 else "jane@example.com"
        self.tell(status, json.dumps({"error": {"code": status, "message": text}}).encode())

    do_GET = do_POST = do_DELETE = answer  # noqa: N815 - the names of http.server


class Newer(http.server.BaseHTTPRequestHandler):
    """Holds generation 2 of every object, and answers as the service does."""

    def do_DELETE(self):
        asked = parse_qs(urlsplit(self.path).query)
        self.send_response(204 if asked.get("ifGenerationMatch") == ["2"] else 412)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.server.told.append(asked)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(handler):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.told = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with client(f"http://127.0.0.1:{server.server_port}") as connected:
            connected.told = server.told
            yield connected
        server.shutdown()


def test_a_list_goes_through_every_page():
    with served(Pages) as connected:
        found = CloudStorageObjects(connected.bucket("t")).list("a/")
    assert [stored.name for stored in found] == ["a/0", "a/1", "a/2"]


def test_the_service_is_told_which_generation_to_delete_and_may_hold_a_newer_one():
    with served(Newer) as connected:
        objects = CloudStorageObjects(connected.bucket("t"))
        objects.delete("a", 1)
        objects.delete("a", 2)
    assert [asked["ifGenerationMatch"] for asked in connected.told] == [["1"], ["2"]]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "run `gcloud auth application-default login`"),
        (403, "grant it roles/storage.objectUser"),
        (404, "there is no bucket gs://status-404; create it"),
        (501, "gs://status-501 does not answer (MethodNotImplemented)"),
        (400, "gs://status-400 refused a request (BadRequest)"),
    ],
)
def test_a_refusal_names_the_fix_and_quotes_nobody(status, words):
    with served(Refuses) as connected:
        objects = CloudStorageObjects(connected.bucket(f"status-{status}"))
        acts = [lambda: objects.put("a", b""), lambda: objects.open("a"), objects.list]
        for act in (*acts, lambda: objects.stat("a"), lambda: objects.delete("a")):
            with pytest.raises(CdpError) as told:
                act()
            assert words in str(told.value)
            assert "jane" not in str(told.value)
            assert told.value.__suppress_context__
