"""Figures: what is drawn where, the bytes that are written, and pictures pixel for pixel."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.errors import RelicError
from common.tables import figures
from common.tables.figures import Line

ROOT = Path(__file__).resolve().parent.parent
RATES = [0.1, 0.2, 0.4, 0.8]
CURVES = {
    "PSNR (dB)": [Line("JPEG", RATES, [24, 27, 30, 33]), Line("ours", [0.3], [29.5])],
    "MS-SSIM (dB)": [Line("ours", [0.3], [12.0]), Line("JPEG", RATES, [6, 9, 12, 15])],
}


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def example(kind):
    """Draw one figure of each kind."""
    if kind == "lines":
        return figures.line_plot(CURVES["PSNR (dB)"], "bits per pixel", "PSNR (dB)", "A title", log_y=True)
    if kind == "rate_distortion":
        return figures.rate_distortion(CURVES, log_x=True)
    if kind == "over_epochs":
        return figures.over_epochs(CURVES, "A title", columns=1)
    if kind == "comparison":
        return figures.comparison(CURVES, "as measured elsewhere")
    if kind == "histogram":
        return figures.histogram({"wrong": [9, 10, 11, 11.5], "right": [25, 30]}, "PSNR (dB)", {"JPEG": [9.1, 10]})
    return figures.picture_grid([[("one", noise(20, 30, 3)), ("two\nlines", noise(25, 15))]], "Pictures")


PANELS = {"rate_distortion": "bits per pixel", "over_epochs": "epoch", "comparison": "as measured elsewhere"}
KINDS = ("lines", *PANELS, "histogram", "pictures")


def words(figure):
    """Return all texts of a figure that are shown."""
    figure.draw_without_rendering()
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


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


# --- curves ---


def test_a_curve_has_its_points_and_no_value_where_there_is_none():
    figure = figures.line_plot([Line("a", [1, 2, 3, 4], [5, None, np.inf, 7])], "epoch", "loss")
    (curve,) = figure.axes[0].lines
    np.testing.assert_array_equal(curve.get_xydata(), [[1, 5], [2, np.nan], [3, np.nan], [4, 7]])
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("epoch", "loss") and not figure.legends


def test_names_stand_at_equal_distances_in_their_order():
    figure = figures.line_plot([Line("a", ["kodim23", "kodim09", "kodim12"], [1, 2, 3])], "picture", "PSNR (dB)")
    figure.draw_without_rendering()
    axis = figure.axes[0].xaxis
    assert [(t.get_text(), t.get_position()[0]) for t in axis.get_ticklabels()] == [
        ("kodim23", 0),
        ("kodim09", 1),
        ("kodim12", 2),
    ]


@pytest.mark.parametrize(
    "joined, count, line, marker", [(True, 5, "-", "o"), (True, 500, "-", ""), (False, 500, "None", "o")]
)
def test_points_carry_markers_unless_they_are_many_and_joined(joined, count, line, marker):
    figure = figures.line_plot([Line("a", range(count), range(count), joined)], "x", "y")
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
    jpeg, ours = figures.rate_distortion(CURVES).axes[0].lines
    assert ours.get_linestyle() == "None" and ours.get_markersize() > jpeg.get_markersize()


@pytest.mark.parametrize("kind", ["lines", *PANELS, "histogram"])
def test_the_legend_stands_below_the_axes_and_hides_nothing(kind):
    figure = example(kind)
    figure.draw_without_rendering()
    (legend,) = figure.legends
    upper = legend.get_window_extent().y1
    assert legend.get_window_extent().y0 >= 0 and all(upper <= axes.get_tightbbox().y0 for axes in figure.axes)


def test_many_long_names_fit_the_figure():
    name = "a codec with a rather long name, 4:2:0, version 1.2."
    lines = [Line(f"{name}{i}", RATES, [i, i + 1, i + 2, i + 3]) for i in range(14)]
    figure = figures.rate_distortion({"PSNR (dB)": lines, "MS-SSIM (dB)": lines})
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width and box.y0 >= 0
    assert all(axes.get_window_extent().height > 0.3 * figure.bbox.height for axes in figure.axes)
    looks = [(c.get_color(), c.get_linestyle()) for c in figure.axes[0].lines]
    assert len(set(looks)) == 14


@pytest.mark.parametrize("high, shown", [(4.0, ["0.1", "0.2", "0.5", "1", "2"]), (600.0, ["0.1", "1", "10", "100"])])
def test_a_logarithmic_axis_has_plain_numbers(high, shown):
    figure = figures.rate_distortion({"PSNR (dB)": [Line("a", [0.1, high], [20, 30])]}, log_x=True)
    figure.draw_without_rendering()
    low, top = figure.axes[0].get_xlim()
    ticks = figure.axes[0].xaxis.get_majorticklocs()
    assert [f"{tick:g}" for tick in ticks if low <= tick <= top] == shown
    assert set(shown) <= set(words(figure))


# --- distributions ---


def test_a_histogram_shows_percent_of_each_group_and_strokes_at_its_marks():
    groups = {"wrong": [9.0, 9.0, 10.0, 11.0], "right": [20.0, 30.0]}
    figure = figures.histogram(groups, "PSNR (dB)", {"JPEG": [9.5], "BPG": [12.0, 13.0]}, bins=21)
    upper, lower = figure.axes
    outlines = [patch.get_xy() for patch in upper.patches if not patch.get_fill()]
    assert [outline[:, 1].max() for outline in outlines] == [50, 50]
    assert [list(line.get_xdata()) for line in lower.lines] == [[9.5], [12.0, 13.0]]
    assert [label.get_text() for label in lower.get_yticklabels()] == ["JPEG", "BPG"]
    assert (upper.get_ylabel(), lower.get_xlabel()) == ("share (%)", "PSNR (dB)")


@pytest.mark.parametrize("log_x", [False, True])
def test_no_value_of_a_histogram_is_left_out(log_x):
    values = np.random.default_rng(1).lognormal(0, 2, 300)
    figure = figures.histogram({"a": values}, "difference (dB)", {"b": [1e4]}, log_x=log_x)
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
    (path,) = figures.save(figures.picture_grid(rows), tmp_path / "figure7")
    page = np.asarray(Image.open(path).convert("RGB"))
    assert page.shape[1] == 31 + 45 + 3 * figures.GAP
    for left, top, (_, picture) in [(10, 10, rows[0][0]), (51, 10, rows[0][1]), (10, 10 + 27 + 38 + 20, rows[1][0])]:
        height, width = picture.shape[:2]
        colours = picture if picture.ndim == 3 else np.dstack([picture] * 3)
        np.testing.assert_array_equal(page[top : top + height, left : left + width], colours)


@pytest.mark.parametrize("width", [37, 38, 93, 95, 999])
def test_a_page_of_any_width_is_as_large_as_its_pictures(tmp_path, width):
    (path,) = figures.save(figures.picture_grid([[("", noise(8, width))]]), tmp_path / "page")
    page = np.asarray(Image.open(path).convert("RGB"))
    assert page.shape == (8 + 3 * figures.GAP + figures.LINE_HEIGHT, width + 2 * figures.GAP, 3)


def test_captions_are_as_wide_as_their_pictures_and_stand_below_them():
    text = "JPEG2000, rate 23 of 1000: 0.231 bpp, 27.43 dB, 0.9713 MS-SSIM"
    figure = figures.picture_grid([[(text, noise(40, 120)), (text, noise(60, 300))]], "A title that is wider than " * 4)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.texts]
    assert all(box.x1 <= figure.bbox.width and box.y0 >= 0 and box.y1 <= figure.bbox.height for box in boxes)
    first = [
        box for box, shown in zip(boxes, figure.texts, strict=True) if box.x0 < 125 and "title" not in shown.get_text()
    ]
    assert len(first) > 3 and max(box.x1 for box in first) <= 10 + 120 + figures.GAP


@pytest.mark.parametrize("widths, fits", [((785, 785), True), ((785, 786), False)])
def test_a_row_wider_than_1600_pixels_is_refused(widths, fits):
    row = [("", noise(4, width)) for width in widths]
    if fits:
        assert figures.picture_grid([row]).bbox.width == 1600
    else:
        with pytest.raises(RelicError, match="1601 pixels wide, 1600 are the most"):
            figures.picture_grid([row])


def test_what_is_not_a_uint8_picture_is_refused():
    with pytest.raises(RelicError, match="uint8"):
        figures.picture_grid([[("", noise(4, 4).astype(np.float32))]])


def test_panels_stand_in_rows_of_as_many_columns_as_asked_for():
    panels = {f"{name} (dB)": [Line("codec", [0.1, 0.2], [20.0, 30.0])] for name in "abc"}
    drawn = figures.rate_distortion(panels, columns=2)
    places = [axes.get_subplotspec().get_geometry()[:3] for axes in drawn.axes]
    assert places == [(2, 2, 0), (2, 2, 1), (2, 2, 2)]
    assert [axes.get_ylabel() for axes in drawn.axes] == list(panels)
    assert [axes.get_subplotspec().get_geometry()[:2] for axes in figures.rate_distortion(panels).axes] == [(1, 3)] * 3


def test_curves_that_share_a_label_share_their_colour_and_are_thinner():
    lines = [Line("twice", [1, 2], [1, 2]), Line("once", [1, 2], [3, 4]), Line("twice", [1, 2], [5, 6])]
    figure = figures.rate_distortion({"a": lines, "b": lines[:2]})
    first, once, second = figure.axes[0].lines
    assert first.get_color() == second.get_color() != once.get_color()
    assert first.get_linewidth() == second.get_linewidth() < once.get_linewidth()
    assert {line.get_linewidth() for line in figure.axes[1].lines} == {once.get_linewidth()}
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["twice", "once"]


def test_a_title_wider_than_the_figure_is_broken_and_its_own_lines_stay():
    title = "Fig. 4 as plotted\n" + "authors from their own logs, ours trained here, " * 4
    figure = figures.line_plot([Line("a", [1, 2], [3, 4])], "x", "y", title)
    figure.draw_without_rendering()
    box = figure._suptitle.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width
    first, *others = figure.get_suptitle().split("\n")
    assert first == "Fig. 4 as plotted" and " ".join(others) == title.partition("\n")[2].strip()
