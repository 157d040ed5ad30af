"""Paka and Khatter's tables and figures: counts, the audit's computations against closed forms, what is judged how."""

import dataclasses
import math

import numpy as np
import pytest
from figure_rules import broken_rules

from common import data, metrics
from common.errors import RelicError
from common.tables import command, figures, networks
from common.tables import document as document_module
from papers.paka_autoencoder import complexity, config
from papers.paka_autoencoder.reproduction import (
    audit,
    audit_losses,
    audit_mismatch,
    audit_mistakes,
    figure4,
    figure6,
    figures5to8,
    published_codecs,
    table1,
)
from papers.paka_autoencoder.reproduction.published_codecs import CODECS, PROPOSED

RANDOM = np.random.default_rng(5)


def noise(height=24, width=36):
    return RANDOM.integers(0, 256, (height, width, 3), dtype=np.uint8)


def judged(found, table, scale="small", **provenance):
    found.provenance.update(provenance)
    document = document_module.join(table, scale, None, found)
    assert document_module.recompute(document) == document
    return document


# --- what is printed ---


def test_printed_columns_have_the_means_that_were_computed_from_the_paper():
    means = {column: np.mean(published_codecs.printed(column)) for column in (PROPOSED, *CODECS)}
    expected = {"Proposed": 25.5979, "JPEG": 11.0431, "JPEG2000": 11.5188, "BPG": 11.8596}
    assert means == pytest.approx(expected, abs=5e-5)


def test_the_two_rows_with_slips_are_left_out_of_the_printed_differences():
    assert published_codecs.printed_range() == (7.6641064, 13.656495)
    without = published_codecs.printed_differences()
    assert without == pytest.approx([0.053153, 0.0038216, 0.015226, 0.028299, 0.021673], abs=1e-9)
    slips = [d for d in published_codecs.printed_differences(slips=True) if d not in without]
    assert slips == pytest.approx([0.999774, 1.263434])
    assert "plus 0.99977" in published_codecs.slips() and "within 0.00008 dB" in published_codecs.slips()


def test_bpg_is_stood_for_by_what_is_installed(monkeypatch):
    gone = {"BPG": "", "HEVC intra": ""}

    @dataclasses.dataclass
    class Fake:
        name: str

        def missing(self):
            return gone[self.name]

    monkeypatch.setattr(published_codecs.codecs, "family", Fake)
    assert published_codecs.family_of("BPG").name == "BPG"
    gone["BPG"] = "bpgenc is not here"
    assert published_codecs.family_of("BPG").name == "HEVC intra"
    gone["HEVC intra"] = "pip install pillow-heif"
    with pytest.raises(RelicError, match="pip install pillow-heif"):
        published_codecs.family_of("BPG")


# --- Figure 4 ---


@pytest.mark.stack
def test_figure_4_is_met_to_the_last_digit_and_its_code_is_larger_than_the_picture():
    document = judged(figure4.figure4(config.AUTOENCODER), "paka_autoencoder/figure4", "exact")
    assert len(document["cells"]) == 45 and {cell["verdict"] for cell in document["cells"]} == {"exact"}
    further = document["further"]
    assert further["times the input's values"]["conv2d_3"] == pytest.approx(8 / 3)
    assert further["times the input's values"]["max_pooling2d_2"] == pytest.approx(4 / 3)
    kernels = {"conv2d_1": (3, 32, 1), "conv2d_2": (32, 64, 4), "conv2d_3": (64, 128, 16), "conv2d_4": (128, 128, 16)}
    kernels.update({"conv2d_5": (128, 64, 4), "conv2d_6": (64, 3, 1)})
    macs = {name: 9 * c_in * c_out * 512 * 768 // share for name, (c_in, c_out, share) in kernels.items()}
    counted = {name: n for name, n in further["multiply-accumulates"].items() if n}
    assert counted == {**macs, "Total": sum(macs.values())}
    assert complexity.macs(config.AUTOENCODER) == sum(macs.values())
    assert [c["verdict"] for c in document["claims"]] == ["does not hold"] * 2
    assert "2.67 times" in document["claims"][0]["note"] and "max_pooling2d_2" in document["claims"][0]["note"]


def test_the_papers_thousand_epochs_take_1e15_operations():
    assert complexity.training_flops(config.AUTOENCODER, "paper") == pytest.approx(6 * 15.51e9 * 14_000, rel=1e-3)


# --- the audit's computations ---


def test_psnr_of_all_pairs_is_the_psnr_of_each():
    originals, others = [noise(70, 8) for _ in range(3)], [noise(70, 8) for _ in range(2)]
    expected = [[metrics.psnr(x, y) for y in others] for x in originals]
    np.testing.assert_allclose(audit_mismatch.psnr_between(originals, others), expected, rtol=1e-12)
    levels = audit_mismatch.psnr_between(originals, originals)
    assert np.isinf(audit_mismatch.right(levels)).all() and len(audit_mismatch.wrong(levels)) == 6
    assert np.isfinite(audit_mismatch.wrong(levels)).all()


def test_a_flat_picture_of_the_mean_colour_has_the_variance_as_error():
    picture = noise()
    picture[:, :18] = 255 - picture[:, 18:]  # the mean is 127.5 in every channel, the rounded one half a level off
    assert audit_mismatch.flat(picture).std() == 0
    error = picture.reshape(-1, 3).var(axis=0).mean() + 0.25
    expected = 10 * math.log10(255**2 / error)
    assert metrics.psnr(picture, audit_mismatch.flat(picture)) == pytest.approx(expected, rel=1e-12)


class Brighter:
    """Makes pictures brighter, the more the larger they are, in files of three bytes a pixel and eight more."""

    def compress(self, image):
        self.shape = image.shape
        return image.tobytes() + bytes(8)

    def decompress(self, data):
        return np.frombuffer(data[:-8], np.uint8).reshape(self.shape) + np.uint8(self.shape[0] // 10)


def test_coded_pictures_have_each_their_psnr_and_the_mean_rate_of_their_files():
    found = audit_mismatch.code(Brighter(), [np.full((side, 8, 3), 100, np.uint8) for side in (10, 20)])
    assert [picture.max() for picture in found.pictures] == [101, 102]
    assert found.psnr == pytest.approx([20 * math.log10(255), 20 * math.log10(255 / 2)])
    assert found.bpp == pytest.approx(24 + (64 / 80 + 64 / 160) / 2)


def test_orders_that_leave_no_picture_in_its_place_are_all_counted():
    assert [len(audit_mismatch.means_of_derangements(np.zeros((n, n)))) for n in (2, 3, 4, 5)] == [1, 2, 9, 44]
    levels = np.array([[99.0, 1.0, 2.0], [4.0, 99.0, 8.0], [16.0, 32.0, 99.0]])
    assert sorted(audit_mismatch.means_of_derangements(levels)) == pytest.approx([(1 + 8 + 16) / 3, (2 + 4 + 32) / 3])


def test_random_sevens_have_the_mean_of_all_wrong_pairs():
    levels = RANDOM.normal(11, 2, (12, 12)) + 1000 * np.eye(12)  # a picture in its place would be seen
    means = audit_mismatch.random_sevens(levels)["any 7 of them"]
    assert len(means) == audit_mismatch.DRAWS and means.max() < 20
    assert means.mean() == pytest.approx(audit_mismatch.wrong(levels).mean(), abs=0.1)
    assert audit_mismatch.random_sevens(levels[:7, :7]) == {}


def test_two_codecs_differ_on_the_right_picture_by_their_errors_and_hardly_on_wrong_ones():
    pictures = [np.full((64, 64, 3), level, np.uint8) for level in (20, 120, 220)]
    one, other = (audit_mismatch.Coded([p + added for p in pictures], np.zeros(3), 1.0) for added in (1, 4))
    on_right, on_wrong = audit_mismatch.differences(pictures, one, other)
    assert on_right == pytest.approx([20 * math.log10(4)] * 3)
    assert len(on_wrong) == 6 and on_wrong.max() == pytest.approx(20 * math.log10(99 / 96))


@pytest.mark.parametrize(
    "name, expected",
    [
        ("turned by 180 degrees", math.inf),
        ("mirrored left to right", math.inf),
        ("mirrored top to bottom", math.inf),
        ("RGB against BGR", math.inf),
        ("RGB against YCbCr read as RGB", 10 * math.log10(3 * 255**2 / 2 / 28**2)),
        ("mid-grey in place of the reconstruction", 20 * math.log10(255 / 28)),
        ("black in place of the reconstruction", 20 * math.log10(255 / 100)),
        ("[0, 1] against [0, 255]", 20 * math.log10(255 / (100 - 100 / 255))),
        ("negative", 20 * math.log10(255 / 55)),
    ],
)
def test_a_mistake_makes_of_a_grey_picture_what_can_be_computed(name, expected):
    grey = np.full((512, 768, 3), 100, np.uint8)
    found = audit_mistakes.psnr(name, [grey], [grey])
    assert found == pytest.approx([expected])


def test_mistakes_of_the_formula_shift_or_wrap_the_psnr():
    x = RANDOM.integers(0, 200, (16, 16, 3), dtype=np.uint8)
    x[0, 0] = 200
    y = x + 20
    right = 20 * math.log10(255 / 20)
    names = [name for name in audit_mistakes.MISTAKES if name != "transposed"]
    found = {name: float(audit_mistakes.psnr(name, [x], [y])[0]) for name in names}
    assert found["MAX 1 on values to 255"] == pytest.approx(right - 20 * math.log10(255))
    assert found["MAX the largest value of the picture"] == pytest.approx(20 * math.log10(200 / 20))
    wrapped = (256 - 20) ** 2 % 256  # the difference x - y is 236 in 8 bits, its square keeps the lowest 8
    assert found["differences and squares in 8 bits"] == pytest.approx(10 * math.log10(255**2 / wrapped))
    square = np.tile(x, (32, 48, 1))
    turned = audit_mistakes.psnr("transposed", [square], [square])[0]
    assert turned < right


# --- what the audit says ---


def signs(floor, on_right, mistake):
    printed = published_codecs.printed("JPEG")
    apart = np.full(7, mistake)
    return audit_mismatch.Signs(
        floors={
            **{f"{published_codecs.family_of(column).name}, coarsest": np.array([floor, 30.0]) for column in CODECS},
            audit_mismatch.FLAT: np.array([14.0, 15.0, 16.0]),
        },
        pairs=np.array([5.0, 10.0, 11.0, 12.0]),
        pairs_apart=np.full(4, 0.02),
        mistakes={"fits": (np.array(printed), apart), "does not": (np.full(7, 40.0), np.full(7, 5.0))},
        differences={"two codecs": (np.full(4, on_right), np.full(12, 0.02))},
        means={"ours": np.array([10.0, 11.0])},
        codecs=("one", "two"),
    )


def verdicts_of(claims):
    return [claim["verdict"] for claim in claims]


def test_the_audits_claims_follow_from_what_was_computed():
    assert verdicts_of(audit.claims(signs(18.0, 2.0, 0.03))) == ["does not hold"] * 6
    held = verdicts_of(audit.claims(signs(7.0, 0.02, 2.0)))
    assert held == ["holds"] * 3 + ["does not hold"] + ["holds"] * 2  # the flat picture is the same in both


def test_the_audits_numbers_and_sentences_hold_what_was_computed():
    computed = signs(18.0, 2.0, 0.03)
    further = audit.further(computed)
    jpeg = f"PSNR, {published_codecs.codecs.JPEG_OPTIMISED}, coarsest"
    assert (further["lowest"][jpeg], further["highest"][jpeg]) == (18.0, 30.0)
    (share,) = (column for name, column in further.items() if name.startswith("share"))
    assert share == {"PSNR, different pictures": 0.75, "PSNR, fits": 1.0, "PSNR, does not": 0.0}
    assert further["median"]["|JPEG2000 - BPG|, printed, rows without slips"] == pytest.approx(0.021673)
    first, second, third, _ = audit.notes(computed)
    assert "75 %" in first and "0.0217 dB" in second and "2.00 dB" in second and "10.50 ± 0.50 dB" in third
    drawn = audit.drawn(computed, figures.Basis("exact", "Kodak, 24 pictures"))
    assert [broken for figure in drawn.values() for broken in broken_rules(figure)] == []
    assert list(drawn) == ["", "differences"] and all(len(figure.axes) == 2 for figure in drawn.values())


def test_jpeg_reaches_a_mean_at_the_first_quality_that_does(monkeypatch):
    picture = data.images("sample", 1)[0][1][:128, :128]
    monkeypatch.setattr(audit, "printed", lambda column: [26.0, 28.0])
    text = audit.same_mean_by_jpeg([picture])
    quality = int(text.split("at quality ")[1].split(",")[0])
    levels = []
    for coder in map(audit.codecs.family("JPEG").make, (quality - 1, quality)):
        levels.append(metrics.psnr(picture, coder.decompress(coder.compress(picture))))
    assert levels[0] < 27 <= levels[1] and f"{levels[1]:.2f} dB" in text


# --- the two statements about losses ---


def test_only_the_squared_error_grows_with_the_second_power():
    powers = {name: audit_losses.power(loss) for name, loss in audit_losses.LOSSES.items()}
    assert {name: powers[name] for name in ("MSE", "MAE", "RMSE", "MAPE")} == pytest.approx(
        {"MSE": 2, "MAE": 1, "RMSE": 1, "MAPE": 1}
    )
    assert 0 < powers["RMSLE"] < 1


def test_one_neuron_has_the_three_minima_that_least_squares_gives():
    squared = audit_losses.surface(audit_losses.LOSSES["MSE"])
    places = audit_losses.minima(squared)
    found = [(audit_losses.AXIS[i], audit_losses.AXIS[j], squared[i, j]) for i, j in places]
    x, y = audit_losses.INPUTS, audit_losses.TARGETS
    all_four = (x @ y / (x @ x), y.mean(), np.mean((x * (x @ y) / (x @ x) + y.mean() - y) ** 2))
    right_arm, left_arm = (2.0, 0.5, np.square(y[:2]).mean() / 2), (-2.0, 0.0, np.square(y[2:]).mean() / 2)
    np.testing.assert_allclose(found, [all_four, right_arm, left_arm], atol=1e-12)
    assert places == audit_losses.minima(audit_losses.surface(audit_losses.LOSSES["RMSE"]))


def test_minima_are_strict_and_not_at_the_edge():
    bowl = np.add.outer(np.arange(-3, 4) ** 2, np.arange(-2, 5) ** 2).astype(float)
    assert audit_losses.minima(bowl) == [(3, 2)]
    plane = np.add.outer(np.arange(5.0), np.arange(5.0))
    assert audit_losses.minima(np.zeros((5, 5))) == audit_losses.minima(plane) == []


def test_gradient_descent_ends_in_the_global_minimum_from_some_starts_only():
    ends = audit_losses.descend()
    squared = audit_losses.surface(audit_losses.LOSSES["MSE"])
    for place in audit_losses.minima(squared):
        assert np.isclose(ends, squared[place], atol=1e-3).any()
    assert verdicts_of(audit_losses.claims()) == ["does not hold"] * 3


# --- Table 1 ---


def entry(row, psnr=30.0, bpp=20.0, others=0.5):
    measured = {"psnr": psnr, "psnr_uncoded": psnr, "psnr_ycbcr": psnr + 3, "bpp": bpp, "huffman_bpp": bpp + 3}
    measured.update({f"{column}_lowest": 18.0 for column in CODECS})
    measured.update({f"{column}_{key}": v for column in CODECS for key, v in (("bpp", others), ("setting", 9))})
    return {"row": row, "seed": 0, "picture": f"picture {row}", **measured}


def table1_found(scale="small", test_set="kodak", **entries):
    options = command.Options("paka_autoencoder/table1", dict.fromkeys("1234567"), scale)
    found = document_module.Reproduction(pictures=[entry(row, **entries) for row in options.rows])
    found.values = {one["row"]: table1.cells(one) for one in found.pictures}
    found.further, found.claims = table1.further(found.pictures), table1.claims(found.pictures)
    found.provenance = {"obstacles": table1.obstacles(scale, test_set)}
    return found


@pytest.mark.parametrize("scale", ["small", "paper"])
def test_the_codec_columns_are_judged_at_every_scale_and_the_proposed_rows_at_none(scale):
    used = {"name": "kodak", "pictures": 7, "digest": ""}
    document = judged(table1_found(scale), "paka_autoencoder/table1", scale, test_set=used)
    verdicts = {(cell["row"], cell["column"]): cell for cell in document["cells"]}
    assert {cell["verdict"] for (_, c), cell in verdicts.items() if c != "Proposed"} == {"differs"}
    proposed = [cell for (_, column), cell in verdicts.items() if column == "Proposed"]
    assert {cell["verdict"] for cell in proposed} == {"not comparable"} and len(proposed) == 7
    assert all("which picture has which number" in cell["note"] for cell in proposed)
    assert all(("Scale small" in cell["note"]) == (scale == "small") for cell in proposed)


def test_nothing_is_comparable_on_other_pictures():
    used = {"name": "sample", "pictures": 2, "digest": ""}
    document = judged(table1_found("small", "sample"), "paka_autoencoder/table1", "small", test_set=used)
    assert {cell["verdict"] for cell in document["cells"]} == {"not comparable"}


def test_means_of_the_pictures_stand_below_them():
    further = table1_found(bpp=12.0).further
    assert further["bpp in 8 bits"]["mean"] == 12.0 and further["picture"]["1"] == "picture 1"
    assert "mean" not in further["picture"]


@pytest.mark.parametrize(
    "values, verdicts",
    [
        (dict(psnr=30.0, bpp=25.0, others=0.5), ["holds"] + ["does not hold"] * 5),
        (dict(psnr=20.0, bpp=0.4, others=0.5), ["does not hold"] + ["holds"] * 5),
        (dict(psnr=30.0, bpp=22.0, others=0.5), ["holds"] + ["does not hold"] * 3 + ["holds", "does not hold"]),
    ],
)
def test_what_the_paper_says_of_its_codec_is_judged_by_counted_bits(values, verdicts):
    assert verdicts_of(table1_found(**values).claims) == verdicts


def test_a_codec_that_cannot_reach_the_proposed_psnr_loses(monkeypatch):
    def unreachable(family, picture, psnr):
        raise RelicError("no setting reaches it")

    monkeypatch.setattr(table1.operating_points, "setting_for_psnr", unreachable)
    assert table1.matching(noise(), 60.0) == {}
    entries = [{k: v for k, v in entry("1").items() if not k.startswith("JPEG_")}]
    assert verdicts_of(table1.claims(entries))[1:4] == ["holds", "does not hold", "does not hold"]


def test_test_pictures_are_ours_by_name_else_the_first(monkeypatch, tmp_path):
    names = [f"kodim{i:02d}" for i in range(1, 25)]
    here = [(name, noise(32, 48)) for name in names]
    monkeypatch.setattr(table1.table_pictures, "pictures_of", lambda options, paper: (here, {"name": "kodak"}, ""))
    options = command.Options("paka_autoencoder/table1", {}, "small", images=3)
    pictures, about, _ = table1.test_pictures(options)
    assert tuple(name for name, _ in pictures) == config.TEST_PICTURES[:3] and about["pictures"] == 3
    assert {picture.shape for _, picture in pictures} == {(512, 768, 3)}
    here[:] = [(f"other{i}", noise(32, 48)) for i in range(9)]
    pictures, _, _ = table1.test_pictures(dataclasses.replace(options, images=None))
    assert [name for name, _ in pictures] == [f"other{i}" for i in range(7)]


# --- figures 5 to 8 ---


class Halved:
    """A codec that halves the contrast and writes as many bytes as it has bits."""

    bits = 8

    def with_settings(self, bits):
        other = Halved()
        other.bits = bits
        return other

    def compress(self, image):
        return (image // 2 + 64).tobytes() + bytes(self.bits)

    def decompress(self, data):
        return np.frombuffer(data, np.uint8)[: 512 * 768 * 3].reshape(512, 768, 3)

    def reconstruct(self, image):
        return self.decompress(self.compress(image))


@pytest.fixture
def two_pictures(monkeypatch):
    pictures = [(name, np.kron(noise(64, 96), np.ones((8, 8, 1), np.uint8))) for name in ("first", "second")]
    used = {"name": "kodak", "pictures": 2, "digest": ""}
    for module in (figures5to8, table1):
        monkeypatch.setattr(module, "test_pictures", lambda options, wanted=(): (pictures, used, ""))
    monkeypatch.setattr(networks, "one_codec", lambda preset, options: (Halved(), {"preset": "halved"}))
    return [picture for _, picture in pictures]


def options_of(name, *rows):
    rows = rows or document_module.published.load(f"paka_autoencoder/{name}").rows
    return command.Options(f"paka_autoencoder/{name}", dict.fromkeys(rows), "small")


def test_figure_5_sets_each_picture_beside_its_reconstruction(two_pictures):
    found = figures5to8.figure5(options_of("figure5", "first", "second"))
    expected = [metrics.psnr(picture, picture // 2 + 64) for picture in two_pictures]
    assert [row["Reconstructed"] for row in found.values.values()] == pytest.approx(expected, abs=1e-6)
    assert len(found.figures[""].images) == 4
    assert sum("bpp" in text.get_text() for text in found.figures[""].texts) == 2


def test_portraits_are_squashed_and_the_figures_of_pictures_say_which(two_pictures, monkeypatch):
    jpeg = published_codecs.codecs.family(published_codecs.codecs.JPEG_OPTIMISED)  # the others take longer
    monkeypatch.setattr(figures5to8, "family_of", lambda column: jpeg)
    used = {"name": "kodak", "pictures": 2, "digest": "", "squashed": ["second"]}
    pictures = list(zip(("first", "second"), two_pictures, strict=True))
    monkeypatch.setattr(figures5to8, "test_pictures", lambda options, wanted=(): (pictures, used, ""))
    for draw, name in ((figures5to8.figure5, "figure5"), (figures5to8.figure7, "figure7")):
        figure = draw(options_of(name, "first", "second")).figures[""]
        said = " ".join(text.get_text() for text in figure.texts)
        assert said.count("squashed to landscape") == 1 and "second, original a portrait" in said
        assert broken_rules(figure) == []


def test_which_test_pictures_are_portraits_is_known_before_they_are_squashed(monkeypatch):
    stored = [("wide", noise(40, 60)), ("tall", noise(60, 40))]
    monkeypatch.setattr(table1.table_pictures, "pictures_of", lambda *_: (stored, {"name": "mine"}, ""))
    chosen, about, _ = table1.test_pictures(options_of("table1"), ("wide", "tall"))
    assert about["squashed"] == ["tall"] and {image.shape for _, image in chosen} == {(512, 768, 3)}


def test_pictures_that_stand_in_for_others_are_drawn_but_give_no_values(two_pictures, monkeypatch):
    monkeypatch.setattr(
        figures5to8, "family_of", lambda column: published_codecs.codecs.family(published_codecs.codecs.JPEG_OPTIMISED)
    )
    for draw, name in ((figures5to8.figure5, "figure5"), (figures5to8.figure7, "figure7")):
        found = draw(options_of(name))
        assert not found.values and not found.further and found.figures[""].images
        assert "first stands in for it" in found.missing[list(options_of(name).rows)[0]]
        document = judged(found, f"paka_autoencoder/{name}")
        assert {cell["verdict"] for cell in document["cells"]} == {"published only as a picture"}


def test_figure_7_brings_every_codec_to_the_proposed_psnr(two_pictures, monkeypatch):
    jpeg = published_codecs.codecs.family(published_codecs.codecs.JPEG_OPTIMISED)  # the others take longer
    monkeypatch.setattr(figures5to8, "family_of", lambda column: jpeg)
    found = figures5to8.figure7(options_of("figure7", "first", "second"))
    for of_row in list(found.values.values())[:2]:
        assert all(of_row[column] >= of_row["Proposed"] for column in CODECS)
    assert len(found.figures[""].images) == 2 * (3 + len(CODECS))
    sizes = {image.get_array().shape for image in found.figures[""].images}
    assert sizes == {(figures5to8.CROP, figures5to8.CROP, 3)}
    assert found.further["proposed, 8 bits, bpp"]["first"] == pytest.approx(24, abs=0.01)


def test_figure_8_has_the_printed_curves_and_ours(two_pictures, monkeypatch):
    monkeypatch.setattr(figures5to8, "_at_same_rate", lambda column, picture: 40.0)
    monkeypatch.setattr(figures5to8, "lowest", lambda picture: {f"{column}_lowest": 20.0 for column in CODECS})
    found = figures5to8.figure8(options_of("figure8"))
    printed, here = (found.figures[name].axes[0].lines for name in ("", "here"))
    assert [list(line.get_ydata()) for line in printed] == [published_codecs.printed(c) for c in ("Proposed", *CODECS)]
    assert len(here) == 7 and {len(line.get_ydata()) for line in here} == {2}
    assert len({found.figures[name].axes[0].get_ylim() for name in ("", "here")}) == 1
    assert [broken for figure in found.figures.values() for broken in broken_rules(figure)] == []


def test_figures_say_how_to_train_what_is_missing(two_pictures, monkeypatch):
    monkeypatch.setattr(networks, "one_codec", lambda preset, options: (None, {}))
    monkeypatch.setattr(complexity, "training_flops", lambda preset, scale: 1e15)
    for draw, name in ((figures5to8.figure5, "figure5"), (figures5to8.figure7, "figure7")):
        found = draw(options_of(name))
        assert not found.figures and set(found.missing) == set(options_of(name).rows)
        assert "relic train paka_autoencoder/autoencoder --scale small" in found.missing["kodim09"]


def test_an_epoch_is_one_step_for_each_training_picture():
    assert figure6.epochs(14_000, config.AUTOENCODER) == pytest.approx(1000)
    smaller = dataclasses.replace(config.AUTOENCODER, batch_size=3)
    assert figure6.epochs(28, smaller) == pytest.approx(1)


def test_figure_6_is_drawn_from_the_log(monkeypatch, tmp_path):
    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path))
    folder = tmp_path / "models/small/paka_autoencoder/autoencoder/seed0"
    folder.mkdir(parents=True)
    monkeypatch.setattr(networks, "seeds_of", lambda preset, scale, asked: [0])
    (folder / "log.csv").write_text("step,loss,validation_loss,seconds\n50,0.01,0.02,1\n100,0.001,0.002,2\n")
    found = figure6.figure6(options_of("figure6"))
    assert found.values == {"Training": {"Loss": 0.001}, "Validation": {"Loss": 0.002}}
    assert found.further["as PSNR in YCbCr, dB"] == {"Training": 30.0, "Validation": 26.99}
    lines = found.figures[""].axes[0].lines
    assert [list(line.get_ydata()) for line in lines] == [[0.01, 0.001], [0.02, 0.002]]
    (folder / "log.csv").write_text("step,loss,validation_loss,seconds\n")
    with pytest.raises(RelicError, match="is empty"):
        figure6.figure6(options_of("figure6"))
    (folder / "log.csv").unlink()
    with pytest.raises(RelicError, match="train the preset again"):
        figure6.figure6(options_of("figure6"))


def test_a_mean_curve_counts_bits_and_averages_psnr(two_pictures):
    line = table1.mean_curve("halved", [Halved()], two_pictures)
    assert line == figures.Line("halved", [pytest.approx(24 + 64 / (512 * 768))], [pytest.approx(line.y[0])])
    assert line.y[0] == pytest.approx(np.mean([metrics.psnr(p, p // 2 + 64) for p in two_pictures]))


def test_the_default_scale_is_that_of_the_networks_where_rows_are_pictures(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("RELIC_RESULTS", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["figure6_paka"])
    there = {"medium": [0]}
    monkeypatch.setattr("common.training.shipped.shipped_seeds", lambda preset, scale: there.get(scale, []))
    monkeypatch.setattr(command.schedule, "require_weights", lambda *arguments: None)
    asked = []

    def reproduce(options):
        asked.append(options.scale)
        return document_module.Reproduction()

    rows = {"Training": ("a",), "Validation": ("b",)}
    command.main("paka_autoencoder/figure6", rows, reproduce, networks={"Proposed": config.AUTOENCODER})
    there.clear()
    command.main("paka_autoencoder/figure6", rows, reproduce, networks={"Proposed": config.AUTOENCODER})
    assert asked == ["medium", "small"] and "Figure 6 of paka_autoencoder" in capsys.readouterr().out


def test_the_figure_of_table_1_holds_every_curve_and_the_printed_means():
    line = figures.Line("Proposed, 1 to 8 bits a value", [3.84, 24.0], [18.0, 30.75])
    basis = figures.Basis("paper", "Kodak, 7 pictures")
    figure = table1.drawn([figures.Line("JPEG", [0.2, 2.0], [22.0, 39.0]), line], basis)
    drawn = {one.get_label(): (list(one.get_xdata()), list(one.get_ydata())) for one in figure.axes[0].lines}
    assert drawn["JPEG"] == ([0.2, 2.0], [22.0, 39.0]) and len(drawn) == 4
    means = {label: y for label, (x, y) in drawn.items() if "Printed mean" in label and x == [0.2, 24.0]}
    assert means["Printed mean of Proposed"] == pytest.approx([25.5979] * 2, abs=5e-5)
    others = (11.0431 + 11.5188 + 11.8596) / 3
    assert means["Printed mean of JPEG, JPEG2000, BPG"] == pytest.approx([others] * 2, abs=5e-5)
    assert "3.8 bpp and 18.0 dB, 24.0 bpp and 30.8 dB" in table1.by_bits(line)
