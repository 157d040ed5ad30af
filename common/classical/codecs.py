"""Classical codecs through libraries, as anchors for the learned ones: JPEG, JPEG2000, WebP, AVIF, HEVC intra and BPG.

Each is a `common.evaluate.Codec` that works in memory (BPG, which is two programs, in a temporary folder) and writes
the same bytes every time. Its label says what coded: format, chroma sampling, setting, library and version. AVIF and
HEVC are tuned for squared error, which the suite's tables compare, and not for the libraries' default, structure, and
take the time that they need to be as strong as published curves have them. JPEG is there twice: as papers and other
suites use it, with the standard's Huffman tables, and with optimised ones, which the same decoders read.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import PIL
from PIL import Image, features

from common.classical import libraries
from common.config import integer
from common.errors import RelicError
from common.evaluate import Codec
from common.metrics import check_picture

JPEG_LARGEST = 65500
WEBP_LARGEST = 16383
WEBP_LOSSLESS = 101
HEVC_LOSSLESS = -1
AVIF_SPEED = 3
# x265's slowest preset that codes small pictures too. Without the last two settings it spends bits on texture, which
# squared error does not reward.
HEVC_EFFORT = {"tune": "psnr", "preset": "veryslow", "x265:psy-rd": 0, "x265:psy-rdoq": 0}
JPEG, JPEG_OPTIMISED = "JPEG", "JPEG, optimised tables"
OPENCV_JPEG2000_SMALLEST = 32
JPEG_SAMPLINGS = {
    "4:2:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    "4:2:2": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    "4:4:4": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
}


@dataclass(frozen=True)
class Jpeg:
    """Baseline JPEG by OpenCV: quality 0 to 100, chroma 4:2:0, 4:2:2 or 4:4:4.

    A picture HxW is written as a grey JPEG. OpenCV's quality 0 is the same as 1. `optimised`: Huffman tables made for
    the picture in place of the standard's; the pixels are the same, the file is up to a half smaller at quality 1.
    """

    quality: int
    subsampling: str = "4:2:0"
    optimised: bool = False

    def __post_init__(self) -> None:
        _set_whole(self, "quality", "JPEG", "quality", 0, 100)
        _check_sampling(self.subsampling)

    @property
    def label(self) -> str:
        """Return codec, sampling, quality, Huffman tables, and the library that codes, with versions."""
        library = f"OpenCV {cv2.__version__} ({libraries.opencv_libjpeg()})"
        tables = "optimised" if self.optimised else "standard"
        return f"JPEG {self.subsampling} quality {self.quality}, {tables} Huffman tables, {library}"

    def compress(self, image: np.ndarray) -> bytes:
        """Return the JPEG file of a uint8 picture HxWx3 (RGB) or HxW, sides 1 to 65500."""
        _check_sides("JPEG", image, JPEG_LARGEST)
        settings = [cv2.IMWRITE_JPEG_QUALITY, self.quality]
        settings += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, JPEG_SAMPLINGS[self.subsampling]]
        settings += [cv2.IMWRITE_JPEG_OPTIMIZE, int(self.optimised)]
        return libraries.opencv_file(".jpg", image, settings)

    def decompress(self, data: bytes) -> np.ndarray:
        """Return the uint8 picture HxWx3 (RGB) or HxW of a JPEG file; RelicError where it is none."""
        return libraries.opencv_picture("JPEG", data, data[:2] == b"\xff\xd8")


@dataclass(frozen=True)
class Jpeg2000:
    """JPEG2000 by Pillow's OpenJPEG: the file aims at rate_x1000 / 1000 of the samples' bytes, 1 to 1000.

    For RGB 100 is 2.4 bits per pixel. Colour is turned into luminance and chrominance (the standard's irreversible
    transform, no subsampling), wavelet 9/7, six resolutions or as many as the shorter side allows, one quality layer.
    With `software="OpenCV"` it is OpenCV's writer with IMWRITE_JPEG2000_COMPRESSION_X1000, sides from 32: wavelet 5/3,
    lossless at 1000, and R, G and B coded apart, which costs some 5 dB at 0.5 bpp.
    """

    rate_x1000: int
    software: str = "Pillow"

    def __post_init__(self) -> None:
        _set_whole(self, "rate_x1000", "JPEG2000", "rate", 1, 1000)
        if self.software not in ("Pillow", "OpenCV"):
            raise RelicError(f"JPEG2000 is coded by Pillow or OpenCV, not by {self.software}")

    @property
    def label(self) -> str:
        """Return codec, wavelet, colour transform, rate, and the library that codes, with versions."""
        if self.software == "OpenCV":
            how, library = "5/3, RGB apart", f"OpenCV {cv2.__version__} ({libraries.opencv_openjpeg()})"
        else:
            how, library = "9/7, 4:4:4", f"Pillow {PIL.__version__} (OpenJPEG {features.version('jpg_2000')})"
        return f"JPEG2000 {how}, rate {self.rate_x1000}/1000, {library}"

    def compress(self, image: np.ndarray) -> bytes:
        """Return the JP2 file of a uint8 picture HxWx3 (RGB) or HxW."""
        check_picture(image)
        if self.software == "OpenCV":
            if min(image.shape[:2]) < OPENCV_JPEG2000_SMALLEST:
                raise RelicError("OpenCV writes JPEG2000 for sides from 32 pixels: code smaller pictures with Pillow")
            return libraries.opencv_file(".jp2", image, [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, self.rate_x1000])
        return libraries.pillow_file(
            Image.fromarray(image),
            "JPEG2000",
            quality_mode="rates",
            quality_layers=[1000 / self.rate_x1000],
            irreversible=True,
            mct=int(image.ndim == 3),
            num_resolutions=min(6, min(image.shape[:2]).bit_length()),
        )

    def decompress(self, data: bytes) -> np.ndarray:
        """Return the uint8 picture HxWx3 (RGB) or HxW of a JP2 file; RelicError where it is none."""
        if self.software == "OpenCV":
            return libraries.opencv_picture("JPEG2000", data, data[4:8] == b"jP  ")
        return libraries.pillow_picture("JPEG2000", data)


@dataclass(frozen=True)
class WebP:
    """WebP by OpenCV: quality 1 to 100 is lossy with chroma at half resolution both ways, 101 lossless.

    The format has no grey: a picture HxW is coded as colour, with one byte behind the file that says so, and counted.
    """

    quality: int

    def __post_init__(self) -> None:
        _set_whole(self, "quality", "WebP", "quality", 1, WEBP_LOSSLESS)

    @property
    def label(self) -> str:
        """Return codec, sampling, quality, and the library that codes, with versions."""
        kind = "lossless" if self.quality == WEBP_LOSSLESS else f"4:2:0 quality {self.quality}"
        return f"WebP {kind}, OpenCV {cv2.__version__} ({libraries.opencv_libwebp()})"

    def compress(self, image: np.ndarray) -> bytes:
        """Return the WebP file of a uint8 picture HxWx3 (RGB) or HxW, sides 1 to 16383."""
        _check_sides("WebP", image, WEBP_LARGEST)
        file = libraries.opencv_file(".webp", image, [cv2.IMWRITE_WEBP_QUALITY, self.quality])
        return file + b"\0" if image.ndim == 2 else file

    def decompress(self, data: bytes) -> np.ndarray:
        """Return the uint8 picture HxWx3 (RGB) or HxW of a WebP file; RelicError where it is none."""
        image = libraries.opencv_picture("WebP", data, data[:4] == b"RIFF" and data[8:12] == b"WEBP")
        is_grey = len(data) > 8 + int.from_bytes(data[4:8], "little")
        return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if is_grey else image


@dataclass(frozen=True)
class Avif:
    """AVIF by Pillow's libavif and aom: quality 0 to 100, BT.601 full range, 8 bits, speed 3, one thread.

    Speed 3 is the slowest that gains something worth its time over the library's default 6: `rd_kodak` says how far it
    is from the published curve.
    A picture HxW is coded as monochrome. In 4:4:4 colours are rounded; in 4:2:0 and 4:2:2 libavif leaves their
    conversion to libyuv, which truncates chroma: channels are off by half a level on average, 0.1 dB at 39 dB.
    """

    quality: int
    subsampling: str = "4:4:4"

    def __post_init__(self) -> None:
        _set_whole(self, "quality", "AVIF", "quality", 0, 100)
        _check_sampling(self.subsampling)

    @property
    def label(self) -> str:
        """Return codec, sampling, quality, and the libraries that code, with versions."""
        library = f"Pillow {PIL.__version__} (libavif {features.version('avif')}, {libraries.aom_version()})"
        return f"AVIF {self.subsampling} quality {self.quality}, speed {AVIF_SPEED}, tune PSNR, {library}"

    def compress(self, image: np.ndarray) -> bytes:
        """Return the AVIF file of a uint8 picture HxWx3 (RGB) or HxW, sides 1 to 65536."""
        check_picture(image)
        # From RGBA libavif itself converts to 4:4:4, from RGB libyuv. An opaque alpha channel is not written.
        return libraries.pillow_file(
            Image.fromarray(image) if image.ndim == 2 else Image.fromarray(image).convert("RGBA"),
            "AVIF",
            quality=self.quality,
            subsampling="4:0:0" if image.ndim == 2 else self.subsampling,
            range="full",
            codec="aom",
            speed=AVIF_SPEED,
            max_threads=1,
            advanced={"tune": "psnr"},
        )

    def decompress(self, data: bytes) -> np.ndarray:
        """Return the uint8 picture HxWx3 (RGB) or HxW of an AVIF file; RelicError where it is none."""
        image, data = libraries.pillow_picture("AVIF", data), bytes(data)  # which may have been a memoryview
        # Older Pillows return monochrome as RGB: the fourth bit of this byte of the sequence header tells.
        is_grey = data[data.index(b"av1C") + 6] & 0x10
        return image[..., 0].copy() if is_grey and image.ndim == 3 else image


@dataclass(frozen=True)
class HevcIntra:
    """One HEVC intra picture in a HEIF file by pillow-heif and x265: quality 0 to 100, BT.601 full range, 8 bits.

    Quality -1 is lossless in luminance and chrominance. A picture HxW is coded as monochrome.
    """

    quality: int
    subsampling: str = "4:4:4"

    def __post_init__(self) -> None:
        _set_whole(self, "quality", "HEVC intra", "quality", HEVC_LOSSLESS, 100)
        _check_sampling(self.subsampling)

    @property
    def label(self) -> str:
        """Return codec, sampling, quality, and the libraries that code, with versions."""
        effort = "preset veryslow, tune PSNR"
        return f"HEVC intra {self.subsampling} quality {self.quality}, {effort}, {libraries.heif_version()}"

    def compress(self, image: np.ndarray) -> bytes:
        """Return the HEIF file of a uint8 picture HxWx3 (RGB) or HxW."""
        check_picture(image)
        return libraries.heif_file(
            image,
            quality=self.quality,
            chroma=self.subsampling.replace(":", ""),
            matrix_coefficients=6,
            full_range_flag=1,
            enc_params=dict(HEVC_EFFORT),
        )

    def decompress(self, data: bytes) -> np.ndarray:
        """Return the uint8 picture HxWx3 (RGB) or HxW of a HEIF file; RelicError where it is none."""
        return libraries.heif_picture(data)


@dataclass(frozen=True)
class Bpg:
    """BPG by its programs bpgenc and bpgdec: quantiser 51 (coarsest) to 0, 8 bits, the programs' default effort.

    A picture HxW is coded as grey.
    """

    qp: int
    subsampling: str = "4:4:4"

    def __post_init__(self) -> None:
        _set_whole(self, "qp", "BPG", "quantiser", 0, 51)
        _check_sampling(self.subsampling)

    @property
    def label(self) -> str:
        """Return codec, sampling, quantiser, and the program's version."""
        return f"BPG {self.subsampling} qp {self.qp}, bpgenc {libraries.bpg_version(libraries.program('bpgenc'))}"

    def compress(self, image: np.ndarray) -> bytes:
        """Return the BPG file of a uint8 picture HxWx3 (RGB) or HxW."""
        check_picture(image)
        options = ["-q", str(self.qp), "-f", self.subsampling.replace(":", ""), "-b", "8"]
        png = libraries.opencv_file(".png", image, [])
        return libraries.through("bpgenc", options, png, "picture.png", "picture.bpg")

    def decompress(self, data: bytes) -> np.ndarray:
        """Return the uint8 picture HxWx3 (RGB) or HxW of a BPG file; RelicError where it is none."""
        if data[:4] != b"BPG\xfb" or len(data) < 6:
            raise libraries.no_file("BPG")
        png = libraries.through("bpgdec", [], data, "picture.bpg", "picture.png")
        image = libraries.opencv_picture("PNG", png, png[:4] == b"\x89PNG")
        is_grey = data[4] >> 5 == 0  # bpgdec writes RGB for every format
        return image[..., 0].copy() if is_grey and image.ndim == 3 else image


def jpeg_round_trip(images: np.ndarray, quality: int, subsampling: str = "4:2:0") -> np.ndarray:
    """Return what JPEG makes of uint8 pictures: the same shape, each written at `quality` and read by OpenCV.

    images: one picture (H, W) or (H, W, 3), or a batch (B, H, W) or (B, H, W, 3); three axes of which the last has
    length 3 are one picture. Raises RelicError for anything else.
    """
    codec = Jpeg(quality, subsampling)
    if images.ndim not in (3, 4) or (images.ndim == 3 and images.shape[2] == 3):
        return codec.decompress(codec.compress(images))
    coded = np.empty_like(images)
    for source, target in zip(images, coded, strict=True):
        target[...] = codec.decompress(codec.compress(source))
    return coded


# --- families ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Family:
    """A codec with its setting left open.

    make(setting) is the codec, `settings` all of them from the smallest file to the largest, `grid` those a curve is
    drawn of; `missing()` is "" or one sentence that says why it cannot be used here.
    """

    name: str
    make: Callable[[int], Codec]
    settings: tuple[int, ...]
    grid: tuple[int, ...]
    missing: Callable[[], str]


def available() -> list[Family]:
    """Return the families that can be used here."""
    return [member for member in FAMILIES if not member.missing()]


def family(name: str) -> Family:
    """Return the family of a name; RelicError names those there are."""
    for member in FAMILIES:
        if member.name == name:
            return member
    raise RelicError(f"there is no codec {name}: choose one of {', '.join(member.name for member in FAMILIES)}")


def _nothing_missing() -> str:
    return ""


def _missing_in_pillow(feature: str, name: str) -> str:
    return "" if features.check(feature) else f"this Pillow is built without {name}: pip install 'pillow>=11.3'"


def _missing_heif() -> str:
    try:
        return "" if "x265" in libraries.pillow_heif().libheif_info()["HEIF"] else "this pillow-heif is without x265"
    except RelicError as error:
        return str(error)


def _missing_bpg() -> str:
    try:
        libraries.program("bpgenc"), libraries.program("bpgdec")
    except RelicError as error:
        return str(error)
    return ""


# Below quality 20 nearly every one counts: there the learned codecs of this suite work.
_JPEG_GRID = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20, 25, 30, 35, 40, 50, 60, 70, 80, 85, 90, 95, 100)
_JPEG2000_GRID = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 32, 40, 50, 64, 80, 100, 130, 160, 200)
_TENS = (0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 100)

FAMILIES = (
    Family(JPEG, Jpeg, tuple(range(1, 101)), _JPEG_GRID, _nothing_missing),
    Family(
        JPEG_OPTIMISED,
        functools.partial(Jpeg, optimised=True),
        tuple(range(1, 101)),
        _JPEG_GRID,
        _nothing_missing,
    ),
    Family(
        "JPEG2000",
        Jpeg2000,
        tuple(range(1, 1001)),
        _JPEG2000_GRID,
        functools.partial(_missing_in_pillow, "jpg_2000", "JPEG2000"),
    ),
    Family("WebP", WebP, tuple(range(1, 101)), (1, *_TENS[1:]), _nothing_missing),
    Family("AVIF", Avif, tuple(range(101)), _TENS, functools.partial(_missing_in_pillow, "avif", "AVIF")),
    Family("HEVC intra", HevcIntra, tuple(range(101)), _TENS, _missing_heif),
    Family("BPG", Bpg, tuple(range(51, -1, -1)), tuple(range(51, -1, -3)), _missing_bpg),
)


# --- checks --------------------------------------------------------------------------------------------------------


def _set_whole(codec: Codec, field: str, name: str, what: str, smallest: int, largest: int) -> None:
    """Make a codec's setting an int, as the libraries want it; RelicError for what is no whole number in its range."""
    value = getattr(codec, field)
    number = integer(value)
    if number is None or not smallest <= number <= largest:
        raise RelicError(f"{name} has no {what} {value}: choose {smallest} to {largest}, a whole number")
    object.__setattr__(codec, field, number)


def _check_sampling(subsampling: str) -> None:
    if subsampling not in JPEG_SAMPLINGS:
        raise RelicError(f"{subsampling!r} is no chroma sampling: choose {', '.join(JPEG_SAMPLINGS)}")


def _check_sides(name: str, image: np.ndarray, largest: int) -> None:
    check_picture(image)
    if max(image.shape) > largest:
        raise RelicError(f"{name} holds sides up to {largest} pixels, not {max(image.shape)}: cut the picture")
