"""Zips: in parts, resumed, read by a worker member after member; what is bad in one is refused in words."""

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from diagnosis.intake.batches import manifest, unpack, zip_archive
from diagnosis.intake.batches.filenames import label
from diagnosis.intake.batches.zip_archive import Archive, BadArchive, BadMember, Parts
from diagnosis.models import Arrival, Batch, Film, ModelVersion, Patient, Prediction
from tests.support.factories import BatchFactory, ModelVersionFactory, PatientFactory, make_user
from tests.support.pictures import png

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann(client: Client) -> Patient:
    ModelVersionFactory(stage="production")
    user = make_user("clinician")
    client.force_login(user)
    return PatientFactory(clinic=user.clinic, mrn="P-1")


def packed(files: dict[str, bytes], **options: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, **options) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return buffer.getvalue()


def opened(content: bytes, **limits: int) -> Archive:
    return Archive(io.BytesIO(content), **{"max_films": 500, "max_member": 1024**2, **limits})


def read_all(content: bytes) -> dict[str, bytes | str]:
    """Return each member's content, or the sentence that refuses it."""
    file = opened(content)
    found: dict[str, bytes | str] = {}
    for member in file.members:
        try:
            found[member.name] = file.read(member.place)
        except BadMember as error:
            found[member.name] = str(error)
    return found


def waiting(batch: Batch, content: bytes) -> Batch:
    """A zip that has arrived completely, in two parts."""
    half = len(content) // 2
    parts = [
        [default_storage.save(f"batches/{batch.pk}/zip", ContentFile(part)), len(part)]
        for part in (content[:half], content[half:])
    ]
    Batch.objects.filter(pk=batch.pk).update(
        zip_parts=parts,
        zip_bytes=len(content),
        zip_received=len(content),
        zip_state="waiting",
        zip_name="a.zip",
    )
    batch.refresh_from_db()
    return batch


def test_stored_parts_read_as_one_file() -> None:
    content = packed({f"{n}.bin": bytes([n]) * 5000 for n in range(20)}, compresslevel=0)
    stored = {f"part{n}": content[at : at + 777] for n, at in enumerate(range(0, len(content), 777))}
    parts = Parts([(name, len(part)) for name, part in stored.items()], lambda name: io.BytesIO(stored[name]))
    file = Archive(parts, max_films=500, max_member=1024**2)
    assert [file.read(member.place) for member in file.members] == [bytes([n]) * 5000 for n in range(20)]


def test_the_computers_own_files_are_left_aside_and_a_common_folder_is_no_name() -> None:
    files = {
        "top/a.png": b"a",
        "top/sub/b.png": b"b",
        "top/.DS_Store": b"",
        "top/manifest.csv": b"m",
        "top/DICOMDIR": b"",
    }
    file = opened(packed({**files, "__MACOSX/top/._a.png": b""}))
    assert [member.name for member in file.members] == ["a.png", "sub/b.png"]
    assert file.skipped == 3
    assert file.manifest is not None


def packed_as(files: dict[str, bytes], encoding: str) -> bytes:
    """A zip whose names are in `encoding`, without the flag for UTF-8."""
    content = packed(
        {
            f"{number:02}{'x' * (len(name.encode(encoding)) - 2)}": data
            for number, (name, data) in enumerate(files.items())
        }
    )
    for number, name in enumerate(files):
        stored = name.encode(encoding)
        content = content.replace(f"{number:02}{'x' * (len(stored) - 2)}".encode(), stored)
    return content


NAMES = {
    "utf-8": "Mu\u0308ller Иванов.png",
    "cp437": "Müller.png",
    "cp850": "Ångström Ø.png",
    "cp852": "Dvořák.png",
    "cp1250": "Świątek.png",
    "cp1252": "Müller – Ø.png",
    "cp866": "Иванов.png",
    "cp1251": "Иванов.png",
    "cp932": "山田太郎 表示.png",
    "gb18030": "王小明.png",
    "big5hkscs": "王小明.png",
    "cp949": "김철수.png",
    "cp737": "Παπαδόπουλος.png",
    "cp1253": "Παπαδόπουλος.png",
    "cp857": "Işıl Yıldız.png",
    "cp862": "כהן.png",
    "cp1255": "כהן.png",
    "cp1256": "محمد.png",
    "cp874": "สมชาย.png",
    "mac-roman": "Müller.png",
}


@pytest.mark.parametrize(("encoding", "name"), NAMES.items(), ids=NAMES.keys())
@pytest.mark.parametrize("folder", ["", "top/", "{stem}/"])
def test_names_in_any_encoding_are_matched_with_the_manifest(encoding: str, name: str, folder: str) -> None:
    folder = folder.format(stem=name[:-4])
    files = {f"{folder}{name}": b"a", f"{folder}manifest.csv": b"m", f"{folder}other.png": b"b"}
    file = opened(packed_as(files, encoding))
    assert file.manifest == 1
    listed: manifest.Rows = {label(name).casefold(): {}}
    file.match_names(lambda member: manifest.lists(listed, member))
    assert [label(member.name) for member in file.members] == [label(name), "other.png"]
    assert file.read(file.members[0].place) == b"a"


def test_without_a_manifest_names_are_utf_8_or_the_standards_code_page() -> None:
    assert [member.name for member in opened(packed_as({"Иванов.png": b""}, "utf-8")).members] == [
        "Иванов.png"
    ]
    assert [member.name for member in opened(packed_as({"Müller.png": b""}, "cp437")).members] == [
        "Müller.png"
    ]


def test_names_in_two_encodings_of_one_zip_are_matched() -> None:
    content = packed_as({"Müller.png": b"a", "Møller.png": b"b", "xИванов.png": b"c"}, "utf-8")
    stored = "xИванов.png".encode()
    content = content.replace(stored, "xxxxxxxИванов.png".encode("cp866"))
    file = opened(content)
    listed: manifest.Rows = {"müller.png": {}, "møller.png": {}, "xxxxxxxиванов.png": {}}
    file.match_names(lambda member: manifest.lists(listed, member))
    assert sorted(member.name.casefold() for member in file.members) == sorted(listed)


def test_the_unicode_path_field_says_the_name() -> None:
    info = zipfile.ZipInfo("M_ller.png")
    data = b"\x01" + struct.pack("<I", zlib.crc32(b"M_ller.png")) + "Müller.png".encode()
    info.extra = struct.pack("<HH", 0x7075, len(data)) + data
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(info, b"a")
    assert [member.name for member in opened(buffer.getvalue()).members] == ["Müller.png"]


@pytest.mark.parametrize(("encoding", "name"), [("utf-8", "Mu\u0308ller.png"), ("cp866", "Иванов.png")])
def test_a_film_of_a_zip_in_any_encoding_is_filed_by_the_manifest(
    ann: Patient, encoding: str, name: str
) -> None:
    lines = f"file,patient number,name\n{label(name)},P-1,{ann.name}\n"
    batch = waiting(
        BatchFactory(clinic=ann.clinic, by=make_user("clinician", clinic=ann.clinic)),
        packed_as({"manifest.csv": lines.encode(), name: png()}, encoding),
    )
    unpack.work()
    assert Film.objects.get().patient == ann
    assert batch.arrivals.get().name == label(name)


def locked() -> bytes:
    content = bytearray(packed({"a.png": b"secret"}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.index(signature) + offset
        content[at] |= 1
    return bytes(content)


def declared(size: int) -> bytes:
    """A zip whose list says that its member has `size` bytes; it has six."""
    content = bytearray(packed({"a.png": b"secret"}))
    at = content.index(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<I", size)
    return bytes(content)


BAD_MEMBERS: dict[str, tuple[Callable[[], bytes], str]] = {
    "nested": (lambda: packed({"in.zip": packed({"a": b""})}), "a zip inside the zip"),
    "password": (locked, "password"),
    "4 GB": (lambda: declared(0xFFFFFFF0), "would have 4.0 GB"),
    "too large": (lambda: packed({"a.png": bytes(1024**2 + 1)}, compresslevel=0), "films have up to 1 MB"),
    "more than declared": (lambda: declared(3), "damaged inside the zip"),
    "damaged": (
        lambda: packed({"a.png": b"abcd"}, compresslevel=0).replace(b"abcd", b"abcX"),
        "damaged inside",
    ),
}


@pytest.mark.parametrize(("content", "word"), BAD_MEMBERS.values(), ids=BAD_MEMBERS.keys())
def test_a_bad_member_is_refused_in_words(content: Callable[[], bytes], word: str) -> None:
    found = next(iter(read_all(content()).values()))
    assert word in str(found)


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zip_archive, "RATIO_FROM", 1000)
    assert "swells to" in str(read_all(packed({"a.png": bytes(900_000)}))["a.png"])


def many(number: int) -> bytes:
    """A zip whose end declares `number` files."""
    content = bytearray(packed({"a.png": b"x"}))
    at = content.rindex(b"PK\x05\x06")
    content[at + 8 : at + 12] = struct.pack("<HH", number, number)
    return bytes(content)


BAD_ZIPS = {
    "no zip": (b"This is a letter." * 10, "This is no zip"),
    "empty": (b"", "This is no zip"),
    "cut off": (packed({"a.png": png()})[:500], "cut off"),
    "too many films": (packed({f"{n}": b"" for n in range(501)}), "holds 501 files; a batch takes at most 500"),
    "more names than a folder has": (many(60_000), "holds 60,000 files"),
    "100,000 entries": (packed({f"{n}": b"" for n in range(100_000)}), "holds 100,000 files"),
    "damaged list": (packed({"a.png": png()}).replace(b"PK\x01\x02", b"PKxx"), "is damaged"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "word"), BAD_ZIPS.values(), ids=BAD_ZIPS.keys())
def test_a_bad_zip_is_refused_as_a_whole(content: bytes, word: str) -> None:
    with pytest.raises(BadArchive, match=word):
        opened(content)


def announced(client: Client, content: bytes, modified: str = "1", **fields: Any) -> Any:
    packed_film = {"path": "films.zip", "size": len(content), "modified": modified}
    data = {"taken_on": "2025-11-01", "listing": json.dumps({"films": [], "zip": packed_film}), **fields}
    return client.post(reverse("batch_new"), data)


def part(client: Client, batch: int, offset: int, content: bytes) -> Any:
    data = {"offset": offset, "part": SimpleUploadedFile("part", content)}
    return client.post(reverse("batch_part", args=[batch]), data)


def test_a_zip_arrives_in_parts_and_a_lost_part_alone_is_sent_again(client: Client, ann: Patient) -> None:
    content = packed({f"{n}.png": png(n) for n in range(3)} | {"../../x": b"no film", "in.zip": packed({})})
    batch = announced(client, content, number="P-1").json()["batch"]
    assert part(client, batch, 0, content[:1000]).json() == {"received": 1000}
    # Sent twice, because the answer was lost; out of order; more than was announced.
    assert part(client, batch, 0, content[:1000]).json()["received"] == 1000
    assert part(client, batch, 5000, content[5000:]).status_code == 409
    assert part(client, batch, 1000, content[1000:] + b"more").status_code == 409
    assert client.post(reverse("batch_part", args=[batch])).json() == {"received": 1000}
    assert part(client, batch, 1000, content[1000:]).json() == {"received": len(content)}
    assert not unpack.work()
    found = {arrival.name: arrival for arrival in Arrival.objects.all()}
    assert [found[name].state for name in ("0.png", "1.png", "2.png")] == ["stored"] * 3
    assert found["x"].state == found["in.zip"].state == "refused"
    assert Prediction.objects.queued().count() == 3
    row = Batch.objects.get()
    assert (row.zip_state, row.zip_parts, row.lease_token) == ("unpacked", [], None)
    assert not [name for name in default_storage.listdir(f"batches/{batch}")[1] if name.startswith("zip-")]


def test_another_zip_does_not_go_on_with_this_one(client: Client, ann: Patient) -> None:
    content = packed({"a.png": png()})
    batch = announced(client, content).json()["batch"]
    zip_facts = {"path": "films.zip", "size": len(content), "modified": "2"}
    listing = json.dumps({"films": [], "zip": zip_facts})
    response = client.post(reverse("batch_announce", args=[batch]), {"listing": listing})
    assert response.status_code == 422
    assert "belongs to another zip" in response.json()["faults"][0]


def test_a_zip_that_is_sent_no_more_can_be_given_up(client: Client, ann: Patient) -> None:
    content = packed({"a.png": png()})
    batch = announced(client, content).json()["batch"]
    part(client, batch, 0, content[:100])
    client.post(reverse("batch_give_up", args=[batch]))
    assert (Batch.objects.get().zip_state, Batch.objects.get().zip_parts) == ("refused", [])
    assert part(client, batch, 100, content[100:]).status_code == 409


def test_a_zip_that_is_too_large_begins_no_batch(client: Client, ann: Patient, settings: Any) -> None:
    settings.MAX_ZIP_BYTES = 100
    response = announced(client, bytes(101))
    assert response.status_code == 422
    assert not Batch.objects.exists()


def test_a_manifest_inside_the_zip_decides(ann: Patient) -> None:
    text = b"file,patient number,name\na.png,P-1,\nsub/b.png,P-2,Bea New\n"
    batch = BatchFactory(clinic=ann.clinic)
    waiting(
        batch,
        packed({"top/manifest.csv": text, "top/a.png": png(1), "top/sub/b.png": png(2), "top/c.png": png(3)}),
    )
    unpack.work()
    assert [a.state for a in batch.arrivals.order_by("member")] == ["stored", "stored", "unassigned"]
    assert Patient.objects.get(mrn="P-2").films.count() == ann.films.count() == 1


def test_a_wrong_manifest_inside_the_zip_takes_nothing(ann: Patient) -> None:
    batch = waiting(
        BatchFactory(clinic=ann.clinic), packed({"manifest.csv": b"file\na.png\n", "a.png": png(1)})
    )
    unpack.work()
    batch.refresh_from_db()
    assert batch.zip_state == "refused"
    assert "manifest.csv inside the zip is wrong" in batch.zip_reason
    assert not batch.arrivals.exists()


def test_a_killed_workers_zip_is_taken_up_where_it_was(ann: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = BatchFactory(clinic=ann.clinic, patient=ann)
    waiting(batch, packed({f"{n}.png": png(n) for n in range(4)}))
    taken = iter(range(2))

    def dies(batch: Batch, file: Archive, arrival: Arrival) -> None:
        if next(taken, None) is None:
            raise KeyboardInterrupt
        take(batch, file, arrival)

    take = unpack._take_member
    with monkeypatch.context() as patched:
        patched.setattr(unpack, "_take_member", dies)
        with pytest.raises(KeyboardInterrupt):
            unpack.work()
    assert (Film.objects.count(), Batch.objects.get().zip_state) == (2, "unpacking")
    assert unpack.claim() is None
    assert unpack.reconcile() == 0
    Batch.objects.update(lease_until=timezone.now())
    assert unpack.reconcile() == 1
    unpack.work()
    assert (Film.objects.count(), Batch.objects.get().zip_state) == (4, "unpacked")
    assert set(batch.arrivals.values_list("state", flat=True)) == {"stored"}


def test_a_member_that_kills_three_workers_is_refused_and_the_others_go_on(ann: Patient) -> None:
    batch = BatchFactory(clinic=ann.clinic, patient=ann)
    waiting(batch, packed({f"{n}.png": png(n) for n in range(2)}))
    with unpack._opened(batch) as file:
        unpack._list_members(batch, file)
    for _ in range(3):
        assert unpack.claim()
        Batch.objects.update(lease_until=timezone.now())
        unpack.reconcile()
    unpack.work()
    first, second = batch.arrivals.order_by("member")
    assert (first.state, second.state) == ("refused", "stored")
    assert "The worker stopped 3 times" in first.reason


def test_two_workers_do_not_unpack_one_zip(ann: Patient) -> None:
    batch = waiting(BatchFactory(clinic=ann.clinic, patient=ann), packed({"a.png": png()}))
    held = unpack.claim()
    assert held
    assert unpack.claim() is None
    # The first was thought dead, and comes back: it may not write any more.
    Batch.objects.update(lease_until=timezone.now())
    unpack.reconcile()
    assert unpack.claim()
    assert not unpack.LEASES.release(held, "unpacked")
    assert Batch.objects.get(pk=batch.pk).zip_state == "unpacking"


def test_without_a_model_the_zip_waits(ann: Patient) -> None:
    batch = waiting(BatchFactory(clinic=ann.clinic, patient=ann), packed({"a.png": png()}))
    ModelVersion.objects.update(stage="retired")
    assert not unpack.work()
    batch.refresh_from_db()
    assert (batch.zip_state, batch.attempts, batch.arrivals.get().state) == ("waiting", 0, "expected")
