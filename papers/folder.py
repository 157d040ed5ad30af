"""A folder of pictures coded so that all files together keep to a rate, the sum of MS-SSIM as great as possible."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import papers
from common import metrics, rate_control
from common.coding import container, quantisation
from common.data.pictures import decode_image, is_picture, read_file
from common.data.profiles import profile_to_keep
from common.errors import RelicError
from common.files import atomic_file

SEARCHED = range(quantisation.SETTING.smallest, quantisation.SETTING.largest + 1, 4)
# Steps that are tried for every picture: around the one at which the whole set keeps the rate, then around the chosen.
ROUNDS = ((-12, -8, -4, 0, 4, 8, 12), (-2, -1, 1, 2), (-0.5, 0.5))


@dataclass(frozen=True)
class Choice:
    """One coding of a picture: by which of the codecs and at which step, its file and what that is worth."""

    codec: int
    step: float
    data: bytes
    ms_ssim: float


@dataclass
class Entry:
    """A picture of the folder and its codings so far."""

    path: Path
    height: int
    width: int
    choices: list[Choice]

    @property
    def pixels(self) -> int:
        """How many pixels the picture has."""
        return self.height * self.width


def pictures_in(folder: Path) -> list[Path]:
    """Return the pictures that lie in a folder itself, in order; RelicError where there is none.

    Two that differ in their ending alone are refused, as their files would have one name.
    """
    if not folder.is_dir():
        raise RelicError(f"{folder} is no folder: --target-bpp codes all pictures of one together")
    paths = sorted(path for path in folder.iterdir() if path.is_file() and is_picture(path))
    if not paths:
        raise RelicError(f"{folder} has no pictures")
    stem, count = Counter(path.stem for path in paths).most_common(1)[0]
    if count > 1:
        raise RelicError(f"{folder} has {count} pictures of the name {stem}, whose files would be one: rename them")
    return paths


def codecs_of(models: Iterable[str], scale: str | None, seed: int | None) -> list[Any]:
    """Return the codecs of presets; RelicError for one whose quantiser has no steps."""
    for model in (models := list(dict.fromkeys(models))):
        if "step" not in papers.coding_settings(model):
            raise RelicError(f"{model} has no steps to reach a rate with: --target-bpp takes presets of cheng_resnet")
    return [papers.load(model, scale, seed) for model in models]


def compress(paths: Sequence[Path], outputs: Sequence[Path], codecs: Sequence[Any], target: float) -> None:
    """Code pictures to files that have at most `target` bits per pixel together, and print one line for each.

    Nothing is written before all is chosen and every file is ready. Raises RelicError where the rate is out of reach
    and for a picture with a side below 161 pixels, which has no MS-SSIM.
    """
    entries, chosen = selected(paths, codecs, target)
    with contextlib.ExitStack() as files:  # each file appears when the stack closes: a full disk leaves none of them
        for output, choice in zip(outputs, chosen, strict=True):
            files.enter_context(atomic_file(output)).write(choice.data)
    for entry, output, choice in zip(entries, outputs, chosen, strict=True):
        bpp = metrics.bits_per_pixel(len(choice.data), entry.height, entry.width)
        by = f"{codecs[choice.codec].model_id}, step {choice.step:g}" if len(codecs) > 1 else f"step {choice.step:g}"
        print(f"{output}: {len(choice.data)} bytes, {bpp:.4f} bpp, MS-SSIM {choice.ms_ssim:.4f}, {by}")
    rate = 8 * sum(len(choice.data) for choice in chosen) / sum(entry.pixels for entry in entries)
    each = [8 * len(choice.data) / entry.pixels for entry, choice in zip(entries, chosen, strict=True)]
    print(
        f"{len(chosen)} pictures: {rate:.5f} bpp of at most {target:g}, total bits over total pixels; mean of the "
        f"pictures' bpp {np.mean(each):.5f}, mean MS-SSIM {np.mean([choice.ms_ssim for choice in chosen]):.4f}"
    )


def selected(paths: Sequence[Path], codecs: Sequence[Any], target: float) -> tuple[list[Entry], list[Choice]]:
    """Return the pictures and the coding of each that is chosen, exactly among those that `ROUNDS` tries."""
    from common.tables.measure import progress

    with progress(len(paths) * (1 + len(ROUNDS)), "pass") as bar:
        return _selected(paths, codecs, target, bar.update)


def _selected(
    paths: Sequence[Path], codecs: Sequence[Any], target: float, advance: Callable[[], Any]
) -> tuple[list[Entry], list[Choice]]:
    """Do what `selected` does; `advance` is called after each pass over a picture."""
    entries, totals = _searched(paths, codecs, advance)
    budget = rate_control.budget(target, sum(entry.pixels for entry in entries))
    wanted: list[list[tuple[int, float]]] = [[] for _ in entries]
    for codec, sizes in enumerate(totals):
        reached = [step for step, size in zip(SEARCHED, sizes, strict=True) if size <= budget]
        for of in wanted:
            of += [(codec, step) for step in _around(reached[0] if reached else SEARCHED[-1], ROUNDS[0])]
    if totals.min() > budget:
        least = 8 * float(totals.min()) / sum(entry.pixels for entry in entries)
        raise RelicError(
            f"{target:g} bpp is out of reach: the coarsest step leaves {least:.4f} bpp; nothing is written"
        )
    for number in range(len(ROUNDS)):
        for entry, of in zip(entries, wanted, strict=True):
            _code(entry, codecs, of)
            advance()
        chosen = _best(entries, budget)
        if number + 1 < len(ROUNDS):
            wanted = [[(c.codec, step) for step in _around(c.step, ROUNDS[number + 1])] for c in chosen]
    return entries, chosen


def _best(entries: Sequence[Entry], budget: int) -> list[Choice]:
    sizes = [[len(choice.data) for choice in entry.choices] for entry in entries]
    values = [[choice.ms_ssim for choice in entry.choices] for entry in entries]
    found = rate_control.exact(sizes, values, budget)
    return [entry.choices[j] for entry, j in zip(entries, found.chosen, strict=True)]


def _around(step: float, offsets: Iterable[float]) -> list[float]:
    """Return the steps at these distances that there are."""
    smallest, largest = quantisation.SETTING.smallest, quantisation.SETTING.largest
    return sorted({min(max(step + offset, smallest), largest) for offset in offsets})


def _searched(
    paths: Sequence[Path], codecs: Sequence[Any], advance: Callable[[], Any]
) -> tuple[list[Entry], np.ndarray]:
    """Return the pictures, not yet coded, and the bytes of all of them for each codec and step of `SEARCHED`."""
    entries = []
    totals = np.zeros((len(codecs), len(SEARCHED)), np.int64)
    for path in paths:
        image, profile = _read(path)
        if min(image.shape[:2]) < metrics.MS_SSIM_SMALLEST:
            raise RelicError(
                f"{path} has a side below {metrics.MS_SSIM_SMALLEST} pixels, and so no MS-SSIM: move it away"
            )
        entries.append(Entry(path, image.shape[0], image.shape[1], []))
        for number, codec in enumerate(codecs):
            latents = codec.latents(image)
            totals[number] += [len(_coded(codec, latents, step, profile)) for step in SEARCHED]
        advance()
    return entries, totals


def _code(entry: Entry, codecs: Sequence[Any], wanted: Iterable[tuple[int, float]]) -> None:
    """Add codings of a picture that it does not have yet, each decoded to know what it is worth."""
    there = {(choice.codec, choice.step) for choice in entry.choices}
    image, profile = _read(entry.path)
    if image.shape[:2] != (entry.height, entry.width):
        raise RelicError(f"{entry.path} has changed meanwhile: run the command again")
    latents: dict[int, Any] = {}
    for number, step in wanted:
        if (number, step) in there:
            continue
        if number not in latents:
            latents[number] = codecs[number].latents(image)
        data = _coded(codecs[number], latents[number], step, profile)
        ms_ssim = metrics.ms_ssim(image, codecs[number].decompress(data))
        entry.choices.append(Choice(number, step, data, ms_ssim))


def _coded(codec: Any, latents: Any, step: float, profile: bytes | None) -> bytes:
    data = codec.with_settings(step=step).compress_latents(latents)
    return container.with_profile(data, profile) if profile else data


def _read(path: Path) -> tuple[np.ndarray, bytes | None]:
    source = read_file(path)
    image = decode_image(source, str(path))
    return image, profile_to_keep(source, image)
