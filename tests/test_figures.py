"""Figures and tables: what they draw is what they were given, and a page can show it without help."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import matplotlib
import numpy as np
import pytest
import soundfile
from bs4 import BeautifulSoup
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from paper_lib.explorers.signature import signature_slider
from paper_lib.figures.convergence import dev_wer_curves
from paper_lib.figures.download import csv_text
from paper_lib.figures.lattice import lattice
from paper_lib.figures.markup import Markup, paragraph
from paper_lib.figures.norms import activation_quantiles
from paper_lib.figures.people import changes_by_layer, norms_by_round, personal_wers
from paper_lib.figures.resets import change_intervals, reset_columns
from paper_lib.figures.signatures import correlations_at_depth
from paper_lib.figures.sound import player
from paper_lib.figures.stability import rank_maps, run_spread
from paper_lib.figures.style import (
    BAND,
    BLACK,
    GREY,
    GROUND,
    HARMLESS,
    LINE,
    PALE_BLUE,
    PALE_GREEN,
    PALE_GREY,
    PALE_ORANGE,
    PALE_PURPLE,
    PALETTE,
    THEMED,
    show,
    to_svg,
)
from paper_lib.figures.tables import p_value, percent, table
from paper_lib.inference import Component, Estimate, Mean
from paper_lib.layers.ranking import LayerEffect
from paper_lib.layers.signature import Correlation
from paper_lib.layers.variants import KINDS


def effects(wers: list[float]) -> list[LayerEffect]:
    return [
        LayerEffect(
            layer,
            kind,
            Estimate(wer, wer - 0.01, wer + 0.01),
            Mean(wer, None, Component(1e-4, 79)),
            Estimate(wer, wer - 0.02, wer + 0.02),
            (wer,),
            "critical",
        )
        for kind in KINDS
        for layer, wer in enumerate(wers, 1)
    ]


SHEET = (Path(__file__).parents[1] / "book" / "_static" / "figures.css").read_text(encoding="utf-8")
GROUNDS, TINTS = (GROUND, BAND, HARMLESS), (PALE_BLUE, PALE_ORANGE, PALE_GREEN, PALE_PURPLE, PALE_GREY)
PAGE_IN_THE_DARK = "#14181e"  # of pydata-sphinx-theme
INTACT = {"S": Estimate(0.05, 0.04, 0.06), "L": Estimate(0.03, 0.02, 0.04)}
EFFECTS = {"S": effects([0.1, 0.5]), "L": effects([0.05, 0.06, 0.9])}


def test_columns_are_as_high_as_the_wer_and_rows_share_their_scale() -> None:
    figure = reset_columns(EFFECTS, INTACT)
    small, large = figure.axes
    assert sorted(bar.get_height() for bar in small.patches) == pytest.approx([10, 10, 50, 50])
    assert len(large.patches) == 6
    assert small.get_ylim() == large.get_ylim()
    assert small.get_ylabel() == "WER, %"
    assert [label.get_text() for label in large.get_xticklabels()] == ["1", "2", "3"]


def numbers_of(markup: Markup) -> list[dict[str, str]]:
    """Returns the rows of the file that a figure offers."""
    (address,) = re.findall(
        r'<a class="download" download="[^"]+" href="data:text/csv;charset=utf-8,([^"]*)"', markup.html
    )
    return list(csv.DictReader(io.StringIO(unquote(address))))


@pytest.mark.parametrize("figure", [reset_columns(EFFECTS, INTACT), change_intervals(EFFECTS)])
def test_the_numbers_of_a_figure_can_be_saved(figure: Figure) -> None:
    rows = numbers_of(show(figure, caption="c", alt="a", name="columns"))
    assert len(rows) == sum(map(len, EFFECTS.values()))
    (row,) = [r for r in rows if (r["size"], r["layer"], r["reset"]) == ("L", "3", "re-randomisation")]
    assert (row["wer_percent"], row["wer_percent_low"], row["wer_percent_high"]) == ("90", "89", "91")
    assert (row["change_points_low"], row["class"]) == ("88", "critical")


def test_a_layer_stands_at_its_number_counted_from_1() -> None:
    columns = reset_columns(EFFECTS, INTACT).axes[1]
    high = [bar for bar in columns.patches if bar.get_height() == pytest.approx(90)]
    assert [bar.get_x() + bar.get_width() / 2 for bar in high] == pytest.approx([2.8, 3.2])
    intervals = change_intervals(EFFECTS).axes[1]
    heights = sorted(line.get_ydata()[0] for line in intervals.lines if line.get_marker() == "s")
    assert heights == pytest.approx([0.83, 1.17, 1.83, 2.17, 2.83, 3.17])
    assert [label.get_text() for label in intervals.get_yticklabels()] == ["1", "2", "3"]


def test_activations_are_drawn_of_the_layers_above_the_reset_one() -> None:
    entries = [
        {"reset": reset, "layer": layer, "mean": [layer + k / 10 for k in range(5)], "deviation": [1.0 + layer] * 5}
        for reset in (None, 1, 2)
        for layer in range((reset or 0) + 1, 5)
    ]
    figure = activation_quantiles({"BatchNorm": entries}, 2)
    rows = numbers_of(show(figure, caption="c", alt="a"))
    assert {(row["model"], row["layer"]) for row in rows} == {
        (model, layer) for model in ("intact", "layer 2 reset") for layer in ("3", "4")
    }
    assert len(rows) == 2 * 2 * 2
    assert {float(row["q50"]) for row in rows if row["of"] == "mean"} == {3.2, 4.2}
    assert [label.get_text() for label in figure.axes[1].get_xticklabels()] == ["3", "4"]


def test_below_each_other_every_panel_of_activations_names_its_norm() -> None:
    entries = [{"reset": None, "layer": 2, "mean": [0.0] * 5, "deviation": [1.0] * 5}]
    wide = activation_quantiles({"BatchNorm": entries, "GroupNorm": entries}, 1)
    titles = [[axes.get_title("left") for axes in figure.axes] for figure in (wide, wide.narrow())]
    assert titles == [["BatchNorm", "GroupNorm", "", ""], ["BatchNorm", "GroupNorm"] * 2]


def test_numbers_below_0_have_minus_signs_on_a_page_and_names_their_hyphens() -> None:
    cells, kept = ("-0.3", "[-1.2, +0.4]", "ρ -.5 (-2 %)", "4e-05"), ("crit-3", "2022-05-07", "−0.3")
    shown = table([(*cells, *kept)], ["a"] * 7, "down by -0.3").html
    assert re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", shown)[7:] == [
        "−0.3",
        "[−1.2, +0.4]",
        "ρ -.5 (−2\u00a0%)",
        "4e−05",
        *kept,
    ]
    assert "down by −0.3" in shown
    assert paragraph("crit-3 less amb-3: -0.3").html == "<p>crit-3 less amb-3: −0.3</p>"


def test_what_is_drawn_and_what_is_saved_are_the_same() -> None:
    changes = {"S": np.array([[0.01, 0.02], [0.03, 0.3]])}
    figure = run_spread(changes, {"S": [0, 3]})
    assert {row["seed"] for row in figure.rows} == {0, 3}
    saved = sorted(float(row["change_points"]) for row in numbers_of(show(figure, caption="c", alt="a")))
    drawn = sorted(float(line.get_ydata()[0]) for line in figure.axes[0].lines if line.get_marker() == "o")
    assert saved == drawn == pytest.approx([1, 2, 3, 30])


def test_a_file_keeps_commas_quotes_and_missing_values() -> None:
    text = csv_text([{"size": 'S, "GroupNorm"', "wer": 0.5}, {"size": "é", "p": 1e-9}])
    assert list(csv.DictReader(io.StringIO(text))) == [
        {"size": 'S, "GroupNorm"', "wer": "0.5", "p": ""},
        {"size": "é", "wer": "", "p": "1e-09"},
    ]


def test_a_drawing_without_numbers_offers_no_file() -> None:
    assert "download" not in show(lattice("cat", 5, [0, 2, 3]), caption="c", alt="a").html


def test_intervals_begin_and_end_where_they_should() -> None:
    figure = change_intervals(EFFECTS)
    spans = [path.vertices[:, 0] for lines in figure.axes[0].collections for path in lines.get_paths()]
    assert sorted(spans[0]) == pytest.approx([8, 12])
    assert len(spans) == 4


def test_a_figure_stands_in_the_page_with_its_caption_and_its_alternative_text() -> None:
    figure = show(reset_columns(EFFECTS, INTACT), caption="Errors & <resets>", alt='Columns of "L"')
    drawings = BeautifulSoup(figure.html, "html.parser").select("figure > div > svg")
    assert [drawing["aria-label"] for drawing in drawings] == 2 * ['Columns of "L"']
    assert "http" not in figure.html
    assert "<figcaption>Errors &amp; &lt;resets&gt; <a " in figure.html


def test_a_figure_is_drawn_again_for_a_phone_with_its_panels_below_each_other() -> None:
    wide = change_intervals(EFFECTS)
    narrow = wide.narrow()
    assert narrow.get_figwidth() < 4 < wide.get_figwidth()
    assert narrow.rows == wide.rows
    places = [[axes.get_subplotspec() for axes in figure.axes] for figure in (wide, narrow)]
    assert [[(spec.rowspan.start, spec.colspan.start) for spec in specs] for specs in places] == [
        [(0, 0), (0, 1)],
        [(0, 0), (1, 0)],
    ]


def test_below_each_other_every_panel_names_its_axis() -> None:
    wide = change_intervals(EFFECTS)
    assert [axes.get_ylabel() for axes in wide.axes] == ["layer", ""]
    assert [axes.get_ylabel() for axes in wide.narrow().axes] == ["layer", "layer"]


def test_nothing_that_is_drawn_for_a_phone_reaches_beyond_it() -> None:
    for figure in (change_intervals(EFFECTS).narrow(), reset_columns(EFFECTS, INTACT).narrow()):
        figure.draw_without_rendering()
        room = figure.bbox.padded(1)
        for text in [*figure.findobj(Text)]:
            if text.get_text() and text.get_visible():
                assert room.contains(*text.get_window_extent().min), text.get_text()
                assert room.contains(*text.get_window_extent().max), text.get_text()


def test_in_a_page_the_theme_gives_a_figure_its_ink_and_no_ground() -> None:
    figure = show(change_intervals(EFFECTS), caption="", alt="").html
    plain = re.sub(r"var\(--figure-[a-z]+, #[0-9a-f]{6}\)", "", figure)
    assert plain != figure
    assert figure.count("fill: var(--figure-ink, #000000); stroke-linejoin") == 2
    assert not any(colour in plain for colour in THEMED)
    assert "#ffffff" in to_svg(change_intervals(EFFECTS))


def test_every_theme_has_the_variables_that_figures_use() -> None:
    dark = SHEET[SHEET.index('html[data-theme="dark"] {') :].partition("}")[0]
    ground = "--figure-ground"  # the page's own
    assert {variable for variable in THEMED.values() if f"{variable}:" in dark} == {*THEMED.values()} - {ground}
    assert f"{ground}: var(--pst-color-background" in SHEET


def contrast(colour: str, ground: str) -> float:
    """Returns the ratio of the luminances of two colours, as the Web Content Accessibility Guidelines 2 define it."""
    light, dark = sorted(
        (
            float(np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])
            for rgb in (np.array(to_rgb(colour)), np.array(to_rgb(ground)))
        ),
        reverse=True,
    )
    return (light + 0.05) / (dark + 0.05)


def in_the_dark(colour: str) -> str:
    """Returns what the style sheet makes of a colour in the dark theme, whose ground it leaves to the page's theme."""
    dark = SHEET[SHEET.index('html[data-theme="dark"] {') :].partition("}")[0]
    found = re.search(rf"{THEMED.get(colour)}: (#[0-9a-f]{{6}})", dark)
    return PAGE_IN_THE_DARK if colour == GROUND else found[1] if found else colour


@pytest.mark.parametrize("theme", [str, in_the_dark], ids=["light", "dark"])
def test_data_and_text_are_seen_on_what_they_stand_on(theme: Callable[[str], str]) -> None:
    for colour in (*PALETTE, GREY, LINE):
        assert contrast(theme(colour), theme(GROUND)) >= 3, colour
    for ink, grounds in ((BLACK, GROUNDS + TINTS), (LINE, GROUNDS + TINTS), (GREY, GROUNDS)):
        assert min(contrast(theme(ink), theme(ground)) for ground in grounds) >= 4.5, ink


def test_ids_of_two_drawings_in_a_page_differ() -> None:
    pages = [show(reset_columns({size: EFFECTS[size]}, INTACT), caption="", alt="").html for size in EFFECTS]
    ids = [set(re.findall(r"\bid='([^']+)'", page)) for page in pages]
    assert ids[0]
    assert not ids[0] & ids[1]
    for page, own in zip(pages, ids, strict=True):
        assert set(re.findall(r"(?:href='#|url\(#)([^')]+)", page)) <= own


def test_equal_figures_are_equal_bytes() -> None:
    assert len({show(reset_columns(EFFECTS, INTACT), caption="", alt="").html for _ in range(2)}) == 1


def test_a_users_own_matplotlibrc_changes_no_figure(tmp_path: Path) -> None:
    program = (
        "from paper_lib.figures.drawing import new_figure\n"
        "from paper_lib.figures.style import book_style, to_svg\n"
        "with book_style():\n"
        "    figure = new_figure(height=3)\n"
        "    figure.subplots().plot([1, 2], label='line')\n"
        "print(to_svg(figure))\n"
    )
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\naxes.grid: True\nlines.marker: o\nsavefig.bbox: tight\n")
    plain, own = (
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"MATPLOTLIBRC": str(place)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for place in (matplotlib.get_data_path(), tmp_path)
    )
    assert plain.startswith("<svg")
    assert own == plain


def test_a_table_escapes_text_heads_its_rows_and_sets_numbers_to_the_right() -> None:
    text = table([("S", 12345, "a <b>")], ["size", "weights", "note"], "Sizes").html
    assert '<th scope="row">S</th>' in text
    assert '<td class="number">12,345</td>' in text
    assert "<td>a &lt;b&gt;</td>" in text
    assert "<caption>Sizes</caption>" in text


def test_long_heads_of_rows_and_long_cells_have_room() -> None:
    text = table([("The larger the model, the more robust", "said " * 20)], ["claim", "evidence"], "Claims").html
    assert '<th scope="row" class="long">The larger' in text
    assert '<td class="long">said' in text


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match=r"3 columns, and a row has 2 cells: \['S', 1\]"):
        table([("S", 1)], ["size", "weights", "note"], "Sizes")


@pytest.mark.parametrize(("p", "text"), [(0.0294, "0.029"), (0.001, "0.001"), (0.0003, "<0.001"), (1, "1.000")])
def test_a_p_value_is_never_printed_as_zero(p: float, text: str) -> None:
    assert p_value(p) == text
    assert f'<td class="number">{text.replace("<", "&lt;")}</td>' in table([("S", p_value(p))], ["size", "p"], "").html


@pytest.mark.parametrize(("sign", "text"), [(False, "12.3 [−4.0, 20.1]"), (True, "+12.3 [−4.0, +20.1]")])
def test_estimates_in_per_cent(sign: bool, text: str) -> None:
    assert percent(Estimate(0.1234, -0.04, 0.201), sign=sign) == text


def test_what_is_played_is_the_waveform() -> None:
    waveform = (0.4 * np.sin(np.arange(4000) / 5)).astype(np.float32)
    (data,) = re.findall(r"base64,([^\"]*)", player(waveform, "a tone").html)
    heard, rate = soundfile.read(io.BytesIO(base64.b64decode(data)), dtype="float32")
    assert rate == 16_000
    np.testing.assert_allclose(heard, waveform, atol=1e-4)


def test_the_signature_explorer_embeds_every_recorded_number_and_shows_the_last() -> None:
    signatures = {"S": np.array([[[0.5, 1.0]], [[0.25, 1.0]]]), "L": np.array([[[0.4, 1.0, 0.9]], [[1.0, 0.8, 0.7]]])}
    steps = {"S": [10, 20], "L": [10, 30]}
    page = signature_slider(signatures, steps, ["attention.q"], caption="a </script> b").html
    data = json.loads(re.search(r'application/json">(.*?)</script>', page, re.DOTALL)[1])  # type: ignore[index]
    assert data["sizes"]["L"] == {"steps": [10, 30], "values": signatures["L"].tolist()}
    assert data["matrices"] == ["attention.q"]
    assert data["low"] == 0.2
    body = page.partition("<tbody>")[2].partition("</tbody>")[0]
    assert re.findall(r">(\d\.\d\d)<", body) == ["0.25", "1.00"]
    assert ">step 20<" in page
    assert "a &lt;/script&gt; b" in page


def test_figures_of_several_trainings_draw_all_of_them() -> None:
    changes = {"S": np.array([[0.1, 0.3, 0.2], [0.2, 0.1, 0.4]]), "L": np.array([[0.1, 0.3, 0.2, 0.5]] * 3)}
    seeds = {"S": [0, 3], "L": [0, 1, 2]}
    spread_, ranks = run_spread(changes, seeds), rank_maps(changes, seeds)
    points = [len([line for line in axes.lines if line.get_marker() == "o"]) for axes in spread_.axes]
    assert points == [2 * 3, 3 * 4]
    assert [text.get_text() for text in ranks.axes[0].texts] == ["1", "3", "2", "2", "1", "3"]
    assert [tick.get_text() for tick in ranks.axes[0].get_yticklabels()] == ["0", "3"]
    shown = [text.get_text() for text in spread_.legends[0].get_texts()]
    assert shown == ["seed 0", "seed 1", "seed 2", "seed 3", "mean"]


def test_a_matrix_is_filled_where_its_correlation_is_significant() -> None:
    found = [Correlation(0.9, 0.01, 0.5, 0.2, 0.8, 1.0), Correlation(0.3, 0.2, 0.4, 0.01, -0.1, 0.6)]
    figure = correlations_at_depth({"S": found}, ["attention.q", "ffn1.w1"], {"S": -0.7})
    marks = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert [float(mark.get_xdata()[0]) for mark in marks] == [0.9, 0.5, 0.3, 0.4]
    assert [mark.get_markerfacecolor() == GROUND for mark in marks] == [False, True, True, False]
    ends = [path.vertices[:, 0].tolist() for lines in figure.axes[0].collections for path in lines.get_paths()]
    assert ends == [[0.8, 1.0], [-0.1, 0.6]]


def test_the_way_to_convergence_is_that_of_the_records_in_the_order_of_steps() -> None:
    # JSON has its keys as texts: sorted as such, 1000 would come before 150.
    results = [{"dev_wer": {"1000": 0.05, "150": 0.9, "300": 0.4}}, {"dev_wer": {"150": 1.0, "300": 0.0}}]
    figure = dev_wer_curves({"S": results[:1], "M": results})
    small, middle = figure.axes
    # An error rate of 0 has its place.
    assert small.get_yscale() == middle.get_yscale() == "symlog"
    (curve, _), (first, _, second, _) = small.get_lines(), middle.get_lines()
    for line in (curve, first):
        assert line.get_xdata().tolist() == [150, 300, 1000]  # type: ignore[union-attr]
        assert line.get_ydata() == pytest.approx([90, 40, 5])
    assert second.get_ydata() == pytest.approx([100, 0])
    rows = figure.rows  # type: ignore[attr-defined]
    assert [(row["size"], row["run"], row["step"]) for row in rows][-2:] == [("M", 1, 150), ("M", 1, 300)]
    assert rows[-1]["dev_wer_percent"] == 0


def test_changes_stand_at_their_layers_a_row_for_each_kind_of_reset() -> None:
    layers = [effect for effect in effects([0.1, 0.4, 0.2]) if effect.kind == "re-initialisation"]
    figure = changes_by_layer({"back to step 0": layers, "back to the base": layers[::-1]})
    assert [axes.get_title("left") for axes in figure.axes] == ["back to step 0", "back to the base"]
    expected = {effect.layer: 100 * effect.change.value for effect in layers}
    for axes in figure.axes:
        dots = [line.get_xydata()[0] for line in axes.lines if len(line.get_xdata()) == 1]  # type: ignore[index]
        assert {int(x): y for x, y in dots} == pytest.approx(expected)


def test_of_every_person_the_figure_tells_which_share_has_at_most_their_wer() -> None:
    figure = personal_wers({"before": np.array([1.5, 0.5, 1.0]), "after": np.array([0.0, 0.1, 0.1])})
    before, after = figure.axes[0].lines
    assert before.get_xdata() == pytest.approx([0, 50, 100, 100, 100])
    assert before.get_ydata() == pytest.approx([0, 100 / 3, 200 / 3, 100, 100])
    assert list(after.get_xdata()) == sorted(after.get_xdata())
    assert figure.rows[2]["wer_percent"] == 150  # type: ignore[attr-defined]


def test_norms_stand_beside_each_other_in_every_way_to_learn() -> None:
    curves = {
        "FedAvg": {"BatchNorm": [{0: 1.5, 5: 0.3}, {0: 1.7, 5: 0.5}], "GroupNorm": [{0: 1.6, 5: 0.2}] * 2},
        "pooled": {"BatchNorm": [{0: 1.5, 5: 0.0}], "GroupNorm": [{0: 1.6, 5: 0.1}]},
    }
    figure = norms_by_round(curves)
    federated, pooled = figure.axes
    assert [axes.get_title("left") for axes in figure.axes] == ["FedAvg", "pooled"]
    means = {line.get_label(): line for line in federated.lines if not line.get_label().startswith("_")}
    assert means["BatchNorm"].get_xydata().tolist() == [[0, 160], [5, 40]]  # type: ignore[union-attr]
    assert means["GroupNorm"].get_ydata() == pytest.approx([160, 20])
    assert len(federated.lines) == 2 * 3  # two seeds and their mean
    batch, group = pooled.lines
    assert batch.get_color() == means["BatchNorm"].get_color() != group.get_color() == means["GroupNorm"].get_color()
    assert batch.get_ydata() == pytest.approx([150, 0])
    rows = [row for row in figure.rows if row["learning"] == "pooled"]  # type: ignore[attr-defined]
    assert [(row["norm"], row["rounds"], row["dev_wer_percent"]) for row in rows] == [
        ("BatchNorm", 0, 150.0),
        ("BatchNorm", 5, 0.0),
        ("GroupNorm", 0, 160.0),
        ("GroupNorm", 5, 10.0),
    ]


def test_a_paragraph_can_be_what_a_link_leads_to() -> None:
    assert paragraph("Not < yet.", name="here").html == '<p id="here">Not &lt; yet.</p>'
    assert paragraph("Not", "yet.").html == "<p>Not yet.</p>"
