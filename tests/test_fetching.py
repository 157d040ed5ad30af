"""Data sets are downloaded and unpacked whole and verified or not at all, whatever servers and archives do."""

import contextlib
import errno
import functools
import gzip
import hashlib
import http.server
import importlib
import io
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from common import data
from common.data import __main__ as data_command
from common.data import archives, catalogue, downloads, fetch, native, recorded
from common.data import prepared as prepared_sets
from common.data.downloads import Expected, download
from common.errors import RelicError, run_main

ROOT = Path(__file__).resolve().parents[1]


def picture(seed=0, height=20, width=30, file_format="PNG"):
    """Return the bytes of a picture file that no two seeds share."""
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, file_format)
    return buffer.getvalue()


def sha256(content):
    """Return the sha256 of some bytes."""
    return hashlib.sha256(content).hexdigest()


def rows(files):
    """Return what is recorded of files, {path: bytes}."""
    return {path: (len(content), sha256(content)) for path, content in files.items()}


def tar_of(members, mode="w"):
    """Return a tar archive of {path: bytes, or a TarInfo that says what else the member is}."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for path, content in members.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(path)
            if isinstance(content, bytes):
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return buffer.getvalue()


def zip_of(members):
    """Return a zip archive of pairs of path and bytes, or of {path: bytes}."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in members.items() if isinstance(members, dict) else members:
            archive.writestr(path, content)
    return buffer.getvalue()


def files_below(folder):
    """Return the paths of all files below a folder, hidden ones too, sorted."""
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


def written(path, content):
    """Write bytes below folders that are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """Point every place that sets are looked for to empty folders of this test, and wait for no server."""
    monkeypatch.setenv("RELIC_DATA", str(tmp_path / "own"))
    monkeypatch.setenv("RELIC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "prepared"))
    monkeypatch.setattr(downloads, "PAUSE_SECONDS", 0)
    return SimpleNamespace(own=tmp_path / "own", sets=tmp_path / "cache/data", archives=tmp_path / "cache/archives")


# --- servers that keep to the rules, and others ---------------------------------------------------------------------


class Handler(http.server.BaseHTTPRequestHandler):
    """Serve `files` by name; how it misbehaves is set on the class."""

    files: dict = {}
    asked: list = []
    ranges = True
    dropped_after = None  # bytes that are sent of the first answers
    drops = 1
    claimed = None  # a length that is not the true one
    pause = 0.0  # seconds after each byte

    def do_GET(self):
        path = self.path.removeprefix("/below/")
        start = int(re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "bytes=0-")[1]) if self.ranges else 0
        type(self).asked.append((path, start))
        content = self.files.get(path)
        if content is None or (start and start >= len(content)):
            self.send_error(404 if content is None else 416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(self.claimed or len(content) - start))
        self.end_headers()
        rest = content[start:]
        if self.dropped_after is not None and self.drops > 0:
            type(self).drops -= 1
            rest = rest[: self.dropped_after]
        with contextlib.suppress(ConnectionError):
            for part in [rest[i : i + 1] for i in range(20)] if self.pause else [rest]:
                self.wfile.write(part)
                time.sleep(self.pause)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    """Serve files below `server.url` on the loopback address."""
    handler = type("OwnHandler", (Handler,), {"files": {}, "asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        handler.url = f"http://127.0.0.1:{running.server_port}/below/"
        threading.Thread(target=functools.partial(running.serve_forever, 0.01), daemon=True).start()
        yield handler
        running.shutdown()


CONTENT = bytes(range(256)) * 800


@pytest.fixture
def known(server, tmp_path):
    """Serve CONTENT as `x`; return (url, path, what is expected)."""
    server.files["x"] = CONTENT
    return f"{server.url}x", tmp_path / "x", Expected(len(CONTENT), sha256(CONTENT))


def test_a_download_appears_whole_under_its_name(server, known):
    download(*known)
    assert known[1].read_bytes() == CONTENT and files_below(known[1].parent) == ["x"]


def test_a_dropped_connection_is_taken_up_where_it_was(server, known):
    server.dropped_after, server.drops = 80_000, 2
    download(*known)
    assert known[1].read_bytes() == CONTENT
    assert server.asked == [("x", 0), ("x", 80_000), ("x", 160_000)]


def test_a_download_that_was_killed_goes_on(server, known):
    written(known[1].with_name("x.partial"), CONTENT[:50_000])
    download(*known)
    assert known[1].read_bytes() == CONTENT and server.asked == [("x", 50_000)]


def test_a_server_that_knows_no_ranges_sends_all_again(server, known):
    server.ranges, server.dropped_after = False, 80_000
    download(*known)
    assert known[1].read_bytes() == CONTENT and server.asked == [("x", 0), ("x", 0)]


def test_a_server_that_drops_every_connection_at_once_is_given_up_and_what_came_is_kept(server, known):
    server.dropped_after, server.drops = 7, 1000
    with pytest.raises(
        RelicError, match=r"cannot download .*ended after 21 of 204,800 bytes.*goes on after the 21 bytes"
    ):
        download(*known)
    assert files_below(known[1].parent) == ["x.partial"] and len(server.asked) == downloads.TRIES


def test_another_length_than_expected_is_refused_before_anything_is_written(server, known):
    server.files["x"] = CONTENT + b"!"
    with pytest.raises(RelicError, match="refused .*: it has 204,801 bytes, not 204,800"):
        download(*known)
    assert files_below(known[1].parent) == []


def test_more_bytes_than_a_server_claims_are_not_taken(server, known):
    server.files["x"], server.claimed = CONTENT + bytes(9), len(CONTENT)
    download(*known)
    assert known[1].read_bytes() == CONTENT


def test_fewer_bytes_than_a_server_claims_are_no_file(server, known):
    server.files["x"], server.claimed = CONTENT[:-9], len(CONTENT)
    with pytest.raises(RelicError, match="cannot download"):
        download(*known)
    assert not known[1].exists()


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_another_digest_is_refused_and_nothing_is_kept(server, known, kind):
    expected = Expected(len(CONTENT), **{kind: hashlib.new(kind, b"other").hexdigest()})
    with pytest.raises(RelicError, match=f"refused .*: its {kind} is not the published one"):
        download(*known[:2], expected)
    assert files_below(known[1].parent) == []


def test_a_server_that_always_begins_anew_is_given_up(server, known):
    server.ranges, server.dropped_after, server.drops = False, 80_000, 1000
    with pytest.raises(RelicError, match="cannot download .*ended after 80,000 of 204,800 bytes"):
        download(*known)
    assert len(server.asked) == downloads.TRIES + 1


def test_what_is_left_of_a_longer_file_is_not_gone_on_with(server, known):
    written(known[1].with_name("x.partial"), CONTENT + CONTENT)
    download(*known)
    assert known[1].read_bytes() == CONTENT and server.asked == [("x", 409_600), ("x", 0)]


def test_a_file_of_unknown_size_is_downloaded_and_bounded(server, known, monkeypatch):
    download(*known[:2], Expected())
    assert known[1].read_bytes() == CONTENT
    monkeypatch.setattr(downloads, "MOST_BYTES", 1000)
    with pytest.raises(RelicError, match="refused .*: it has 204,800 bytes, not 1,000"):
        download(*known[:2], Expected())


def test_a_server_that_sends_a_byte_now_and_then_is_given_up(server, known, monkeypatch):
    monkeypatch.setattr(downloads, "SLOW_SECONDS", 0.1)
    server.pause = 0.03
    with pytest.raises(RelicError, match=r"cannot download .*/x \(\d bytes in 0.1 s\): the same command goes on after"):
        download(*known)
    assert not known[1].exists()


@pytest.mark.parametrize("url", ["nonsense", "file:///etc/passwd", "http://127.0.0.1:9/x", "http:///x"])
def test_an_address_without_a_server_is_one_sentence(known, url):
    with pytest.raises(RelicError, match=f"^cannot download {url} .*: try again, or bring it$") as refusal:
        download(url, *known[1:], "bring it")
    assert "\n" not in str(refusal.value)


# --- sets of files that are downloaded one by one -------------------------------------------------------------------


@pytest.fixture
def kodak(server, monkeypatch):
    """Serve three made-up pictures in the place of Kodak's."""
    files = {f"kodim0{n}.png": picture(n) for n in (1, 2, 3)}
    monkeypatch.setattr(recorded, "files", lambda name: rows(files) if name == "kodak" else {})
    server.files.update(files)
    return server


def names_asked(server):
    """Return the names that a server was asked for, in order."""
    return [name for name, _ in server.asked]


def test_kodak_is_fetched_into_the_cache_and_found_there(kodak, places, capsys):
    data_command.fetch("kodak", kodak.url)
    assert [stem for stem, _ in data.images("kodak")] == ["kodim01", "kodim02", "kodim03"]
    assert files_below(places.sets) == ["kodak/kodim01.png", "kodak/kodim02.png", "kodak/kodim03.png"]
    said = capsys.readouterr().out
    assert "3/3 kodim03.png" in said and said.endswith(f"kodak: {places.sets / 'kodak'}\n")
    data_command.fetch("kodak", kodak.url)
    assert len(kodak.asked) == 3  # nothing is asked for twice


def test_an_interrupted_fetch_goes_on_and_half_a_set_is_never_found(kodak, places):
    third = kodak.files.pop("kodim03.png")
    with pytest.raises(RelicError, match="cannot download .*kodim03.png .*Not Found.*RELIC_DATA/kodak"):
        data_command.fetch("kodak", kodak.url)
    with pytest.raises(RelicError, match="no data set kodak"):
        data.images("kodak")
    kodak.files["kodim03.png"] = third
    kodak.asked.clear()
    data_command.fetch("kodak", kodak.url)
    assert names_asked(kodak) == ["kodim03.png"] and len(data.images("kodak")) == 3


@pytest.mark.parametrize("change", [lambda x: x[:-1], lambda x: x + b"!", lambda x: x[:-9] + b"?" + x[-8:]])
def test_a_file_that_is_not_the_original_is_refused_and_not_kept(kodak, places, change):
    kodak.files["kodim02.png"] = change(kodak.files["kodim02.png"])
    with pytest.raises(RelicError, match="refused http://.*kodim02.png: its? "):
        data_command.fetch("kodak", kodak.url)
    assert files_below(places.sets) == [".kodak.partial/kodim01.png"]


def test_a_damaged_file_in_the_cache_is_fetched_again(kodak, places):
    data_command.fetch("kodak", kodak.url)
    (places.sets / "kodak/kodim01.png").write_bytes(b"damaged")
    kodak.asked.clear()
    data_command.fetch("kodak", kodak.url)
    assert names_asked(kodak) == ["kodim01.png"] and len(data.images("kodak")) == 3


def test_of_several_fetches_at_once_one_downloads_and_all_succeed(kodak, places, capsys):
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: data_command.fetch("kodak", kodak.url), range(3)))
    assert sorted(names_asked(kodak)) == ["kodim01.png", "kodim02.png", "kodim03.png"]
    assert len(files_below(places.sets)) == 3 and capsys.readouterr().out.count("kodak: ") == 3


def test_a_set_that_is_elsewhere_already_is_not_downloaded(kodak, places, capsys):
    written(places.own / "kodak/kodim01.png", picture(1))
    data_command.fetch("kodak")
    assert kodak.asked == [] and "kodak is there already" in capsys.readouterr().out


def test_files_in_folders_and_with_any_sign_in_their_names_are_fetched(server, monkeypatch, places):
    files = {"train/a b.png": picture(1), "val/carpenter's_kit.png": picture(2), "test/%41#?.png": picture(3)}
    monkeypatch.setattr(recorded, "files", lambda name: rows(files))
    server.files.update({"train/a%20b.png": picture(1), "val/carpenter%27s_kit.png": picture(2)})
    server.files["test/%2541%23%3F.png"] = picture(3)
    data_command.fetch("bsds500/train", server.url)
    assert files_below(places.sets / "bsds500") == sorted(files)


def test_what_states_no_licence_is_downloaded_only_from_an_address_that_is_given(server, monkeypatch, places):
    files = {"01.png": picture(1)}
    monkeypatch.setattr(recorded, "files", lambda name: rows(files))
    with pytest.raises(RelicError, match="set12 is not downloaded unasked.*no licence.* add --url https://.*/Set12/$"):
        data_command.fetch("set12")
    server.files.update(files)
    data_command.fetch("set12", server.url)
    data_command.fetch("set12")
    assert files_below(places.sets) == ["set12/01.png"] and len(server.asked) == 1


def test_without_a_network_fetching_ends_in_one_sentence(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["data", "fetch", "kodak", "--url", "http://127.0.0.1:9/"])
    with pytest.raises(SystemExit) as stop:
        run_main(data_command.main)
    assert str(stop.value).startswith("error: cannot download http://127.0.0.1:9/kodim01.png (")


@pytest.mark.slow
def test_kodak_has_a_builder_that_verifies_its_downloads(kodak, tmp_path, monkeypatch):
    pytest.importorskip("tensorflow_datasets")
    monkeypatch.setattr(fetch, "KODAK_URL", kodak.url)
    monkeypatch.setattr(fetch, "KODAK", recorded.files("kodak"))
    monkeypatch.delitem(sys.modules, "common.data.kodak_builder", raising=False)
    module = importlib.import_module("common.data.kodak_builder")
    builder = module.Kodak(data_dir=tmp_path / "prepared", file_format="array_record")
    monkeypatch.delitem(sys.modules, "common.data.kodak_builder")
    config = prepared_sets.tensorflow_datasets().download.DownloadConfig(try_download_gcs=False)
    second = kodak.files["kodim02.png"]
    kodak.files["kodim02.png"] = picture(9)
    with pytest.raises(Exception, match="(?i)checksum"):
        builder.download_and_prepare(download_config=config)
    kodak.files["kodim02.png"] = second
    builder.download_and_prepare(download_config=config)
    assert len(data.images("kodak")) == 3


# --- archives -------------------------------------------------------------------------------------------------------


def wanted(path):
    """Take the pictures of a folder `in`."""
    match = re.fullmatch(r"(?:.*/)?in/(.*\.png)", path)
    return match[1] if match else ""


def special(path, kind, **fields):
    """Return what a tar archive says of a member that is no plain file."""
    info = tarfile.TarInfo(path)
    info.type = kind
    for name, value in fields.items():
        setattr(info, name, value)
    return info


def symlink_in_zip():
    """Return a zip archive with a symbolic link."""
    info = zipfile.ZipInfo("in/a.png")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return zip_of([(info, "/etc/passwd")])


def sparse(path, size):
    """Return a GNU sparse member's header that claims a size."""
    return special(path, tarfile.GNUTYPE_SPARSE, size=size)


PICTURE = picture()
HOSTILE = {
    "up": (tar_of({"in/a.png": PICTURE, "in/../../b.png": PICTURE}), "leads out of a folder"),
    "up in zip": (zip_of({"../in/a.png": PICTURE}), "leads out of a folder"),
    "up by backslash": (zip_of({"..\\in/a.png": PICTURE}), "leads out of a folder"),
    "absolute": (tar_of({"/tmp/in/a.png": PICTURE}), "leads out of a folder"),
    "absolute in zip": (zip_of({"/in/a.png": PICTURE}), "leads out of a folder"),
    "link": (tar_of({"in/a.png": special("in/a.png", tarfile.SYMTYPE, linkname="/etc/passwd")}), "is a link or a dev"),
    "link in zip": (symlink_in_zip(), "is a link or a device"),
    "hard link": (tar_of({"x": b"", "y": special("in/a.png", tarfile.LNKTYPE, linkname="x")}), "is a link or a device"),
    "device": (tar_of({"x": special("in/a.png", tarfile.CHRTYPE, devmajor=1, devminor=5)}), "is a link or a device"),
    "pipe": (tar_of({"x": special("in/a.png", tarfile.FIFOTYPE)}), "is a link or a device"),
    "sparse": (tar_of({"x": sparse("in/a.png", 100)}), "is a link or a device|truncated, damaged"),
    "twice": (tar_of({"in/a.png": PICTURE, "b/in/a.png": PICTURE}), "it holds a.png twice"),
    "bomb": (gzip.compress(tar_of({"in/a.png": bytes(2**22)})), "unpacks to more than 20 times"),
    "bomb in zip": (zip_of({"in/a.png": bytes(2**22)}), "unpacks to more than 20 times"),
    "bomb beside": (gzip.compress(tar_of({"notes": bytes(2**22), "in/a.png": PICTURE})), "unpacks to more than 20"),
    "bomb of a header": (
        gzip.compress(tar_of({"x": special("in/a.png", tarfile.GNUTYPE_LONGNAME, size=2**40)})),
        "truncated, damaged",
    ),
    "truncated": (tar_of({"in/a.png": PICTURE})[:900], "truncated, damaged"),
    "truncated gzip": (gzip.compress(tar_of({"in/a.png": PICTURE}))[:1000], "truncated, damaged"),
    "truncated zip": (zip_of({"in/a.png": PICTURE})[:-10], "truncated, damaged"),
    "no archive": (b"<html>not found</html>" * 50, "truncated, damaged or no tar or zip archive"),
    "empty": (b"", "truncated, damaged or no tar or zip archive"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_or_damaged_archive_is_refused_and_nothing_is_written_elsewhere(tmp_path, kind):
    content, reason = HOSTILE[kind]
    archive = written(tmp_path / "work/x.tar", content)
    folder = tmp_path / "work/deep/folder"
    with pytest.raises(RelicError, match=reason) as refusal:
        archives.unpack(archive, wanted, folder)
    assert "\n" not in str(refusal.value) and str(archive) in str(refusal.value)
    outside = [path for path in files_below(tmp_path) if not path.startswith("work/deep/folder/")]
    assert outside == ["work/x.tar"]


def test_what_is_not_wanted_stays_in_the_archive_even_a_link(tmp_path):
    members = {"top/in/a.png": PICTURE, "top/readme": b"x", "l": special("l", tarfile.SYMTYPE, linkname="/etc")}
    archive = written(tmp_path / "x.tar", tar_of(members))
    assert archives.unpack(archive, wanted, tmp_path / "out") == ["a.png"]
    assert files_below(tmp_path / "out") == ["a.png"]


@pytest.mark.parametrize("pack", [tar_of, lambda x: gzip.compress(tar_of(x)), zip_of], ids=["tar", "tgz", "zip"])
def test_every_kind_of_archive_is_unpacked_and_what_is_there_is_kept(tmp_path, pack):
    archive = written(tmp_path / "x", pack({"./in/a.png": PICTURE, "in/b/c.png": picture(1)}))
    assert archives.unpack(archive, wanted, tmp_path / "out") == ["a.png", "b/c.png"]
    first, second = tmp_path / "out/a.png", tmp_path / "out/b/c.png"
    before = first.stat().st_mtime_ns
    second.write_bytes(b"cut")
    assert archives.unpack(archive, wanted, tmp_path / "out") == ["a.png", "b/c.png"]
    assert first.stat().st_mtime_ns == before and second.read_bytes() == picture(1)


def test_a_link_that_lies_in_the_place_of_a_file_is_not_followed(tmp_path):
    secret = written(tmp_path / "secret", PICTURE)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.png").symlink_to(secret)
    archives.unpack(written(tmp_path / "x.tar", tar_of({"in/a.png": picture(1, 40)})), wanted, tmp_path / "out")
    assert secret.read_bytes() == PICTURE and not (tmp_path / "out/a.png").is_symlink()


# --- sets made from archives ----------------------------------------------------------------------------------------


def shrunk(monkeypatch, name, pictures, *contents, url=""):
    """Let a set of the catalogue have so few pictures, and archives of these bytes as published ones."""
    known = catalogue.SETS[name]
    small = tuple(
        replace(archive, size=len(content), sha256=sha256(content), md5="", url=url and f"{url}{archive.file}")
        for archive, content in zip(known.archives, contents, strict=True)
    )
    changed = replace(known, pictures=pictures, size=100, archives=small)
    monkeypatch.setattr(catalogue, "SETS", {**catalogue.SETS, name: changed})


def imagenet_validation(monkeypatch, count=3):
    """Return a tar archive like ILSVRC2012_img_val.tar, which the catalogue takes for it."""
    names = [f"ILSVRC2012_val_{number:08d}.JPEG" for number in range(1, count + 1)]
    content = tar_of({name: picture(seed, file_format="JPEG") for seed, name in enumerate(names)})
    shrunk(monkeypatch, "imagenet2012/validation", count, content)
    return content


def test_imagenets_validation_is_made_from_its_archive_alone(tmp_path, monkeypatch, places):
    archive = written(tmp_path / "val.tar", imagenet_validation(monkeypatch))
    data_command.fetch("imagenet2012/validation", archives=[archive])
    found = data.images("imagenet2012/validation")
    assert [stem for stem, _ in found] == [f"ILSVRC2012_val_{number:08d}" for number in (1, 2, 3)]
    assert archive.exists() and len(files_below(places.sets)) == 3


@pytest.mark.parametrize("place", ["own", "prepared/downloads/manual"])
def test_an_archive_that_the_user_has_put_there_is_found(tmp_path, monkeypatch, place):
    path = written(tmp_path / place / "ILSVRC2012_img_val.tar", imagenet_validation(monkeypatch))
    data_command.fetch("imagenet2012/validation")
    assert len(data.images("imagenet2012/validation")) == 3 and path.exists()


def test_without_its_archive_the_sentence_says_which_one_goes_where(tmp_path):
    said = (
        r"imagenet2012/validation is made from ILSVRC2012_img_val.tar \(6.7 GB, md5 29b22e2961454d5413ddabcf34fc5622\),"
        rf" which https://image-net.org/\S+ gives to those who register: put it into {tmp_path}/own or .* --archive "
    )
    with pytest.raises(RelicError, match=said):
        data_command.fetch("imagenet2012/validation")
    with pytest.raises(RelicError, match="no such file: .*gone.tar"):
        data_command.fetch("imagenet2012/validation", archives=[tmp_path / "gone.tar"])


@pytest.mark.parametrize("change", [lambda x: x[:-512], lambda x: x[:600] + b"?" + x[601:]], ids=["cut", "damaged"])
def test_an_archive_that_is_another_one_is_refused_before_it_is_unpacked(tmp_path, monkeypatch, places, change):
    archive = written(tmp_path / "own.tar", change(imagenet_validation(monkeypatch)))
    with pytest.raises(RelicError, match="own.tar is not ILSVRC2012_img_val.tar as published, or not all of it: its? "):
        data_command.fetch("imagenet2012/validation", archives=[archive])
    assert files_below(places.sets) == []


def test_an_archive_with_too_few_pictures_leaves_nothing(tmp_path, monkeypatch, places):
    content = imagenet_validation(monkeypatch, 2)
    shrunk(monkeypatch, "imagenet2012/validation", 3, content)
    with pytest.raises(RelicError, match="holds 2 of the 3 pictures of imagenet2012/validation: it is another archive"):
        data_command.fetch("imagenet2012/validation", archives=[written(tmp_path / "val.tar", content)])
    assert list(places.sets.rglob("*")) == [places.sets / "imagenet2012"]


def test_imagenets_training_set_is_made_from_a_tar_of_tars(tmp_path, monkeypatch, places):
    classes = {
        name: tar_of({f"{name}_{number}.JPEG": picture(seed + number, file_format="JPEG") for number in (7, 10026)})
        for seed, name in enumerate(["n01440764", "n15075141"])
    }
    content = tar_of({f"{name}.tar": inner for name, inner in classes.items()})
    shrunk(monkeypatch, "imagenet2012/train", 4, content)
    data_command.fetch("imagenet2012/train", archives=[written(tmp_path / "train.tar", content)])
    folder = places.sets / "imagenet2012/train"
    assert files_below(folder) == [f"{name}/{name}_{number}.JPEG" for name in classes for number in (10026, 7)]
    assert len(data.images("imagenet2012/train")) == 4


def test_a_disk_that_is_full_stops_with_one_sentence_and_the_same_command_goes_on(tmp_path, monkeypatch, places):
    archive = written(tmp_path / "val.tar", imagenet_validation(monkeypatch))
    write = archives._write

    def full(path, *rest):
        if path.name.endswith("2.JPEG"):
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, *rest)

    monkeypatch.setattr(archives, "_write", full)
    with pytest.raises(RelicError, match="no space left on the disk of .*/imagenet2012 for all of imagenet2012/valid"):
        data_command.fetch("imagenet2012/validation", archives=[archive])
    (first,) = places.sets.rglob("*1.JPEG")
    before = first.stat().st_mtime_ns
    for name in ("imagenet2012/validation", "imagenet2012"):
        with pytest.raises(RelicError, match="no data set|no pictures"):
            data.images(name)
    monkeypatch.setattr(archives, "_write", write)
    data_command.fetch("imagenet2012/validation", archives=[archive])
    kept = places.sets / "imagenet2012/validation" / first.name
    assert kept.stat().st_mtime_ns == before and len(data.images("imagenet2012/validation")) == 3


def test_a_disk_that_is_too_small_is_named_before_anything_is_done(tmp_path, monkeypatch):
    archive = written(tmp_path / "val.tar", imagenet_validation(monkeypatch))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=50))
    said = "imagenet2012/validation needs 100 B on the disk of .*, which has 50 B left: free some, or set RELIC_CACHE"
    with pytest.raises(RelicError, match=said):
        data_command.fetch("imagenet2012/validation", archives=[archive])


def test_leftovers_of_another_archive_are_not_taken_for_pictures_of_the_set(tmp_path, monkeypatch, places):
    written(places.sets / "imagenet2012/.validation.partial/stale.JPEG", picture(file_format="JPEG"))
    archive = written(tmp_path / "val.tar", imagenet_validation(monkeypatch))
    data_command.fetch("imagenet2012/validation", archives=[archive])
    assert len(data.images("imagenet2012/validation")) == 3


def test_coco_is_downloaded_unpacked_and_its_archive_removed(server, monkeypatch, places, capsys):
    content = zip_of(
        {"train2017/": b"", **{f"train2017/{n:012d}.jpg": picture(n, file_format="JPEG") for n in (9, 25)}}
    )
    shrunk(monkeypatch, "coco/train", 2, content, url=server.url)
    server.files["train2017.zip"] = content
    data_command.fetch("coco/train")
    assert [stem for stem, _ in data.images("coco/train")] == ["000000000009", "000000000025"]
    assert files_below(places.archives) == []
    assert f"downloading train2017.zip, {fetch.in_words(len(content))}, from {server.url}" in capsys.readouterr().out
    data_command.fetch("coco/train")
    assert len(server.asked) == 1


@pytest.mark.parametrize("url", ["", "train2017.zip"])
def test_another_address_is_that_of_the_archive_or_of_its_folder(server, monkeypatch, url):
    content = zip_of({f"train2017/{n:012d}.jpg": picture(n, file_format="JPEG") for n in (9, 25)})
    shrunk(monkeypatch, "coco/train", 2, content, url="http://127.0.0.1:9/")
    server.files["train2017.zip"] = content
    data_command.fetch("coco/train", f"{server.url}{url}")
    assert len(data.images("coco/train")) == 2


@pytest.mark.parametrize("order", [1, -1])
def test_clics_validation_set_is_made_from_two_archives(tmp_path, monkeypatch, order):
    professional = zip_of({"valid/": b"", "valid/p.png": picture(1), "__MACOSX/._p.txt": b""})
    contents = [professional, zip_of({"m.png": picture(2)})]
    shrunk(monkeypatch, "clic/validation", 2, *contents)
    names = ["professional_valid_2020.zip", "mobile_valid_2020.zip"]
    paths = [written(tmp_path / name, content) for name, content in zip(names, contents, strict=True)]
    data_command.fetch("clic", archives=paths[::order])
    assert [stem for stem, _ in data.images("clic/validation")] == ["m", "p"]


def test_a_set_of_two_archives_is_not_made_from_one(tmp_path):
    with pytest.raises(
        RelicError, match=r"from professional_valid_2020.zip and mobile_\S+.zip: give --archive 2 times"
    ):
        data_command.fetch("clic/validation", archives=[tmp_path / "x.zip"])


def test_clics_validation_is_read_from_a_folder_of_that_name_and_its_tables_name_it(places):
    written(places.own / "clic/validation/a.png", PICTURE)
    assert [stem for stem, _ in data.images("clic/validation")] == ["a"]


def bsds500(monkeypatch, pack=lambda x: gzip.compress(tar_of(x)), top="BSR/"):
    """Return an archive like BSR_bsds500.tgz of three pictures, whose digests are the recorded ones."""
    paths = ("train/7.jpg", "val/8.jpg", "test/9.jpg")
    files = {path: picture(seed, file_format="JPEG") for seed, path in enumerate(paths)}
    monkeypatch.setattr(recorded, "files", lambda name: rows(files))
    few = replace(catalogue.SETS["bsds500"], pictures=3)
    monkeypatch.setattr(catalogue, "SETS", {**catalogue.SETS, "bsds500": few})
    images = f"{top}BSDS500/data/images"
    members = {f"{images}/{path}": content for path, content in files.items()}
    return pack({f"{images}/train/Thumbs.db": b"x", **members, f"{top}BSDS500/data/groundTruth/train/7.mat": b"x"})


@pytest.mark.parametrize(
    "name, top, pack",
    [("BSR_bsds500.tgz", "BSR/", lambda x: gzip.compress(tar_of(x))), ("master.zip", "BSDS500-master/", zip_of)],
)
def test_bsds500_is_made_from_berkeleys_archive_or_a_mirrors(tmp_path, monkeypatch, places, name, top, pack):
    archive = written(tmp_path / name, bsds500(monkeypatch, pack, top))
    data_command.fetch("bsds500", archives=[archive])
    assert files_below(places.sets / "bsds500") == ["test/9.jpg", "train/7.jpg", "val/8.jpg"]
    assert len(data.images("bsds500/val")) == 1


def test_an_archive_with_other_pictures_than_recorded_is_refused_downloaded_or_given(server, monkeypatch, places):
    content = bsds500(monkeypatch)
    real = recorded.files("bsds500")
    changed = {**real, "val/8.jpg": (real["val/8.jpg"][0], "0" * 64)}
    monkeypatch.setattr(recorded, "files", lambda name: changed)
    server.files["BSR_bsds500.tgz"] = content
    with pytest.raises(RelicError, match="holds another val/8.jpg than bsds500: its sha256 is not the recorded one"):
        data_command.fetch("bsds500", f"{server.url}BSR_bsds500.tgz")
    assert files_below(places.sets.parent) == []  # the archive is not kept either


@pytest.mark.parametrize(
    "name, said",
    [
        (
            "clic_subset",
            "clic_subset cannot be fetched, as no public source of it is known: put its pictures into",
        ),
        ("stl10_examples", "stl10_examples cannot be fetched, .*`python -m common.data list stl10_examples` says more"),
        ("imagenet2012", "imagenet2012 is fetched in parts: fetch imagenet2012/validation or imagenet2012/train"),
    ],
)
def test_a_set_that_cannot_be_fetched_says_why(name, said):
    with pytest.raises(RelicError, match=said):
        data_command.fetch(name)


def test_what_is_built_in_needs_no_fetching(capsys):
    data_command.fetch("sample")
    assert capsys.readouterr().out == "sample needs no fetching: it is built in\nsample: built in\n"


# --- CIFAR and STL-10 in their own formats --------------------------------------------------------------------------


def coordinates(side, seed):
    """Return a picture, (side, side, 3), whose channels are its row, its column and a number of its own."""
    rows, columns = np.mgrid[:side, :side]
    return np.stack([rows, columns, np.full_like(rows, seed)], axis=-1).astype(np.uint8)


def binary(layout, seeds):
    """Return records as the archive's page describes them: labels, then planes of R, G and B, by rows or columns."""
    records = []
    for seed in seeds:
        planes = (
            coordinates(layout.side, seed).transpose(2, 1, 0)
            if layout.by_columns
            else coordinates(layout.side, seed).transpose(2, 0, 1)
        )
        records.append(bytes([99] * layout.labels) + np.ascontiguousarray(planes).tobytes())
    return b"".join(records)


def native_archive(monkeypatch, name):
    """Return an archive of a set's own layout with few pictures, and the seeds of each split."""
    layout, seeds, members, counts, seed = native.LAYOUTS[name], {}, {}, {}, 0
    for split, files in layout.files.items():
        seeds[split] = []
        for file in files:
            members[f"{layout.folder}/{file}"] = binary(layout, [seed, seed + 1])
            seeds[split] += [seed, seed + 1]
            seed += 2
        counts[split] = 2 * len(files)
    members = dict(sorted(members.items(), key=lambda item: item[0], reverse=True))  # in no helpful order
    members |= {f"{layout.folder}/{other}": b"x" for other in ("batches.meta.txt", "train_y.bin")}
    content = gzip.compress(tar_of(members), 1)
    monkeypatch.setattr(native, "LAYOUTS", {**native.LAYOUTS, name: replace(layout, pictures=counts)})
    shrunk(monkeypatch, name, sum(counts.values()), content)
    return content, seeds


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "stl10"])
def test_cifar_and_stl10_are_read_upright_in_rgb_and_in_order(tmp_path, monkeypatch, places, name):
    content, seeds = native_archive(monkeypatch, name)
    data_command.fetch(name, archives=[written(tmp_path / "x.tar.gz", content)])
    assert files_below(places.sets) == [f"{name}/{name}.npz"]
    for split, expected in seeds.items():
        found = data.images(f"{name}/{split}")
        assert [stem for stem, _ in found] == [f"{split}_{index:06d}" for index in range(len(expected))]
        for seed, (_, x) in zip(expected, found, strict=True):
            np.testing.assert_array_equal(x, coordinates(native.LAYOUTS[name].side, seed))


def test_the_arrays_are_not_compressed_and_their_headers_count_the_pictures(tmp_path, monkeypatch, places):
    content, _ = native_archive(monkeypatch, "stl10")
    data_command.fetch("stl10", archives=[written(tmp_path / "x.tar.gz", content)])
    path = places.sets / "stl10/stl10.npz"
    with zipfile.ZipFile(path) as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
    assert native.counts(path) == {"train": 2, "test": 2, "unlabelled": 2}
    assert native.counts(path.with_name("gone.npz")) == {}
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(RelicError, match="truncated, damaged or no npz file"):
        native.counts(path)


def test_an_archive_of_another_set_is_refused_and_nothing_is_left(tmp_path, monkeypatch, places):
    content, _ = native_archive(monkeypatch, "cifar100")
    shrunk(monkeypatch, "cifar10", 4, content)
    with pytest.raises(RelicError, match="the archive of cifar10 lacks cifar-10-batches-bin/data_batch_1.bin"):
        data_command.fetch("cifar10", archives=[written(tmp_path / "x.tar.gz", content)])
    assert files_below(places.sets) == []


def test_too_few_pictures_are_refused(tmp_path, monkeypatch, places):
    content, _ = native_archive(monkeypatch, "cifar100")
    wrong = replace(native.LAYOUTS["cifar100"], pictures={"train": 2, "test": 3})
    monkeypatch.setattr(native, "LAYOUTS", {**native.LAYOUTS, "cifar100": wrong})
    with pytest.raises(RelicError, match="test.bin with 6,148 bytes is not 3 pictures of 3074 bytes: another archive"):
        data_command.fetch("cifar100", archives=[written(tmp_path / "x.tar.gz", content)])
    assert files_below(places.sets) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cifar10", "cifar100", "stl10"])
def test_the_same_files_are_the_same_pictures_to_tensorflow_datasets(tmp_path, monkeypatch, name):
    pytest.importorskip("tensorflow")
    pytest.importorskip("tensorflow_datasets")
    layout = native.LAYOUTS[name]
    path = written(tmp_path / "x.bin", binary(layout, range(3)))
    if name == "stl10":
        builder = importlib.import_module("tensorflow_datasets.datasets.stl10.stl10_dataset_builder").Builder
        theirs = [example["image"] for _, example in builder._generate_examples(None, [str(path)])]
    else:
        module = importlib.import_module("tensorflow_datasets.image_classification.cifar")
        theirs = [image for _, image in module._load_data(str(path), layout.labels)]
    small = replace(layout, files={"train": ("x.bin",)}, pictures={"train": 3})
    native.write_arrays(small, tmp_path, tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as arrays:
        np.testing.assert_array_equal(arrays["x_train"], np.stack(theirs))


# --- the command line -----------------------------------------------------------------------------------------------


def test_a_fetch_that_ctrl_c_stops_says_that_it_goes_on(tmp_path, monkeypatch, places):
    archive = written(tmp_path / "val.tar", imagenet_validation(monkeypatch))

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(archives, "_write", interrupted)
    with pytest.raises(KeyboardInterrupt, match="stopped: the same command goes on"):
        data_command.fetch("imagenet2012/validation", archives=[archive])
    assert not (places.sets / "imagenet2012/validation").exists()


PROGRAM = """
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

spec = spec_from_file_location("downloads", sys.argv[1])  # by itself: the package takes seconds to import
sys.modules["downloads"] = module = module_from_spec(spec)
spec.loader.exec_module(module)
module.download(sys.argv[2], Path(sys.argv[3]), module.Expected())
"""


def test_a_killed_process_leaves_what_another_goes_on_with(server, known):
    server.pause = 0.05
    command = [sys.executable, "-c", PROGRAM, downloads.__file__, known[0], str(known[1])]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}) as process:
        while process.poll() is None and not known[1].with_name("x.partial").exists():
            time.sleep(0.01)
        process.kill()
    assert files_below(known[1].parent) == ["x.partial"]
    server.pause = 0.0
    download(*known)
    assert files_below(known[1].parent) == ["x"] and known[1].read_bytes() == CONTENT


def test_tensorflow_datasets_is_given_no_address(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["data", "fetch", "cifar10", "--tfds", "--url", "http://127.0.0.1:9/"])
    with pytest.raises(SystemExit, match="error: with --tfds .* leave --url and --archive out"):
        run_main(data_command.main)


def test_the_command_line_passes_on_what_it_is_given(tmp_path, monkeypatch, capsys):
    archive = written(tmp_path / "val.tar", imagenet_validation(monkeypatch))
    monkeypatch.setattr(sys, "argv", ["data", "fetch", "imagenet2012/validation", "--archive", str(archive)])
    run_main(data_command.main)
    said = capsys.readouterr().out.splitlines()
    assert said == [
        f"checking {archive}",
        "unpacking val.tar",
        f"imagenet2012/validation: {os.environ['RELIC_CACHE']}/data/imagenet2012/validation",
    ]
