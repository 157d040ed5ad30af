"""Trained codecs and standard codecs at equal counted rate, picture by picture.

A codec trained for one setting is one point of rate and quality. To compare it, the other codec is measured at the two
settings whose files are next to that rate, and its quality is interpolated between them. A network at a setting that it
was not trained for is at a disadvantage: two networks are compared at the rate of either, and the mean is taken.
Nothing is extrapolated: where a codec has no file of that size, both are compared at the size of its nearest file.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from common import evaluate
from common.classical import codecs
from common.data import Picture
from common.errors import RelicError
from common.tables.numbers import DIGITS
from papers.zhao_mixedres.reproduction import points
from papers.zhao_mixedres.reproduction.points import Point

QUALITIES = ("psnr", "ssim")
STANDARD = (codecs.JPEG, codecs.JPEG_OPTIMISED, "JPEG2000", "WebP")

PictureEntry = dict[str, Any]  # a measurement as json holds it


class RateCurve:
    """What a codec makes of one uint8 picture HxW at some settings; each is measured once, when it is asked for.

    `make(setting)` is the codec. The files of all settings are made at once: their sizes, `rates` in bits per pixel by
    setting, tell which ones are needed.
    """

    def __init__(self, make: Callable[[int], Any], settings: Iterable[int], image: np.ndarray) -> None:
        self.make, self.image = make, image
        self.rates = {s: evaluate.rate(make(s), image) for s in settings}
        self._points: dict[int, Point] = {}

    def point(self, setting: int) -> Point:
        """Return the point of a setting."""
        if setting not in self._points:
            self._points[setting] = points.measure(self.make(setting), self.image, setting)
        return self._points[setting]

    def decoded(self, setting: int) -> np.ndarray:
        """Return the picture of a setting, uint8 HxW."""
        codec = self.make(setting)
        return codec.decompress(codec.compress(self.image))

    def reaches(self, bpp: float) -> bool:
        """Return whether a rate lies between those of the smallest and of the largest file."""
        return min(self.rates.values()) <= bpp <= max(self.rates.values())

    def at_rate(self, bpp: float) -> dict[str, float]:
        """Return `psnr` (dB) and `ssim` at a rate, linear in its logarithm between the two files next to it.

        Raises RelicError for a rate that no file reaches.
        """
        if not self.reaches(bpp):
            raise RelicError(f"{bpp:g} bpp is not between the smallest and the largest file: choose another rate")
        low = max((s for s in self.rates if self.rates[s] <= bpp), key=self.rates.__getitem__)
        high = min((s for s in self.rates if self.rates[s] >= bpp), key=self.rates.__getitem__)
        around = [self.point(low), self.point(high)]
        levels = {quality: points.at_rate(around, bpp, quality) for quality in QUALITIES}
        return {quality: level for quality, level in levels.items() if level is not None}


class RateCurves:
    """The curves of trained codecs and of standard ones; `load(preset, seed)` is called once for each network."""

    def __init__(self, load: Callable[[str, int], Any]) -> None:
        self._load = load
        self._networks: dict[tuple[str, int], Any] = {}
        self._curves: dict[tuple[str, int, str], RateCurve] = {}

    def of(self, name: str, seed: int, picture: Picture) -> RateCurve:
        """Return the curve of a preset's network or of a standard codec, which has no seeds."""
        is_standard = name in STANDARD
        key = (name, 0 if is_standard else seed, picture[0])
        if key not in self._curves:
            self._curves[key] = standard(name, picture[1]) if is_standard else self._trained(name, seed, picture[1])
        return self._curves[key]

    def trained_setting(self, preset: str, seed: int) -> int:
        """Return the setting that a network was trained for."""
        return self._network(preset, seed).config.quality

    def _network(self, preset: str, seed: int) -> Any:
        if (preset, seed) not in self._networks:
            self._networks[preset, seed] = self._load(preset, seed)
        return self._networks[preset, seed]

    def _trained(self, preset: str, seed: int, image: np.ndarray) -> RateCurve:
        codec = self._network(preset, seed)
        settings = {*codecs.family(codec.config.standard_codec).grid, codec.config.quality}
        return RateCurve(_Described(codec, codec.representation(image)).with_settings, sorted(settings), image)


@dataclass(frozen=True)
class _Described:
    """A trained codec for the one grey picture whose representation is `y`: it is the same for every setting."""

    codec: Any
    y: np.ndarray

    def with_settings(self, quality: int) -> "_Described":
        return replace(self, codec=self.codec.with_settings(quality=quality))

    def compress(self, image: np.ndarray) -> bytes:
        return self.codec.compress_representation(self.y, *image.shape)

    def decompress(self, data: bytes) -> np.ndarray:
        return self.codec.decompress(data)


def standard(name: str, image: np.ndarray) -> RateCurve:
    """Return the curve of a standard codec over the grid of its settings."""
    family = codecs.family(name)
    return RateCurve(family.make, family.grid, image)


def point_entry(preset: str, seed: int, setting: int, curves: RateCurves, picture: Picture) -> PictureEntry:
    """Return what a network gives around its standard codec at a setting."""
    point = curves.of(preset, seed, picture).point(setting)
    measured = {"rate": point.bpp, "psnr": point.psnr, "ssim": point.ssim}
    return {"row": preset, "seed": seed, "picture": picture[0], "setting": setting, **_rounded(measured)}


def difference_entry(row: str, pair: tuple[str, str], seed: int, curves: RateCurves, picture: Picture) -> PictureEntry:
    """Return by how much the first codec of a pair, a preset, is better than the second one at equal rate.

    `rate` and, of a preset, `other_rate` are those of the settings they were trained for; the differences are means of
    those at both. Where the second codec has no such file, they are taken at `nearest_rate`, that of its nearest one,
    and `own_psnr` and `own_ssim` are differences between this file and the first codec's own.
    """
    ours, other = (curves.of(name, seed, picture) for name in pair)
    point = ours.point(curves.trained_setting(pair[0], seed))
    measured = {"rate": point.bpp}
    if pair[1] not in STANDARD:
        measured["other_rate"] = other.rates[curves.trained_setting(pair[1], seed)]
    shared = [rate for rate in measured.values() if ours.reaches(rate) and other.reaches(rate)]
    if not shared:
        nearest = min(other.rates, key=lambda setting: abs(other.rates[setting] - point.bpp))
        measured["nearest_rate"] = other.rates[nearest]
        against = other.point(nearest)
        measured.update({f"own_{name}": getattr(point, name) - getattr(against, name) for name in QUALITIES})
    levels = [(ours.at_rate(rate), other.at_rate(rate)) for rate in shared or [measured["nearest_rate"]]]
    for quality in QUALITIES:
        measured[quality] = float(np.mean([mine[quality] - theirs[quality] for mine, theirs in levels]))
    names = {"row": row, "codec": pair[0], "other": pair[1], "seed": seed, "picture": picture[0]}
    return {**names, **_rounded(measured)}


def differences(entries: Iterable[PictureEntry], row: str, quality: str) -> np.ndarray:
    """Return the differences of a row, float64 (trainings, pictures): a training is a codec and its seed."""
    values = {((e["codec"], e["seed"]), e["picture"]): e[quality] for e in entries if e["row"] == row}
    trainings, pictures = (list(dict.fromkeys(names)) for names in zip(*values, strict=True)) if values else ([], [])
    return np.array([[values[training, picture] for picture in pictures] for training in trainings], np.float64)


def curve_of(entries: Iterable[PictureEntry], presets: Iterable[str], picture: str | None = None) -> list[Point]:
    """Return the points of some presets, by preset and setting: means over seeds and, unless one is named, pictures."""
    names = set(presets)
    groups: dict[tuple[str, int], list[PictureEntry]] = {}
    for e in entries:
        if e["row"] in names and picture in (None, e["picture"]):
            groups.setdefault((e["row"], e["setting"]), []).append(e)
    return [
        Point(setting, *(float(np.mean([e[field] for e in of_one])) for field in ("rate", "rate", *QUALITIES)))
        for (_, setting), of_one in groups.items()
    ]


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(float(value), DIGITS) for name, value in values.items()}
