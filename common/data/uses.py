"""Who uses which set: the trainings by paper and scale, and the tables and figures measured on it.

Typed here, as `common` sees no paper; a test compares it with every preset at every scale and the published tables.
"""

from collections.abc import Mapping

CHENG, DESHMUKH, DONIS, PAKA, ZHAO = PAPERS = (
    "cheng_resnet",
    "deshmukh_irm",
    "donis_convlstm",
    "paka_autoencoder",
    "zhao_mixedres",
)
_SHORT = "small medium"
_ALL = "small medium paper"

# Set as configs name it -> paper -> scales at which a preset trains on it.
TRAINING: Mapping[str, Mapping[str, str]] = {
    "synthetic": dict.fromkeys(PAPERS, "smoke"),
    "kodak": {PAKA: _ALL},
    "bsds500/train": {CHENG: _SHORT, DONIS: _ALL, PAKA: _ALL},
    "bsds500/test": {CHENG: _SHORT, DONIS: _ALL, PAKA: _ALL},
    "train400": {ZHAO: _ALL},
    "imagenet_sample": {CHENG: _SHORT, DESHMUKH: _SHORT, DONIS: _ALL, PAKA: _ALL},
    "imagenet2012/validation": {CHENG: "paper"},
    "imagenet2012/train": {DESHMUKH: "paper"},
    "tiny_imagenet_val": {DONIS: _SHORT},
    "coco/train": {DESHMUKH: "paper"},
    "coco128_train": {DESHMUKH: _SHORT},
    "cifar10/train": {DONIS: "paper"},
    "cifar100/train": {DONIS: "paper"},
    "cifar10_subset/train": {DONIS: _SHORT},
    "cifar100_subset/train": {DONIS: _SHORT},
    "stl10/unlabelled": {DESHMUKH: "paper"},
    "stl10_examples": {DESHMUKH: _SHORT},
}

# Set as tables name it -> paper -> the tables of its folder `published/` that are measured on it, in whole or in part.
TESTING: Mapping[str, Mapping[str, str]] = {
    "kodak": {
        CHENG: "claims joint table1 table2 table3 table4 table5",
        DESHMUKH: "audit claims figure4 table3 table4",
        PAKA: "audit figure5 figure7 figure8 table1",
    },
    "set12": {DESHMUKH: "audit table1 table2 table5 table6", ZHAO: "claims figure2"},
    "set14": {DESHMUKH: "audit table3 table4"},
    "classic5": {ZHAO: "figure2"},
    "bsds500/val": {CHENG: "recipes"},
    "clic/validation": {CHENG: "table6 table7"},
    "coco128_val": {DESHMUKH: "figure3"},
    "cifar10_subset/test": {DONIS: "claims figure6 figure7"},
    "cifar100_subset/test": {DONIS: "claims figure6 figure7"},
}


def _of(name: str, uses: Mapping[str, Mapping[str, str]]) -> dict[str, Mapping[str, str]]:
    return {used: papers for used, papers in uses.items() if used == name or used.startswith(f"{name}/")}


def papers(name: str) -> str:
    """Return the papers that use a set or a part of it, in short: `Cheng, Paka`, `all but Zhao`, empty for none."""
    using = {paper for uses in (TRAINING, TESTING) for papers in _of(name, uses).values() for paper in papers}
    others = [_short(paper) for paper in PAPERS if paper not in using]
    if len(others) < 2:
        return " but ".join(["all", *others])
    return ", ".join(_short(paper) for paper in PAPERS if paper in using)


def _short(paper: str) -> str:
    return paper.split("_")[0].capitalize()


def sentences(name: str) -> list[str]:
    """Return one line for each use of a set or of its parts."""
    trained: dict[tuple[str, str], list[str]] = {}
    for used, by_paper in _of(name, TRAINING).items():
        for use in by_paper.items():
            trained.setdefault(use, []).append(used)
    lines = [
        f"{paper} trains on {' and '.join(used)} at scale {', '.join(scales.split())}"
        for (paper, scales), used in trained.items()
    ]
    return lines + [
        f"{paper} tests on {used}: {', '.join(tables.split())}"
        for used, by_paper in _of(name, TESTING).items()
        for paper, tables in by_paper.items()
    ]
