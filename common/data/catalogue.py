"""The data sets known by name: what each holds, its terms, and where the public gets it. Facts only, nothing is read.

Addresses, sizes and digests of archives are those that their publishers or tensorflow-datasets print.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from common.errors import RelicError


@dataclass(frozen=True)
class Archive:
    """A published archive; `url` is empty where it is given only to those who register. Size in bytes, 0: unknown."""

    file: str
    url: str = ""
    size: int = 0
    sha256: str = ""
    md5: str = ""


@dataclass(frozen=True)
class KnownSet:
    """What there is to say about a named set before its use.

    pictures, size: how many pictures and bytes it has on the disk, as it is prepared. parts: its splits. files: the
    address below which each of its recorded files lies. archives, members: what it is made from, and a pattern of the
    wanted members' paths, whose groups, joined by `/`, are their paths in the set. asks: it is downloaded only from an
    address that the user gives, as its source states no licence or is not the owner. stands_for: the set whose place it
    takes at scales smaller than the paper's.
    """

    contents: str
    pictures: int
    terms: str
    size: int = 0
    home: str = ""
    parts: tuple[str, ...] = ()
    files: str = ""
    archives: tuple[Archive, ...] = ()
    members: str = ""
    asks: bool = False
    stands_for: str = ""
    note: str = ""


_NO_LICENCE = "no licence stated, research use"
_BSDS = "non-commercial research and education"
_IMAGENET = "ImageNet's: non-commercial research and education"
_COCO = "photographs under their Flickr licences"
_UNSPLASH = "the photographs' own licences (Unsplash)"
_CIFAR = "https://www.cs.toronto.edu/~kriz/"
_COCO_URL = "http://images.cocodataset.org/"
_CLIC = "https://data.vision.ee.ethz.ch/cvl/clic/"
# The commits at which these repositories held the very files that are recorded here.
_DNCNN = "https://raw.githubusercontent.com/cszn/DnCNN/e93b27812d3ff523a3a79d19e5e50d233d7a8d0a/"
_BSDS500 = "https://raw.githubusercontent.com/BIDS/BSDS500/a04b7c6c3a9f0ace74bf205c72a43d32e1c72722/"
_ONE_A_CLASS = (
    "https://raw.githubusercontent.com/EliSchwartz/imagenet-sample-images/bc69043e2862758a1906c6a24a792bb28c6bb2ff/"
)
_TRAIN400 = "TrainingCodes/DnCNN_TrainingCodes_v1.0/data/Train400/"
_TOP = r"(?:[^/]+/)?"  # an archive's own folder
_PART_OF_A_SET = "No public source of this part is known; the whole set is public."

SETS: Mapping[str, KnownSet] = MappingProxyType(
    {
        "sample": KnownSet(
            "photographs that stand in where test pictures are missing",
            3,
            "CC0 and public domain, inside scikit-image",
        ),
        "synthetic": KnownSet("drawn pictures for trainings of scale smoke", 4, "made by this program"),
        "kodak": KnownSet(
            "Kodak Lossless True Color Image Suite: photographs, 768x512",
            24,
            "released by Eastman Kodak for unrestricted use",
            size=15_394_305,
            home="http://r0k.us/graphics/kodak/",
            files="http://r0k.us/graphics/kodak/kodak/",
        ),
        "set12": KnownSet(
            "the classical grey pictures, 256x256 and 512x512",
            12,
            _NO_LICENCE,
            size=1_195_905,
            home="https://github.com/cszn/DnCNN",
            files=f"{_DNCNN}testsets/Set12/",
            archives=(Archive("DnCNN.zip"),),
            members=rf"{_TOP}testsets/Set12/(\d\d\.png)",
            asks=True,
        ),
        "set14": KnownSet(
            "classical pictures in colour, one of them grey",
            14,
            _NO_LICENCE,
            size=9_148_174,
            home="https://github.com/cszn/DnCNN",
            files=f"{_DNCNN}testsets/Set14/",
            archives=(Archive("DnCNN.zip"),),
            members=rf"{_TOP}testsets/Set14/(\w+\.bmp)",
            asks=True,
        ),
        "classic5": KnownSet(
            "classical grey pictures, 512x512",
            5,
            _NO_LICENCE,
            size=1_316_110,
            home="https://github.com/cszn/DnCNN",
            files=f"{_DNCNN}testsets/classic5/",
            archives=(Archive("DnCNN.zip"),),
            members=rf"{_TOP}testsets/classic5/(\w+\.bmp)",
            asks=True,
        ),
        "live1": KnownSet(
            "LIVE Image Quality Assessment Database: its originals",
            29,
            _NO_LICENCE,
            size=6_042_174,
            home="https://live.ece.utexas.edu/research/quality/",
            note="No table uses it; it is known here so that nothing trains on it.",
        ),
        "clic/validation": KnownSet(
            "Challenge on Learned Image Compression: validation sets P (professional, 41) and M (mobile, 61)",
            102,
            _UNSPLASH,
            size=371_000_000,
            home="https://clic.compression.cc/",
            archives=(
                Archive(
                    "professional_valid_2020.zip",
                    f"{_CLIC}professional_valid_2020.zip",
                    134_834_429,
                    "00be38092ade2ab5163b65f7f6523d46c7bca147007f559adbb02c0afc236b7d",
                ),
                Archive(
                    "mobile_valid_2020.zip",
                    f"{_CLIC}mobile_valid_2020.zip",
                    236_556_531,
                    "ff0280382eeb32fdceb28c81a7f47ac9ad86d933ebe901680845635d04e47a10",
                ),
            ),
            members=r"(?:[^/]+/)*([^/]+\.png)",
            note="The challenge of 2019 named these archives professional_valid.zip and mobile_valid.zip, of the same "
            "129 and 226 MB; whether they held the same bytes is not known here.",
        ),
        "clic_subset": KnownSet(
            "large photographs whose source names them CLIC",
            5,
            _UNSPLASH,
            size=16_313_298,
            stands_for="clic/validation",
            note="That they belong to CLIC's validation set is not verified; no public source of these five is known.",
        ),
        "bsds500": KnownSet(
            "Berkeley Segmentation Data Set: photographs, 481x321; val holds BSD68",
            500,
            _BSDS,
            size=36_991_351,
            home="https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/resources.html",
            parts=("train", "val", "test"),
            files=f"{_BSDS500}BSDS500/data/images/",
            archives=(
                Archive(
                    "BSR_bsds500.tgz",
                    "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/BSR/BSR_bsds500.tgz",
                ),
            ),
            members=rf"{_TOP}BSDS500/data/images/(train|val|test)/(\d+\.jpg)",
            note="Its files come one by one from the mirror of the Berkeley Institute for Data Science; with --archive "
            "BSR_bsds500.tgz it is made from Berkeley's own archive.",
        ),
        "train400": KnownSet(
            "grey crops of BSDS500's train and test, 180x180",
            400,
            _BSDS,
            size=8_242_575,
            home="https://github.com/cszn/DnCNN",
            files=f"{_DNCNN}{_TRAIN400}",
            archives=(Archive("DnCNN.zip"),),
            members=rf"{_TOP}{_TRAIN400}(test_\d+\.png)",
            asks=True,
        ),
        "imagenet_sample": KnownSet(
            "photographs of ImageNet, one for a class, with at least 256 pixels a side",
            420,
            _IMAGENET,
            size=49_081_909,
            home="https://github.com/EliSchwartz/imagenet-sample-images",
            files=_ONE_A_CLASS,
            archives=(Archive("imagenet-sample-images.zip"),),
            members=rf"{_TOP}(n\d{{8}}_[^/]+\.JPEG)",
            asks=True,
            stands_for="imagenet2012/validation",
        ),
        "imagenet2012/validation": KnownSet(
            "ImageNet, ILSVRC 2012: validation",
            50_000,
            _IMAGENET,
            size=6_665_000_000,
            home="https://image-net.org/challenges/LSVRC/2012/2012-downloads.php",
            archives=(
                Archive(
                    "ILSVRC2012_img_val.tar",
                    size=6_744_924_160,
                    sha256="c7e06a6c0baccf06d8dbeb6577d71efff84673a5dbdd50633ab44f8ea0456ae0",
                    md5="29b22e2961454d5413ddabcf34fc5622",
                ),
            ),
            members=rf"{_TOP}(ILSVRC2012_val_\d{{8}}\.JPEG)",
        ),
        "imagenet2012/train": KnownSet(
            "ImageNet, ILSVRC 2012: training",
            1_281_167,
            _IMAGENET,
            size=146_200_000_000,
            home="https://image-net.org/challenges/LSVRC/2012/2012-downloads.php",
            archives=(
                Archive(
                    "ILSVRC2012_img_train.tar",
                    size=147_897_477_120,
                    sha256="b08200a27a8e34218a0e58fde36b0fe8f73bc377f4acea2d91602057c3ca45bb",
                    md5="1d675b47d978889d74fa0da5fadfb00e",
                ),
            ),
            members=r"(n\d{8})\.tar/(n\d{8}_\d+\.JPEG)",
        ),
        "tiny_imagenet_val": KnownSet(
            "Tiny ImageNet: validation, 64x64",
            10_000,
            _IMAGENET,
            size=20_000_000,
            home="http://cs231n.stanford.edu/",
            archives=(
                Archive(
                    "tiny-imagenet-200.zip",
                    "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
                    size=248_100_043,
                    md5="90528d7ca1a48142e341f4ef8d21d0de",
                ),
            ),
            members=rf"{_TOP}val/images/(val_\d+\.JPEG)",
        ),
        "coco/train": KnownSet(
            "COCO 2017, training",
            118_287,
            _COCO,
            size=19_320_000_000,
            home="https://cocodataset.org/",
            archives=(
                Archive(
                    "train2017.zip",
                    f"{_COCO_URL}zips/train2017.zip",
                    19_336_861_798,
                    "69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
                    "cced6f7f71b7629ddf16f17bbcfab6b2",
                ),
            ),
            members=r"train2017/(\d{12}\.jpg)",
            note="Deshmukh and Pollett name neither year nor split, and 330 thousand images, more than one split has.",
        ),
        "coco/validation": KnownSet(
            "COCO 2017, validation",
            5_000,
            _COCO,
            size=815_000_000,
            home="https://cocodataset.org/",
            archives=(
                Archive(
                    "val2017.zip",
                    f"{_COCO_URL}zips/val2017.zip",
                    815_585_330,
                    "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
                    "442b8da7639aecaf257c1dceb8ba8c80",
                ),
            ),
            members=r"val2017/(\d{12}\.jpg)",
        ),
        "coco128_train": KnownSet(
            "the first photographs of COCO 2017's training set",
            128,
            _COCO,
            size=22_172_241,
            home="https://cocodataset.org/",
            files=f"{_COCO_URL}train2017/",
            archives=(Archive("train2017.zip"),),
            members=rf"{_TOP}(?:images/)?train2017/(\d{{12}}\.jpg)",
            stands_for="coco/train",
        ),
        "coco128_val": KnownSet(
            "the first photographs of COCO 2017's validation set",
            128,
            _COCO,
            size=20_325_087,
            home="https://cocodataset.org/",
            files=f"{_COCO_URL}val2017/",
            archives=(Archive("val2017.zip"),),
            members=r"val2017/(\d{12}\.jpg)",
        ),
        "cifar10": KnownSet(
            "CIFAR-10: pictures of ten classes, 32x32",
            60_000,
            _NO_LICENCE,
            size=184_321_000,
            home=f"{_CIFAR}cifar.html",
            parts=("train", "test"),
            archives=(
                Archive(
                    "cifar-10-binary.tar.gz",
                    f"{_CIFAR}cifar-10-binary.tar.gz",
                    170_052_171,
                    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                    "c32a1d4ab5d03f1284b67883e8d87530",
                ),
            ),
        ),
        "cifar100": KnownSet(
            "CIFAR-100: pictures of a hundred classes, 32x32",
            60_000,
            _NO_LICENCE,
            size=184_321_000,
            home=f"{_CIFAR}cifar.html",
            parts=("train", "test"),
            archives=(
                Archive(
                    "cifar-100-binary.tar.gz",
                    f"{_CIFAR}cifar-100-binary.tar.gz",
                    168_513_733,
                    "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
                    "03b5dce01913d631647c71ecec9e9cb8",
                ),
            ),
        ),
        "cifar10_subset": KnownSet(
            "pictures of CIFAR-10",
            6_499,
            _NO_LICENCE,
            size=18_408_173,
            parts=("train", "test"),
            stands_for="cifar10",
            note=_PART_OF_A_SET,
        ),
        "cifar100_subset": KnownSet(
            "pictures of CIFAR-100",
            2_033,
            _NO_LICENCE,
            size=5_740_067,
            parts=("train", "test"),
            stands_for="cifar100",
            note=_PART_OF_A_SET,
        ),
        "stl10": KnownSet(
            "STL-10: pictures, 96x96",
            113_000,
            _IMAGENET,
            size=3_124_225_000,
            home="https://cs.stanford.edu/~acoates/stl10/",
            parts=("train", "test", "unlabelled"),
            archives=(
                Archive(
                    "stl10_binary.tar.gz",
                    "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
                    2_640_397_119,
                    "f31fd99273a1acb8609c8db427cebb1de3f71de77758cdc0e22956e1289b9866",
                    "91f7769df0f17e558f3565bffb0c7dfb",
                ),
            ),
        ),
        "stl10_examples": KnownSet(
            "pictures of STL-10",
            246,
            _IMAGENET,
            size=4_504_834,
            stands_for="stl10",
            note=_PART_OF_A_SET,
        ),
    }
)
BUILT_IN = ("sample", "synthetic")


def key_of(name: str) -> str:
    """Return the set of SETS that a name is, or is a part of: `bsds500` of `bsds500/train`; empty for none."""
    if name in SETS:
        return name
    first, _, part = name.partition("/")
    if first in SETS and part in SETS[first].parts:
        return first
    return "clic/validation" if name == "clic" else ""


def is_downloadable(known: KnownSet) -> bool:
    """Return whether a set has a public address that this program may take it from."""
    return bool(known.files) or any(archive.url for archive in known.archives)


def how_to_get(name: str) -> str:
    """Return half a sentence that says how to get a set, and under which terms where they are known."""
    key = key_of(name)
    put = f"put its pictures into $RELIC_DATA/{name}"
    if not key:
        several = [known for known in SETS if known.startswith(f"{name}/")]
        if several:
            return f"name one of its parts, {', '.join(several)}"
        return f"{put}, or run `python -m common.data fetch {name}` if tensorflow-datasets knows it"
    known = SETS[key]
    if not known.files and not known.archives:
        return f"{put} (terms: {known.terms}); `python -m common.data list {key}` says more"
    return f"run `python -m common.data fetch {key}`, or {put} (terms: {known.terms})"


def refuse_unknown(name: str) -> RelicError:
    """Return the error for a name that is of no set known here."""
    return RelicError(f"no data set {name} is known here: `python -m common.data list` shows all")
