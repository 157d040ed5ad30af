"""The data sets known by name, with their terms; and Kodak's pictures, downloaded and verified file by file."""

import fcntl
import hashlib
import http.client
import os
import queue
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from common.errors import RelicError
from common.files import atomic_file

KODAK_URL = "http://r0k.us/graphics/kodak/kodak/"

# Size in bytes and sha256 of the originals.
KODAK: dict[str, tuple[int, str]] = {
    "kodim01.png": (736501, "a56e27cbf5f843c048b6af1d6e090760e9c92fadba88b7dee0205918a37523bd"),
    "kodim02.png": (617995, "4f4b74a79237e311d72cad958237b5f7088d8bce1c82305ebefe1a70e3022dfd"),
    "kodim03.png": (502888, "e25ca1ff2f0c0cb5fdfd5f9b0a0bb21ac4c3de3c84a67f35b09a85d3306249db"),
    "kodim04.png": (637432, "e3b946107c5d3441c022f678d0c3caf1e224d81b1604ba840a4f88e562de61aa"),
    "kodim05.png": (785610, "10349e963c5c813d327852f82c1795fa4148d69fedffc4c589bee458e3ac3d53"),
    "kodim06.png": (618959, "363510303b715d4cbc384e1ce227e466b613a09e1b71ae985882bf8e7fbd9b18"),
    "kodim07.png": (566322, "b77d3f006f42414bb242222e0482e750c0fb9e5ee8d4bed2f6f11c5605fe54a4"),
    "kodim08.png": (788470, "ba23983c76b4832ee0e8af0592664756841a16779acd69f792e268fb6d13d6e7"),
    "kodim09.png": (582899, "6a4361c2fc194feb4edaa9f9a4a0620fb9943e460ac7fdf037fb0f6dd6607a7d"),
    "kodim10.png": (593463, "9dfb70f5867c29ff9ed6313683f19b3d867849e40fbc0c4c54a4a89df341cf23"),
    "kodim11.png": (621023, "7936814b58b5387fce2e4e2488b4ec830dadd95fa9520f358ddb30990b50f2b6"),
    "kodim12.png": (531024, "d78c37c2f04f23761ed2367dd77e2db584ddd4c3950833fecf89f199a8126980"),
    "kodim13.png": (822712, "bc34a3ce58dea09dce1704c997171602de90cb34d0c8503a988b77f473d39b08"),
    "kodim14.png": (692201, "55a94550ff18f3246c4074fd32b77b0c74447c26b6ad274d564d999c0450ba6e"),
    "kodim15.png": (612582, "7538cbb80cb9103606c48b806eae57d56c885c7f90b9b3be70a41160f9cbb683"),
    "kodim16.png": (534247, "a89c7268ccd4718ba424a99fc4643c572cf692ca6eae887185ceb4e9f11d2e54"),
    "kodim17.png": (602078, "37afcc89fbdcb76d9518e04b2fc011027e2f4cd14b3b2f83cefd721641a47c5b"),
    "kodim18.png": (780947, "1a9258c365988961d87a0598725b609139c303ad48a5aad6c503c3b1a87849aa"),
    "kodim19.png": (671476, "b7450b264b1b0a411390d8931b112c27905a992520fc90569dc4b920aa32bbdc"),
    "kodim20.png": (492462, "3b46c71e3b92a563820ba32936be8330c586c41f938efd94be938386aae4328a"),
    "kodim21.png": (637051, "ac958597c82073f6bb65129c68f72b651db5b9efd82e11547d07350214bc268b"),
    "kodim22.png": (701970, "1cee58eb1f2d9c7ebb254d208a03c783ce6cf2c4d8c2cf45e235dd23b4ce1b29"),
    "kodim23.png": (557596, "e3111a2fd4da24af15d6459ef9eacfe54106b38e27b4a21821b75c3f5d2d5baf"),
    "kodim24.png": (706397, "1071c68372cc5a01435c2c225a5cf7d4bb803846ec08bb6b3d6721b156d7cb96"),
}

TIMEOUT_SECONDS = 30  # without a byte
DOWNLOAD_SECONDS = 600  # for all bytes of a file


@dataclass(frozen=True)
class KnownSet:
    """What there is to say about a named set before its use: what it holds, its terms, and what fetches it."""

    contents: str
    terms: str
    fetched: bool = False


_RESEARCH = "no licence stated, research use"
_BSDS = "non-commercial research and education"
_IMAGENET = "ImageNet's terms: non-commercial research and education"
_COCO = "photographs under their Flickr licences"

KNOWN: dict[str, KnownSet] = {
    "sample": KnownSet("3 photographs", "CC0 and public domain, inside scikit-image"),
    "synthetic": KnownSet("4 drawn pictures for smoke trainings", "made by this program"),
    "kodak": KnownSet("24 photographs, 768x512", "released by Eastman Kodak for unrestricted use", fetched=True),
    "set12": KnownSet("12 grey pictures", _RESEARCH),
    "set14": KnownSet("14 pictures", _RESEARCH),
    "classic5": KnownSet("5 grey pictures", _RESEARCH),
    "clic": KnownSet("the validation split of CLIC", "the photographs' own licences (Unsplash)", fetched=True),
    "bsds500/train": KnownSet("200 photographs, 481x321", _BSDS),
    "bsds500/val": KnownSet("100 photographs, holds BSD68", _BSDS),
    "bsds500/test": KnownSet("200 photographs, 481x321", _BSDS),
    "train400": KnownSet("400 grey crops of BSDS500, 180x180", _BSDS),
    "imagenet_sample": KnownSet("420 photographs of ImageNet's classes", _IMAGENET),
    "imagenet2012": KnownSet("1.3 million photographs", _IMAGENET, fetched=True),
    "tiny_imagenet_val": KnownSet("10,000 pictures, 64x64", _IMAGENET),
    "coco": KnownSet("164,000 photographs", _COCO, fetched=True),
    "coco128_train": KnownSet("128 photographs of COCO 2017", _COCO),
    "coco128_val": KnownSet("128 photographs of COCO 2017", _COCO),
    "cifar10": KnownSet("60,000 pictures, 32x32", _RESEARCH, fetched=True),
    "cifar100": KnownSet("60,000 pictures, 32x32", _RESEARCH, fetched=True),
    "cifar10_subset": KnownSet("6,499 pictures of CIFAR-10", _RESEARCH),
    "cifar100_subset": KnownSet("2,033 pictures of CIFAR-100", _RESEARCH),
    "stl10": KnownSet("113,000 pictures, 96x96", _IMAGENET, fetched=True),
    "stl10_examples": KnownSet("246 pictures of STL-10", _IMAGENET),
}


def how_to_get(name: str) -> str:
    """Return half a sentence that says how to get a set, and under which terms where they are known."""
    known = KNOWN.get(name) or KNOWN.get(name.split("/")[0])
    put = f"put its pictures into $RELIC_DATA/{name}"
    if known is None:
        return f"{put}, or run `python -m common.data fetch {name}` if tensorflow-datasets knows it"
    fetch = f"run `python -m common.data fetch {name.split('/')[0]}`, or " if known.fetched else ""
    return f"{fetch}{put} (terms: {known.terms})"


def fetch_kodak(folder: Path, url: str = KODAK_URL, report: Callable[[str], None] = print) -> None:
    """Download Kodak's 24 files from below `url` into `folder`, which appears only when all are there and verified.

    Files that an earlier call left are kept where their sha256 is right. Of several processes that fetch into one place
    the first downloads, the others wait for it. Raises RelicError, and keeps nothing of the file, where one cannot be
    downloaded or differs from the original.
    """
    with _one_at_a_time(folder.parent, report):
        partial = folder if folder.is_dir() else folder.with_name(f"{folder.name}.partial")
        for number, name in enumerate(KODAK, start=1):
            if _fetch_file(partial, name, url):
                report(f"{number:2}/{len(KODAK)} {name}")
        if partial != folder:
            os.replace(partial, folder)


@contextmanager
def _one_at_a_time(folder: Path, report: Callable[[str], None]) -> Iterator[None]:
    """Hold a folder, which is made where it is missing, and wait where another process does."""
    folder.mkdir(parents=True, exist_ok=True)
    held = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("another process is fetching: waiting for it")
            fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _fetch_file(folder: Path, name: str, url: str) -> bool:
    """Download one of Kodak's files unless the folder has it; return whether it was downloaded."""
    path, (size, digest) = folder / name, KODAK[name]
    if path.is_file() and _is_original(path.read_bytes(), size, digest):
        return False
    path.unlink(missing_ok=True)
    address = f"{url.rstrip('/')}/{name}"
    data = _download(address, size)
    if not _is_original(data, size, digest):
        raise RelicError(f"refused {address}: its sha256 is not the original's; try again or another --url")
    with atomic_file(path) as file:
        file.write(data)
    return True


def _is_original(data: bytes, size: int, digest: str) -> bool:
    return len(data) == size and hashlib.sha256(data).hexdigest() == digest


def _download(url: str, size: int) -> bytes:
    """Return what is at a URL, and never more than one byte beyond the size expected; raise RelicError if it fails."""
    answers: queue.SimpleQueue[bytes | Exception] = queue.SimpleQueue()
    # In a thread, as nothing else bounds the time that a server may take which sends a byte now and then.
    threading.Thread(target=_answer, args=(url, size, answers), daemon=True).start()
    try:
        answer = answers.get(timeout=DOWNLOAD_SECONDS)
    except queue.Empty:
        answer = TimeoutError(f"not complete after {DOWNLOAD_SECONDS} s")
    if isinstance(answer, (OSError, ValueError, http.client.HTTPException)):
        reason = getattr(answer, "reason", None) or answer
        put = "put your copy of the set into $RELIC_DATA/kodak"
        raise RelicError(f"cannot download {url} ({reason}): try again, or {put}") from answer
    if isinstance(answer, Exception):
        raise answer
    return answer


def _answer(url: str, size: int, answers: "queue.SimpleQueue[bytes | Exception]") -> None:
    """Put what is at a URL into a queue, or why it cannot be had."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:
            answers.put(response.read(size + 1))
    except Exception as error:
        answers.put(error)
