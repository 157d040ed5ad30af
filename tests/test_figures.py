"""Figures: what is drawn where, the bytes that are written, and pictures pixel for pixel."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import papers
from common.classical import codecs
from common.errors import RelicError
from common.tables import figures, looks, picture_grids
from common.tables.figures import CURVE, NETWORKS, POINTS, REFERENCE, Basis, Line
from tests.figure_rules import broken_rules, labels_without_unit, looks_of_series, shown_words

ROOT = Path(__file__).resolve().parent.parent
RATES = [0.1, 0.2, 0.4, 0.8]
CURVES = {
    "PSNR (dB)": [Line("JPEG", RATES, [24, 27, 30, 33]), Line("ours", [0.3], [29.5])],
    "MS-SSIM (dB)": [Line("ours", [0.3], [12.0]), Line("JPEG", RATES, [6, 9, 12, 15])],
}

BASIS = Basis("small", "Kodak, 24 pictures")


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def example(kind):
    """Draw one figure of each kind."""
    if kind == "lines":
        y_label = "PSNR (dB)"
        return figures.line_plot(CURVES[y_label], "rate (bits per pixel)", y_label, "A title", BASIS, log_y=True)
    if kind == "rate_distortion":
        return figures.rate_distortion(CURVES, "A title", BASIS, log_x=True)
    if kind == "panels":
        return figures.panels(CURVES, "epoch", "A title", BASIS, columns=1)
    if kind == "strips":
        rows = {"first": {"seed 0": [0.5, 0.6], "seed 1": [-0.25]}, "second": {"seed 1": [1.0]}}
        return figures.strips(rows, "difference (dB)", "A title", BASIS, differences=True, means=True, note="A note.")
    if kind == "histogram":
        groups, marks = {"wrong": [9, 10, 11, 11.5], "right": [25, 30]}, {"JPEG": [9.1, 10]}
        return figures.histogram(groups, "PSNR (dB)", "A title", BASIS, marks=marks)
    return figures.picture_grid([[("one", noise(20, 30, 3)), ("two\nlines", noise(25, 15))]], "Pictures", BASIS)


PANELS = {"rate_distortion": "rate (bits per pixel)", "panels": "epoch"}
WITH_AXES = ("lines", *PANELS, "strips", "histogram")
KINDS = (*WITH_AXES, "pictures")


# --- files ---


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_figure_drawn_again_is_written_as_the_same_bytes(tmp_path, kind):
    first = figures.save(example(kind), tmp_path / "first" / "figure7", svg=True)
    second = figures.save(example(kind), tmp_path / "second" / "figure7", svg=True)
    names = ["figure7.png"] if kind == "pictures" else ["figure7.png", "figure7.svg"]
    assert [path.name for path in first] == names == sorted(path.name for path in first[0].parent.iterdir())
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_figure_is_a_png_alone_where_nothing_else_is_asked_for(tmp_path, kind):
    (path,) = figures.save(example(kind), tmp_path / "figure7")
    assert path.name == "figure7.png" and list(tmp_path.iterdir()) == [path]


def test_the_users_settings_and_another_process_change_no_byte(tmp_path):
    figures.save(example("histogram"), tmp_path / "here", svg=True)
    (tmp_path / "matplotlibrc").write_text("lines.linewidth: 9\nfont.size: 20\nsvg.hashsalt: other\nsavefig.dpi: 30\n")
    code = (
        "from pathlib import Path; from tests import test_figures as t; "
        f"t.figures.save(t.example('histogram'), Path({str(tmp_path / 'there')!r}), svg=True)"
    )
    environment = {**os.environ, "MATPLOTLIBRC": str(tmp_path / "matplotlibrc"), "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True, timeout=120)
    for kind in ("png", "svg"):
        assert (tmp_path / f"here.{kind}").read_bytes() == (tmp_path / f"there.{kind}").read_bytes()


def test_files_name_no_date_and_no_program(tmp_path):
    png, svg = figures.save(example("lines"), tmp_path / "figure8", svg=True)
    assert b"<dc:date>" not in svg.read_bytes() and b"atplotlib" not in png.read_bytes()
    assert b"<dc:creator>" not in svg.read_bytes()


def test_a_failed_save_leaves_the_old_file_and_no_other(tmp_path):
    figure = example("lines")
    (path,) = figures.save(figure, tmp_path / "figure6")
    before = path.read_bytes()
    figure.savefig = lambda *_, **__: 1 / 0
    with pytest.raises(ZeroDivisionError):
        figures.save(figure, tmp_path / "figure6")
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_drawing_leaves_matplotlib_as_it_was_and_needs_no_pyplot():
    code = (
        "import sys, tests.test_figures as t; assert 'matplotlib' not in sys.modules; import matplotlib; "
        "before = matplotlib.rcParams.copy(); [t.example(kind) for kind in t.KINDS]; "
        "assert matplotlib.rcParams.copy() == before; assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=120)


@pytest.mark.parametrize("channels, mode", [(1, "L"), (3, "RGB")])
def test_a_page_without_colour_is_stored_in_one_channel_with_the_same_pixels(tmp_path, channels, mode):
    picture = noise(64, 64, 3)[..., :channels].squeeze()
    (path,) = figures.save(figures.picture_grid([[("", picture)]], "A", BASIS), tmp_path / "page")
    with Image.open(path) as image:
        assert image.mode == mode
        page = np.asarray(image.convert("RGB"))
    top = page.shape[0] - 64 - 2 * picture_grids.GAP - picture_grids.LINE_HEIGHT
    shown = picture if channels == 3 else np.dstack([picture] * 3)
    np.testing.assert_array_equal(page[top : top + 64, 10:74], shown)


# --- curves ---


def test_a_curve_has_its_points_and_no_value_where_there_is_none():
    figure = figures.line_plot([Line("a", [1, 2, 3, 4], [5, None, np.inf, 7])], "epoch", "loss", "A title", BASIS)
    (curve,) = figure.axes[0].lines
    np.testing.assert_array_equal(curve.get_xydata(), [[1, 5], [2, np.nan], [3, np.nan], [4, 7]])
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("epoch", "loss") and not figure.legends


def test_names_stand_at_equal_distances_in_their_order():
    line = Line("a", ["kodim23", "kodim09", "kodim12"], [1, 2, 3])
    figure = figures.line_plot([line], "picture", "PSNR (dB)", "A title", BASIS)
    figure.draw_without_rendering()
    axis = figure.axes[0].xaxis
    assert [(t.get_text(), t.get_position()[0]) for t in axis.get_ticklabels()] == [
        ("kodim23", 0),
        ("kodim09", 1),
        ("kodim12", 2),
    ]


@pytest.mark.parametrize(
    "kind, count, line, marker",
    [
        (CURVE, 5, "-", "o"),
        (CURVE, 500, "-", ""),
        (NETWORKS, 5, "--", "o"),
        (POINTS, 500, "None", "o"),
        (REFERENCE, 2, "-", ""),
    ],
)
def test_how_a_series_is_drawn_says_what_is_joined(kind, count, line, marker):
    figure = figures.line_plot([Line("a", range(count), range(count), kind)], "x", "y", "A title", BASIS)
    (curve,) = figure.axes[0].lines
    assert (curve.get_linestyle(), curve.get_marker()) == (line, marker)


@pytest.mark.parametrize("kind, x_label", PANELS.items())
def test_a_codec_looks_the_same_in_every_panel_and_is_named_once(kind, x_label):
    figure = example(kind)
    assert [axes.get_xlabel() for axes in figure.axes] == [x_label] * 2
    looks = [{c.get_label(): (c.get_color(), c.get_marker()) for c in axes.lines} for axes in figure.axes]
    assert looks[0] == looks[1] and looks[0]["JPEG"] != looks[0]["ours"]
    assert [axes.get_ylabel() for axes in figure.axes] == list(CURVES)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["JPEG", "ours"]


def test_a_curve_of_one_point_is_a_marker_without_a_line():
    jpeg, ours = figures.rate_distortion(CURVES, "A title", BASIS).axes[0].lines
    assert ours.get_linestyle() == "None" and ours.get_markersize() > jpeg.get_markersize()


@pytest.mark.parametrize("kind", WITH_AXES)
def test_the_legend_stands_below_the_axes_and_hides_nothing(kind):
    figure = example(kind)
    figure.draw_without_rendering()
    (legend,) = figure.legends
    upper = legend.get_window_extent().y1
    assert legend.get_window_extent().y0 >= 0 and all(upper <= axes.get_tightbbox().y0 for axes in figure.axes)


def test_many_long_names_fit_the_figure():
    name = "a codec with a rather long name, 4:2:0, version 1.2."
    lines = [Line(f"{name}{i}", RATES, [i, i + 1, i + 2, i + 3]) for i in range(14)]
    figure = figures.rate_distortion({"PSNR (dB)": lines, "MS-SSIM (dB)": lines}, "A title", BASIS)
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width and box.y0 >= 0
    assert all(axes.get_window_extent().height > 0.3 * figure.bbox.height for axes in figure.axes)
    assert len(set(looks_of_series(figure).values())) == 14


@pytest.mark.parametrize("high, shown", [(4.0, ["0.1", "0.2", "0.5", "1", "2"]), (600.0, ["0.1", "1", "10", "100"])])
def test_a_logarithmic_axis_has_plain_numbers(high, shown):
    figure = figures.rate_distortion({"PSNR (dB)": [Line("a", [0.1, high], [20, 30])]}, "A title", BASIS, log_x=True)
    figure.draw_without_rendering()
    low, top = figure.axes[0].get_xlim()
    ticks = figure.axes[0].xaxis.get_majorticklocs()
    assert [f"{tick:g}" for tick in ticks if low <= tick <= top] == shown
    assert set(shown) <= set(shown_words(figure))


# --- distributions ---


def test_a_histogram_shows_percent_of_each_group_and_strokes_at_its_marks():
    groups = {"wrong": [9.0, 9.0, 10.0, 11.0], "right": [20.0, 30.0]}
    figure = figures.histogram(
        groups, "PSNR (dB)", "A title", BASIS, marks={"JPEG": [9.5], "BPG": [12.0, 13.0]}, bins=21
    )
    upper, lower = figure.axes
    outlines = [patch.get_xy() for patch in upper.patches if not patch.get_fill()]
    assert [outline[:, 1].max() for outline in outlines] == [50, 50]
    assert [list(line.get_xdata()) for line in lower.lines] == [[9.5], [12.0, 13.0]]
    assert [label.get_text() for label in lower.get_yticklabels()] == ["JPEG", "BPG"]
    assert (upper.get_ylabel(), lower.get_xlabel()) == ("share (%)", "PSNR (dB)")


def test_strokes_have_the_colours_of_their_codecs_and_others_have_free_ones():
    marks = {"JPEG, printed": [9.5], "WebP": [12.0], "a flat colour": [11.0], "noise": [8.0]}
    figure = figures.histogram({"pairs": [9.0, 10.0]}, "PSNR (dB)", "A title", BASIS, marks=marks)
    jpeg, webp, *others = (line.get_color() for line in figure.axes[1].lines)
    assert (jpeg, webp) == (looks.BLACK, looks.GREEN)
    assert len({*others, jpeg, webp, looks.COLOURS[0]}) == 5


@pytest.mark.parametrize("log_x", [False, True])
def test_no_value_of_a_histogram_is_left_out(log_x):
    values = np.random.default_rng(1).lognormal(0, 2, 300)
    figure = figures.histogram({"a": values}, "difference (dB)", "A title", BASIS, marks={"b": [1e4]}, log_x=log_x)
    widths = [patch.get_xy() for patch in figure.axes[0].patches if not patch.get_fill()]
    heights = widths[0][1:-1:2, 1]
    assert heights.sum() == pytest.approx(100)
    low, high = figure.axes[1].get_xlim()
    assert low <= values.min() and high >= 1e4


# --- pictures ---


def test_pictures_are_shown_pixel_for_pixel(tmp_path):
    rows = [
        [("one", noise(20, 31, 3, seed=1)), ("two\nlines", noise(27, 45, seed=2))],
        [(["a", "b", "c"], noise(57, 29, 3, seed=3))],
    ]
    (path,) = figures.save(figures.picture_grid(rows, "A", Basis("s", "b")), tmp_path / "figure7")
    page = np.asarray(Image.open(path).convert("RGB"))
    assert page.shape[1] == 31 + 45 + 3 * picture_grids.GAP
    first = 10 + 2 * 19  # below the title and the line of its basis
    second = first + 27 + 38 + 20
    for left, top, (_, picture) in [(10, first, rows[0][0]), (51, first, rows[0][1]), (10, second, rows[1][0])]:
        height, width = picture.shape[:2]
        colours = picture if picture.ndim == 3 else np.dstack([picture] * 3)
        np.testing.assert_array_equal(page[top : top + height, left : left + width], colours)


@pytest.mark.parametrize("width", [37, 38, 93, 95, 999])
def test_a_page_of_any_width_is_as_large_as_its_pictures(tmp_path, width):
    (path,) = figures.save(figures.picture_grid([[("", noise(8, width))]], "T", BASIS), tmp_path / "page")
    page = np.asarray(Image.open(path).convert("RGB"))
    lines = 2 + len(
        picture_grids._wrapped(str(BASIS), width + 2 * picture_grids.GAP)
    )  # those of title and caption, too
    assert page.shape == (
        8 + 3 * picture_grids.GAP + lines * picture_grids.LINE_HEIGHT,
        width + 2 * picture_grids.GAP,
        3,
    )


def test_captions_are_as_wide_as_their_pictures_and_stand_below_them():
    text = "JPEG2000, rate 23 of 1000: 0.231 bpp, 27.43 dB, 0.9713 MS-SSIM"
    figure = figures.picture_grid(
        [[(text, noise(40, 120)), (text, noise(60, 300))]], "A title that is wider than " * 4, BASIS
    )
    figure.draw_without_rendering()
    captions = picture_grids._wrapped(text, 120)
    boxes = [text.get_window_extent() for text in figure.texts]
    assert all(box.x1 <= figure.bbox.width and box.y0 >= 0 and box.y1 <= figure.bbox.height for box in boxes)
    first = [
        box for box, shown in zip(boxes, figure.texts, strict=True) if box.x0 < 125 and shown.get_text() in captions
    ]
    assert len(first) > 3 and max(box.x1 for box in first) <= 10 + 120 + picture_grids.GAP


@pytest.mark.parametrize("widths, fits", [((785, 785), True), ((785, 786), False)])
def test_a_row_wider_than_1600_pixels_is_refused(widths, fits):
    row = [("", noise(4, width)) for width in widths]
    if fits:
        assert figures.picture_grid([row], "A title", BASIS).bbox.width == 1600
    else:
        with pytest.raises(RelicError, match="1601 pixels wide, 1600 are the most"):
            figures.picture_grid([row], "A title", BASIS)


def test_what_is_not_a_uint8_picture_is_refused():
    with pytest.raises(RelicError, match="uint8"):
        figures.picture_grid([[("", noise(4, 4).astype(np.float32))]], "A title", BASIS)


def test_panels_stand_in_rows_of_as_many_columns_as_asked_for():
    panels = {f"{name} (dB)": [Line("codec", [0.1, 0.2], [20.0, 30.0])] for name in "abc"}
    drawn = figures.rate_distortion(panels, "A title", BASIS, columns=2)
    places = [axes.get_subplotspec().get_geometry()[:3] for axes in drawn.axes]
    assert places == [(2, 2, 0), (2, 2, 1), (2, 2, 2)]
    assert [axes.get_ylabel() for axes in drawn.axes] == list(panels)
    in_a_row = figures.rate_distortion(panels, "A title", BASIS).axes
    assert [axes.get_subplotspec().get_geometry()[:2] for axes in in_a_row] == [(1, 3)] * 3


def test_curves_that_share_a_label_share_their_colour_are_thinner_and_have_other_lines():
    lines = [Line("twice", [1, 2], [1, 2]), Line("once", [1, 2], [3, 4]), Line("twice", [1, 2], [5, 6])]
    figure = figures.rate_distortion({"a": lines, "b": lines[:2]}, "A title", BASIS)
    first, once, second = figure.axes[0].lines
    assert first.get_color() == second.get_color() != once.get_color()
    assert first.get_linewidth() == second.get_linewidth() < once.get_linewidth()
    assert first.get_linestyle() != second.get_linestyle()
    assert {line.get_linewidth() for line in figure.axes[1].lines} == {once.get_linewidth()}
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["twice", "once"]


def test_a_title_wider_than_the_figure_is_broken_and_its_own_lines_stay():
    title = "Fig. 4 as plotted\n" + "authors from their own logs, ours trained here, " * 4
    figure = figures.line_plot([Line("a", [1, 2], [3, 4])], "x", "y", title, BASIS)
    figure.draw_without_rendering()
    box = figure._suptitle.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width
    first, *others = figure.get_suptitle().split("\n")
    *broken, basis = others
    assert first == "Fig. 4 as plotted" and " ".join(broken) == title.partition("\n")[2].strip()
    assert basis == str(BASIS)


# --- what every figure says ---


@pytest.mark.parametrize("kind", KINDS)
def test_every_figure_names_scale_and_test_pictures_units_and_keeps_its_series_apart(kind):
    figure = example(kind)
    assert "scale small; Kodak, 24 pictures" in " ".join(shown_words(figure)) and broken_rules(figure) == []


@pytest.mark.parametrize("scale, pictures", [("", "Kodak"), ("small", "")])
def test_a_figure_without_scale_or_test_pictures_cannot_be_drawn(scale, pictures):
    with pytest.raises(ValueError, match="a figure names the scale of the trainings and the test pictures"):
        Basis(scale, pictures)
    with pytest.raises(TypeError, match="basis"):
        figures.line_plot(CURVES["PSNR (dB)"], "rate (bits per pixel)", "PSNR (dB)", "A title")


@pytest.mark.parametrize("count, said", [(1, "1 picture"), (12, "12 pictures")])
def test_the_basis_of_a_table_is_its_scale_and_set(count, said):
    assert str(figures.basis_of("exact", {"name": "set12", "pictures": count})) == f"nothing is trained; Set12, {said}"
    assert str(figures.basis_of("paper", {"name": "mine", "pictures": count})) == f"scale paper; mine, {said}"


def test_the_checks_themselves_find_what_is_missing():
    twins = [Line("a", [1, 2], [3, 4]), Line("b", [1, 2], [3, 4])]
    figure = figures.line_plot(twins, "rate", "PSNR", "A title", BASIS)
    first, second = figure.axes[0].lines
    second.update_from(first)
    second.set_label("b")
    figure.suptitle("A title")
    assert labels_without_unit(figure) == ["rate", "PSNR"]
    said = ["no scale of the trainings", "no unit: rate", "no unit: PSNR", "series that look the same"]
    assert broken_rules(figure) == said


# --- looks ---


def planned_labels():
    """Return the labels of all learned curves that a comparison can have."""
    return [curve.label for paper in papers.names() for curve in getattr(papers.config_of(paper), "CURVES", ())]


def test_every_codec_that_can_be_compared_has_its_own_look_in_the_table():
    names = [*(family.name for family in codecs.FAMILIES), *planned_labels()]
    assert [name for name in names if name not in looks.LOOKS] == []
    assert len(set(looks.LOOKS.values())) == len(looks.LOOKS)


def test_classical_codecs_are_filled_and_trained_ones_hollow_in_other_colours():
    classical = [looks.LOOKS[name] for name in ("JPEG", "JPEG2000", "WebP", "AVIF", "HEVC intra")]
    trained = [looks.LOOKS[label] for label in planned_labels()]
    colours = {look.colour for look in classical}
    assert len(colours) == 5 and not colours & {look.colour for look in trained}
    assert all(look.filled for look in classical) and not any(look.filled for look in trained)
    jpeg, optimised = looks.LOOKS["JPEG"], looks.LOOKS["JPEG, optimised tables"]
    assert jpeg.colour == optimised.colour and jpeg.line != optimised.line


@pytest.mark.parametrize(
    "label, codec",
    [
        ("JPEG", "JPEG"),
        ("JPEG, coarsest", "JPEG"),
        ("JPEG, optimised tables, 1 bpp", "JPEG, optimised tables"),
        ("JPEG2000, 1 bpp", "JPEG2000"),
        ("Paka, autoencoder (7 pictures)", "Paka, autoencoder"),
        ("JPEG of the same PSNR", None),
        ("Batch 32", None),
    ],
)
def test_a_label_that_begins_with_a_codec_has_its_look(label, codec):
    assert looks.look_of(label) == (looks.LOOKS[codec] if codec else None)


def test_a_codec_looks_the_same_in_every_figure_whatever_stands_beside_it():
    alone = figures.rate_distortion({"PSNR (dB)": [Line("WebP", RATES, [1, 2, 3, 4])]}, "A title", BASIS)
    names = [*looks.LOOKS, "another", "one more"]
    crowd = {"PSNR (dB)": [Line(name, RATES, [1, 2, 3, 4]) for name in names]}
    beside = looks_of_series(figures.rate_distortion(crowd, "A title", BASIS))
    assert beside["WebP"] == looks_of_series(alone)["WebP"] and len(set(beside.values())) == len(names)


def test_several_series_of_one_codec_have_its_colour_and_other_lines():
    lines = [Line(label, RATES, [1, 2, 3, 4]) for label in ("JPEG, 1 bpp", "JPEG, coarsest", "JPEG, optimised tables")]
    figure = figures.line_plot(lines, "rate (bits per pixel)", "PSNR (dB)", "A title", BASIS)
    drawn = looks_of_series(figure).values()
    assert {look[0] for look in drawn} == {looks.BLACK} and len({look[2] for look in drawn}) == 3


def test_a_line_can_have_the_look_of_a_codec_that_its_label_does_not_name():
    line = Line("Proposed", RATES, [1, 2, 3, 4], NETWORKS, "Zhao, low resolution")
    (drawn,) = figures.rate_distortion({"PSNR (dB)": [line]}, "A title", BASIS).axes[0].lines
    assert (drawn.get_color(), drawn.get_marker(), drawn.get_linestyle()) == (looks.BLUE, "v", "--")


# --- limits and notes ---


def note_of(figure):
    """Return the note below the axes, in one line."""
    return figure.legends[0].get_title().get_text().replace("\n", " ")


def test_a_figure_of_rates_says_how_points_are_joined():
    both = [Line("JPEG", RATES, [1, 2, 3, 4]), Line("ours", RATES, [2, 3, 4, 5], NETWORKS)]
    said = [note_of(figures.rate_distortion({"PSNR (dB)": lines}, "A title", BASIS)) for lines in (both, both[:1])]
    assert "Solid lines join settings of one codec." in said[0] and "Dashes join different networks" in said[0]
    assert said[1] == "Solid lines join settings of one codec."


def test_a_limited_axis_shows_the_points_inside_and_names_those_outside():
    lines = [
        Line("JPEG", [0.1, 1.0, 5.0], [20, 30, 50]),
        Line("far", [10.0, 20.0], [22.5, 29.6]),
        Line("near", [0.5], [25]),
    ]
    figure = figures.rate_distortion({"PSNR (dB)": lines}, "A title", BASIS, log_x=True, limits=(0.05, 2.0))
    (axes,) = figure.axes
    assert axes.get_xlim() == (0.05, 2.0) and axes.get_ylim() == pytest.approx((19.5, 30.5))
    assert [line.get_label() for line in axes.lines] == ["JPEG", "near"]
    assert "Beyond the axis lie points of JPEG; far (all: 10 to 20 bits per pixel, 22.5 to 29.6 dB)." in note_of(figure)
    figure.draw_without_rendering()
    assert figure.legends[0].get_window_extent().y1 <= axes.get_tightbbox().y0


def test_a_second_row_shows_some_rates_closer():
    figure = figures.rate_distortion(CURVES, "A title", BASIS, log_x=True, closer=(0.15, 0.45))
    assert [axes.get_ylabel() for axes in figure.axes] == [*CURVES, *CURVES]
    assert [axes.get_xscale() for axes in figure.axes] == ["log", "log", "linear", "linear"]
    assert figure.axes[2].get_xlim() == (0.15, 0.45) and figure.axes[2].get_ylim() == pytest.approx((26.85, 30.15))


def test_axes_that_are_to_be_compared_have_one_range():
    panels = {"a (dB)": [Line("x", [1, 2], [0, 10])], "b (dB)": [Line("x", [2, 8], [20, 40])], "none (dB)": []}
    rates = figures.rate_distortion(panels, "A title", BASIS, same_axes=True).axes
    over_epochs = figures.panels(panels, "epoch", "A title", BASIS, same_y=True).axes
    assert len({axes.get_ylim() for axes in rates}) == len({axes.get_xlim() for axes in rates}) == 1
    assert len({axes.get_ylim() for axes in over_epochs}) == 1 and over_epochs[0].get_ylim()[1] > 40
    assert over_epochs[0].get_xlim() != over_epochs[1].get_xlim()


# --- strips ---


def test_no_mark_of_a_strip_hides_another_and_means_stand_beside():
    rows = {"first": {"seed 0": [1.0, 1.0], "seed 1": [1.0]}, "second": {"seed 1": [3.0]}}
    (axes,) = figures.strips(rows, "difference (dB)", "A title", BASIS, differences=True, means=True).axes
    first, second, means, zero = axes.lines
    places = [tuple(point) for line in (first, second) for point in line.get_xydata()]
    assert len(places) == len(set(places)) == 4 and [round(y) for _, y in places] == [0, 0, 0, 1]
    assert means.get_xydata().tolist() == [[1.0, 0.0]]  # one value has no mean
    assert list(zero.get_xdata()) == [0.0, 0.0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["first", "second"]
    low, high = axes.get_ylim()
    assert low > high  # the first row is on top
