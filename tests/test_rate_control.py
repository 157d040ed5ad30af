"""Rate control: the exact choice is brute force's, Table 7 counts every bit, a folder keeps to its rate."""

import copy
import itertools
import time

import numpy as np
import pytest

import papers
from common import metrics, rate_control
from common.data import read_image, write_png
from common.errors import RelicError
from common.tables import document, networks, published, test_pictures, verdicts
from common.tables.command import Options
from papers import __main__ as command
from papers import folder
from papers.cheng_resnet.reproduction import rate_control as reproduction


def problem(seed, pictures, choices):
    random = np.random.RandomState(seed)
    sizes = random.randint(1, 60, (pictures, choices)).tolist()
    return sizes, random.rand(pictures, choices).round(2).tolist(), int(random.randint(15 * pictures, 45 * pictures))


def _sum(rows, choice):
    return sum(of[j] for of, j in zip(rows, choice, strict=True))


def brute_force(sizes, values, budget):
    """Return the greatest value of a selection within the budget, None where none is."""
    every = itertools.product(*(range(len(of)) for of in sizes))
    sums = ((_sum(sizes, c), _sum(values, c)) for c in every)
    return max((value for size, value in sums if size <= budget), default=None)


@pytest.mark.parametrize("pictures, choices", [(1, 1), (1, 4), (4, 2), (9, 2), (6, 4)])
def test_the_exact_choice_is_that_of_brute_force_and_lies_between_the_greedy_one_and_its_bound(pictures, choices):
    for seed in range(40):
        sizes, values, budget = problem(seed, pictures, choices)
        best = brute_force(sizes, values, budget)
        if best is None:
            with pytest.raises(RelicError, match="smallest files"):
                rate_control.exact(sizes, values, budget)
            continue
        found = rate_control.exact(sizes, values, budget)
        greedy, bound = rate_control.greedy(sizes, values, budget)
        assert found.value == pytest.approx(best, abs=1e-12)
        assert found.size <= budget and greedy.size <= budget
        assert greedy.value <= found.value + 1e-12 <= bound + 2e-12
        assert found.size == sum(of[j] for of, j in zip(sizes, found.chosen, strict=True))


def test_the_greedy_choice_is_within_one_upgrade_of_the_optimum():
    for seed in range(30):
        sizes, values, _ = problem(seed, 40, 2)
        budget = sum(map(sum, sizes)) // 2
        greedy, bound = rate_control.greedy(sizes, values, budget)
        assert bound - greedy.value <= max(abs(a - b) for a, b in values)


def test_hundreds_of_pictures_are_chosen_exactly_in_seconds():
    random = np.random.RandomState(0)
    low = random.randint(8_000, 60_000, 300)
    growth = 1 + 0.4 * random.rand(300)
    sizes = [[int(s * (1 + (g - 1) * k / 4)) for k in range(5)] for s, g in zip(low, growth, strict=True)]
    values = [[0.97 - a * np.exp(-0.3 * k) for k in range(5)] for a in 0.05 * random.rand(300)]
    budget = (sum(of[0] for of in sizes) + sum(of[-1] for of in sizes)) // 2
    started = time.process_time()
    found = rate_control.exact(sizes, values, budget)
    greedy, bound = rate_control.greedy(sizes, values, budget)
    assert time.process_time() - started < 20
    assert greedy.value <= found.value <= bound and found.size <= budget


def test_a_budget_counts_the_extra_bits_and_a_target_as_it_is_written():
    assert rate_control.budget(0.15, 1_600) == 30
    assert rate_control.budget(0.15, 1_600, 1) == 29
    assert rate_control.budget(0.1, 80 * 3) == 3  # in floats 0.1 x 240 / 8 may fall short


# --- Table 7 -------------------------------------------------------------------------------------------------------


def entry(name, num_bytes, ms_ssim, psnr=30.0, side=160):
    bpp = 8 * num_bytes / side**2
    known = {"seed": 0, "picture": name, "rate_estimate": bpp, "height": side, "width": side}
    return {**known, "num_bytes": num_bytes, "bpp": bpp, "ms_ssim": ms_ssim, "psnr": psnr}


CANDIDATES = [
    [entry("a", 400, 0.96), entry("a", 560, 0.97)],
    [entry("b", 400, 0.96), entry("b", 540, 0.985)],
]


def test_the_network_that_gives_more_for_its_bytes_is_chosen_and_a_bit_a_picture_is_counted():
    picked, about = reproduction.controlled(CANDIDATES, 0.15)  # 7680 bits, of which 2 say which network
    assert [e["num_bytes"] for e in picked] == [400, 540]
    assert about["share of the larger lambda"] == 0.5 and about["MS-SSIM, greedy"] == pytest.approx((0.96 + 0.985) / 2)
    assert about["MS-SSIM, bound"] > about["MS-SSIM, greedy"]
    columns = reproduction.summary(picked, is_controlled=True)
    assert columns["Rate"] == pytest.approx((8 * 940 + 2) / (2 * 160**2)) and columns["Rate"] <= 0.15
    exactly = (8 * 960) / (2 * 160**2)
    assert sum(e["num_bytes"] for e in reproduction.controlled(CANDIDATES, exactly)[0]) < 960
    assert reproduction.summary(picked, is_controlled=False)["Rate"] == pytest.approx(8 * 940 / (2 * 160**2))


def test_both_averages_of_rate_and_psnr_differ_on_pictures_of_several_sizes():
    picked = [entry("a", 100, 0.9, 20.0, 160), entry("b", 100, 0.9, 40.0, 320)]
    columns = reproduction.summary(picked, is_controlled=False)
    assert columns["Rate"] == pytest.approx(1600 / (5 * 160**2))
    assert columns["mean of the pictures' bpp"] == pytest.approx((800 + 200) / 2 / 160**2)
    assert columns["pooled PSNR (dB)"] == pytest.approx(-10 * np.log10((1e-2 + 4 * 1e-4) / 5))


@pytest.mark.parametrize("rates, says", [((0.2, 0.3), "above 0.15"), ((0.1, 0.15), "below 0.15"), ((0.1, 0.2), None)])
def test_networks_that_leave_nothing_to_choose_at_the_target_are_said_to(rates, says):
    assert reproduction._is_degenerate(rates) == (says is not None)
    assert says is None or says in reproduction._degenerate("row", 0, rates)


def test_every_row_of_table_7_has_its_networks_and_the_headline_is_that_of_the_best_entry():
    from experiments import table7_cheng

    paper = published.load(table7_cheng.TABLE)
    *choices, of_headline = table7_cheng.ROWS.values()
    assert {*sum(choices, ())} == {*table7_cheng.NETWORKS} and of_headline == table7_cheng.BEST
    headline, best = (paper.rows[number] for number in (-1, -2))
    assert verdicts.same_digits(paper.value(best, "MS-SSIM"), paper.printed(headline, "MS-SSIM"))
    assert best == table7_cheng.BEST
    for low, high in choices[1:]:
        configs = [table7_cheng.NETWORKS[name] for name in (low, high)]
        assert [config.lmbda for config in configs] == [5, 10] and configs[0].architecture == configs[1].architecture


def measured_rows(monkeypatch, missing=()):
    """Return what the experiment makes of measurements by stub networks, those of lambda 10 larger and better."""
    from experiments import table7_cheng

    def stub(options, configs, seeds, pictures):
        more = {name: configs[name].lmbda == 10 for name in seeds}
        return {(n, s): [CANDIDATES[0][more[n]], CANDIDATES[1][more[n]]] for n, of in seeds.items() for s in of}

    there = {name: [] if name in missing else [0] for name in table7_cheng.NETWORKS}
    made = {name: {"preset": name} for name, of in there.items() if of}
    known = networks.Networks(there, made, {name: f"train {name}" for name in missing})
    monkeypatch.setattr(networks, "networks_of", lambda *_: known)
    monkeypatch.setattr(reproduction, "_measured", stub)
    monkeypatch.setattr(
        reproduction, "pictures_of", lambda *_: ([], {"name": "clic_subset", "pictures": 2}, "stand-in")
    )
    found = table7_cheng.reproduce(Options(table7_cheng.TABLE, table7_cheng.ROWS, "smoke"))
    found.provenance["scale"] = "smoke"
    return found, document.join(table7_cheng.TABLE, "smoke", None, found)


def test_table_7_on_a_stand_in_is_not_comparable_and_is_judged_the_same_again(monkeypatch):
    found, joined = measured_rows(monkeypatch)
    assert {cell["verdict"] for cell in joined["cells"]} == {"not comparable"} and len(joined["cells"]) == 17
    rates = [cell["reproduced"] for cell in joined["cells"] if cell["column"] == "Rate"]
    assert rates == [0.125, *[pytest.approx((8 * 940 + 2) / 51200, abs=1e-6)] * 5]
    assert document.recompute(joined) == joined and "stand-in" in found.notes


def test_rows_without_one_of_their_networks_say_how_to_train_it(monkeypatch):
    found, joined = measured_rows(monkeypatch, missing=["TConv, 10", "Bottleneck192"])
    assert [verdict for verdict in (cell["verdict"] for cell in joined["cells"]) if verdict == "not run"] == [
        "not run"
    ] * 8
    assert set(found.missing.values()) == {"train TConv, 10", "train Bottleneck192"}


def test_a_stand_in_of_the_catalogue_comes_before_the_embedded_pictures(monkeypatch):
    from common import data

    monkeypatch.setattr(data, "is_here", lambda name: name == "clic_subset")
    assert test_pictures.stand_in("clic/validation") == "clic_subset" and test_pictures.stand_in("kodak") == "sample"


# --- relic compress FOLDER --target-bpp ----------------------------------------------------------------------------


class Toy:
    """A codec whose files shrink, and whose noise grows, with the step; `kept` knows what a file decodes to."""

    model_id, step = "cheng_resnet/toy", 0.0

    def __init__(self):
        self.kept = {}

    def with_settings(self, step):
        other = copy.copy(self)
        other.step = step
        return other

    def latents(self, image):
        return image

    def compress_latents(self, image):
        size = 40 + round(float(image.std()) * 20 * 1.12**-self.step)
        data = f"{self.step} {image.sum()} ".encode().ljust(size, b".")
        noise = 3.0 * 1.12**self.step * np.random.RandomState(0).randn(*image.shape)
        self.kept[data] = np.clip(image + noise, 0, 255).astype(np.uint8)
        return data

    def decompress(self, data):
        return self.kept[data]


@pytest.fixture
def pictures(tmp_path):
    """Return a folder of three pictures, of 180x170 pixels, with more contrast from one to the next."""
    shade = np.random.RandomState(1).randint(0, 256, (12, 10)).repeat(15, axis=0).repeat(17, axis=1)
    (tmp_path / "in").mkdir()
    for number, contrast in enumerate((0.2, 0.5, 1.0)):
        grey = np.round(128 + contrast * (shade - 128.0)).astype(np.uint8)
        write_png(tmp_path / "in" / f"{number}.png", np.stack([grey] * 3, axis=-1))
    return tmp_path / "in"


@pytest.fixture
def relic(monkeypatch):
    """Run the command with the toy codec; return its exit status or sentence, None where all went well."""
    monkeypatch.setattr(papers, "load", lambda *_: Toy())

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["relic", "compress", *map(str, arguments)])
        try:
            command.main()
        except SystemExit as stop:
            return stop.code
        return None

    return run


MODEL = ("-m", "cheng_resnet/resnet4")


def test_a_folder_keeps_to_its_rate_and_uses_nearly_all_of_it(pictures, relic, capsys):
    assert relic(pictures, *MODEL, "--target-bpp", "0.25", "-o", pictures.parent / "out") is None
    files = sorted((pictures.parent / "out").iterdir())
    rate = 8 * sum(file.stat().st_size for file in files) / (3 * 180 * 170)
    assert [file.name for file in files] == ["0.rlic", "1.rlic", "2.rlic"] and 0.24 < rate <= 0.25
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 4 and f"3 pictures: {rate:.5f} bpp of at most 0.25" in printed[-1]


def test_the_choice_for_a_folder_is_better_than_one_step_for_all(pictures):
    paths, toy = sorted(pictures.iterdir()), Toy()
    entries, chosen = folder.selected(paths, [toy], 0.25)
    images = [read_image(path) for path in paths]
    coded = ([toy.with_settings(step).compress_latents(image) for image in images] for step in range(-24, 41))
    finest = next(of for of in coded if 8 * sum(map(len, of)) <= 0.25 * sum(each.pixels for each in entries))
    best = sum(metrics.ms_ssim(x, toy.decompress(data)) for x, data in zip(images, finest, strict=True))
    assert sum(choice.ms_ssim for choice in chosen) >= best


@pytest.mark.parametrize(
    "arguments, says",
    [
        (("--target-bpp", "0.001"), "out of reach"),
        (("--target-bpp", "0"), "bits per pixel above 0"),
        (("--also", "cheng_resnet/resnet3"), "--target-bpp"),
        (("--target-bpp", "0.2", "--step", "1"), "leave --step out"),
        (("--target-bpp", "0.2", "-o", "-"), "no folder"),
        (("--target-bpp", "0.2", "--also", "paka_autoencoder/autoencoder"), "no steps"),
    ],
)
def test_what_a_folder_cannot_be_coded_with_is_one_sentence_and_no_file(pictures, relic, arguments, says):
    sentence = relic(pictures, *MODEL, *arguments)
    assert sentence.startswith("error: ") and "\n" not in sentence and says in sentence
    assert sorted(path.suffix for path in pictures.iterdir()) == [".png"] * 3


def test_small_pictures_pairs_of_one_name_and_files_that_exist_are_refused_before_anything_is_coded(pictures, relic):
    target = (*MODEL, "--target-bpp", "0.2")
    (pictures / "1.rlic").write_bytes(b"mine")
    assert "1.rlic exists" in relic(pictures, *target) and (pictures / "1.rlic").read_bytes() == b"mine"
    assert not (pictures / "0.rlic").exists() and relic(pictures, *target, "--force") is None
    write_png(pictures / "small.png", np.zeros((160, 200), np.uint8))
    assert "below 161 pixels" in relic(pictures, *target, "--force")
    (pictures / "small.png").rename(pictures / "0.PNG")
    assert "of the name 0" in relic(pictures, *target)
    assert "no folder" in relic(pictures / "0.png", *target)
