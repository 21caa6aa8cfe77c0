"""The object store's contract, for every adapter."""

import io
import threading

import pytest

from cdp.objects.folder import FolderObjects
from cdp.objects.port import GenerationChanged, InvalidName, ObjectExists, ObjectNotFound


@pytest.fixture(params=["folder"])
def objects(request, tmp_path):
    return FolderObjects(tmp_path / "objects")


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


def test_a_stream_that_is_open_goes_on_reading_what_it_opened(objects):
    objects.put("a", b"first" * 100_000)
    with objects.open("a") as stream:
        assert stream.readline(5) == b"first"
        objects.put("a", b"second")
        assert stream.read() == b"first" * 99_999


def test_if_absent_leaves_what_is_there(objects):
    assert objects.put("a", b"1", if_absent=True).size == 1
    with pytest.raises(ObjectExists):
        objects.put("a", b"2", if_absent=True)
    assert read(objects, "a") == b"1"
    assert [stored.name for stored in objects.list()] == ["a"]


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


def test_a_name_cannot_be_the_folder_of_another(objects):
    objects.put("a/b", b"x")
    for name in ("a", "a/b/c"):
        with pytest.raises(InvalidName):
            objects.put(name, b"x")
    assert [stored.name for stored in objects.list()] == ["a/b"]


def test_a_link_does_not_lead_out(objects, tmp_path):
    objects.put("a", b"x")
    (tmp_path / "objects" / "out").symlink_to(tmp_path)
    with pytest.raises(InvalidName):
        objects.put("out/b", b"x")
