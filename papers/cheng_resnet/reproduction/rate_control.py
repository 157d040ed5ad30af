"""Tables 6 and 7: two networks of one architecture, and the choice between them for each picture at 0.15 bpp.

The choice is exact, on whole bytes; one bit a picture says which network it is, as in the paper, although a file's
header names its network anyway. As an extension the same is chosen over steps of the quantiser.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from common import evaluate, rate_control
from common.data import Picture
from common.errors import RelicError
from common.tables import measure, networks, published
from common.tables.command import Options
from common.tables.document import Reproduction
from common.tables.numbers import mean, plain
from common.tables.test_pictures import pictures_of
from papers.cheng_resnet.codec import Codec

TARGET = 0.15  # bits per pixel of the challenge's low-rate track
STEPS = (-8, -4, 0, 4, 8)  # of the extension
ESTIMATE = "rate estimate (bpp)"
Entry = dict[str, Any]  # one picture by one network and step: what `measured` returns
NOTES = (
    "Rates are counted: 8 times the bytes of all files, and one bit a picture more where there is rate control, over "
    "all pixels. The exact choice maximises the sum of MS-SSIM; greedy is by MS-SSIM a byte, and no choice exceeds the "
    "bound.",
    "Pooled PSNR is of the squared error over all pixels of all pictures.",
)


def networks_alone(options: Options) -> Reproduction:
    """Measure each row's network on the test pictures, rates by likelihoods beside the counted ones: Table 6."""
    pictures, test_set, note = pictures_of(options, published.load(options.table))
    known = networks.networks_of(options.rows, options.scale, options.seeds)
    found = _measured(options, options.rows, known.seeds, pictures)
    entries = [{"row": row, **entry} for (row, _), of in found.items() for entry in of]
    every = {row: [e for e in entries if e["row"] == row] for row in known.made_by}
    further = {
        ESTIMATE: {row: plain(mean(e["rate_estimate"] for e in of)) for row, of in every.items()},
        "total bits over total pixels": {row: plain(mean(_by_seed(of, _rate))) for row, of in every.items()},
        "pooled PSNR (dB)": {row: plain(mean(_by_seed(of, pooled_psnr))) for row, of in every.items()},
    }
    made = {"test_set": test_set, "networks": known.made_by}
    notes = [note] if note else []
    return Reproduction(pictures=entries, missing=known.missing, further=further, notes=notes, provenance=made)


def entries(options: Options, configs: Mapping[str, Any]) -> Reproduction:
    """Measure all networks, and choose for every row of Table 7 among those that it names, or as another row does."""
    pictures, test_set, note = pictures_of(options, published.load(options.table))
    known = networks.networks_of(configs, options.scale, options.seeds)
    found = _measured(options, configs, known.seeds, pictures)
    reproduction = Reproduction(notes=[*NOTES, *([note] if note else [])])
    reproduction.provenance = {"test_set": test_set, "networks": known.made_by}
    extended = None
    for row, of_row in options.rows.items():
        names = options.rows[of_row] if isinstance(of_row, str) else of_row
        missing = [known.missing[name] for name in names if name in known.missing]
        seeds = sorted(set.intersection(*(set(known.seeds[name]) for name in names)))
        if missing or not seeds:
            reproduction.missing[row] = missing[0] if missing else "No seed has both networks."
            continue
        _add_row(reproduction, row, [[found[name, seed] for name in names] for seed in seeds])
        extended = (row, names, seeds[0]) if len(names) > 1 or not extended else extended
    if extended and options.scale != "smoke":
        _add_steps(reproduction, options.scale, configs, extended, pictures)
    return reproduction


def _add_row(reproduction: Reproduction, row: str, by_seed: Sequence[Sequence[list[Entry]]]) -> None:
    """Add a row: for each seed, the entries of its networks, each of all pictures."""
    chosen, columns = [], []
    for of_networks in by_seed:
        candidates = list(zip(*of_networks, strict=True))
        picked, about = (list(of_networks[0]), {}) if len(of_networks) == 1 else controlled(candidates, TARGET)
        chosen += picked
        columns.append({**summary(picked, len(of_networks) > 1), **about})
        if len(of_networks) > 1:
            rates = [_rate(of) for of in of_networks]
            columns[-1].update(_between(candidates, rates))
            reproduction.notes += [_degenerate(row, picked[0]["seed"], rates)] if _is_degenerate(rates) else []
    reproduction.pictures += [{"row": row, **entry} for entry in chosen]
    for column in columns[0]:
        value = plain(mean(of[column] for of in columns))
        if column == "Rate":
            reproduction.values.setdefault(row, {})[column] = value
        else:
            reproduction.further.setdefault(column, {})[row] = value


def controlled(candidates: Sequence[Sequence[Entry]], target: float) -> tuple[list[Entry], dict[str, float]]:
    """Return the best choice of each picture's candidates at a target, in bits per pixel with one bit a picture.

    Beside it what the greedy choice reaches and its bound, as means of MS-SSIM, and the share of the last candidate.
    Where even the smallest files are above the target they are taken.
    """
    sizes = [[entry["num_bytes"] for entry in of] for of in candidates]
    values = [[entry["ms_ssim"] for entry in of] for of in candidates]
    budget = rate_control.budget(target, sum(_pixels(of[0]) for of in candidates), len(candidates))
    budget = max(budget, sum(map(min, sizes)))
    best, (greedy, bound) = rate_control.exact(sizes, values, budget), rate_control.greedy(sizes, values, budget)
    picked = [of[j] for of, j in zip(candidates, best.chosen, strict=True)]
    count = len(candidates)
    about = {
        "MS-SSIM, greedy": greedy.value / count,
        "MS-SSIM, bound": bound / count,
        "share of the larger lambda": sum(j == len(of) - 1 for of, j in zip(candidates, best.chosen, strict=True))
        / count,
    }
    return picked, about


def summary(picked: Sequence[Entry], is_controlled: bool) -> dict[str, float]:
    """Return the counted rate, the averages that the paper may have meant instead, and the rate by likelihoods."""
    extra = len(picked) if is_controlled else 0
    return {
        "Rate": _rate(picked, extra),
        "mean of the pictures' bpp": mean(entry["bpp"] + (is_controlled / _pixels(entry)) for entry in picked),
        "pooled PSNR (dB)": pooled_psnr(picked),
        ESTIMATE: sum(e["rate_estimate"] * _pixels(e) for e in picked) / sum(map(_pixels, picked)),
    }


def pooled_psnr(picked: Iterable[Entry]) -> float:
    """Return the PSNR in dB of the squared error over all pixels of all pictures."""
    parts = [(_pixels(entry), 10 ** (-entry["psnr"] / 10)) for entry in picked]
    return float(-10 * np.log10(sum(p * error for p, error in parts) / sum(p for p, _ in parts)))


def _between(candidates: Sequence[Sequence[Entry]], rates: Sequence[float]) -> dict[str, float]:
    """Return what is chosen at the rate half-way between both networks, where there is always something to choose."""
    target = round(sum(rates) / 2, 4)
    picked, about = controlled(candidates, target)
    return {
        "extension: target between (bpp)": target,
        "extension: its rate": _rate(picked, len(picked)),
        "extension: its MS-SSIM": mean(entry["ms_ssim"] for entry in picked),
        "extension: its bound": about["MS-SSIM, bound"],
    }


def _is_degenerate(rates: Sequence[float]) -> bool:
    return min(rates) > TARGET or max(rates) <= TARGET


def _degenerate(row: str, seed: int, rates: Sequence[float]) -> str:
    """Say that the rates of both networks leave nothing to choose at the paper's target."""
    both = " and ".join(f"{rate:.4f}" for rate in rates)
    side = "above" if min(rates) > TARGET else "below"
    taken = "the smallest files are taken, and the rate is not kept" if side == "above" else "no rate binds the choice"
    return f"{row}, seed {seed}: both networks, {both} bpp, are {side} {TARGET} bpp: {taken}."


def _add_steps(
    reproduction: Reproduction,
    scale: str,
    configs: Mapping[str, Any],
    of: tuple[str, Sequence[str], int],
    pictures: Sequence[Picture],
) -> None:
    """Add the extension: the choice at 0.15 bpp over steps of the first network, and of all, of one row and seed."""
    row, names, seed = of
    measured_at = [_with_steps(networks.codec_of(configs[name], scale, seed), seed, pictures) for name in names]
    together = [[entry for of in every for entry in of] for every in zip(*measured_at, strict=True)]
    kinds = {"steps of lambda 5": measured_at[0], **({"steps of both": together} if len(names) > 1 else {})}
    for kind, candidates in kinds.items():
        picked, _ = controlled(candidates, TARGET)
        values = {"bpp": _rate(picked, len(picked)), "MS-SSIM": mean(entry["ms_ssim"] for entry in picked)}
        for column, value in values.items():
            reproduction.further[f"extension: {kind}, {column}"] = {row: plain(value)}
    reproduction.notes.append(
        f"Extension, seed {seed}: the same choice over the steps {', '.join(map(str, STEPS))} of the quantiser."
    )


def _with_steps(codec: Codec, seed: int, pictures: Sequence[Picture]) -> list[list[Entry]]:
    """Return each picture's entries at all steps."""
    codecs = [codec.with_settings(step=step) for step in STEPS]
    with measure.progress(len(pictures)) as bar:
        found = []
        for picture in pictures:
            found.append([measured(each, seed, picture) for each in codecs])
            bar.update()
    return found


def _measured(
    options: Options, configs: Mapping[str, Any], seeds: Mapping[str, Sequence[int]], pictures: Sequence[Picture]
) -> dict[tuple[str, int], list[Entry]]:
    """Return the entries of all pictures by network and seed."""
    every = [(name, seed) for name, of in seeds.items() for seed in of]
    one = partial(_of_network, configs, options.scale, pictures)
    return dict(zip(every, measure.over_networks(options, one, every), strict=True))


def _of_network(
    configs: Mapping[str, Any], scale: str, pictures: Sequence[Picture], network: tuple[str, int]
) -> list[Entry]:
    name, seed = network
    codec = networks.codec_of(configs[name], scale, seed)
    return [measured(codec, seed, picture) for picture in pictures]


def measured(codec: Codec, seed: int, picture: Picture) -> Entry:
    """Return what coding a picture to bytes and back costs and gives, as plain data.

    Raises RelicError for pictures that have no MS-SSIM, of which there is nothing to choose by.
    """
    name, image = picture
    whole = evaluate.measure(codec, image, name)
    if whole.ms_ssim is None:
        raise RelicError(f"{name} has a side below 161 pixels and so no MS-SSIM, which rate control maximises")
    values = {**measure.fields(whole), "rate_estimate": codec.rate_estimate(image), "lmbda": codec.config.lmbda}
    return {"seed": seed, "picture": name, **{key: plain(value) for key, value in values.items()}}


def _pixels(entry: Entry) -> int:
    return entry["height"] * entry["width"]


def _rate(picked: Sequence[Entry], extra_bits: int = 0) -> float:
    """Return total bits over total pixels."""
    return (8 * sum(entry["num_bytes"] for entry in picked) + extra_bits) / sum(map(_pixels, picked))


def _by_seed(of: Sequence[Entry], function: Any) -> list[float]:
    seeds = sorted({entry["seed"] for entry in of})
    return [function([entry for entry in of if entry["seed"] == seed]) for seed in seeds]
