"""Figures: each shows itself as a picture with an alternative text, and bad input is named."""

import re

import numpy as np
import pytest
from conftest import toy
from matplotlib import pyplot

import cxrlib as cxr
from cxrlib import plot


def histories():
    recipe = cxr.Recipe(size=16, epochs=2, batch_size=16, precision="fp32")
    made = {}
    for name in ("one", "two"):
        model = cxr.build_model("CPFD", ("normal", "pneumonia"), size=16, filters=(4,), hidden=8, seed=0)
        made[name] = cxr.fit(model, toy(48), toy(16, seed=1), recipe, progress=False)
    return made


def figures():
    rng = np.random.default_rng(0)
    labels = np.arange(30) % 3
    probs = rng.dirichlet(np.ones(3), 30)
    two = np.c_[probs[:, 0], 1 - probs[:, 0]]
    yield "xrays", plot.xrays(toy(7)), "7 chest X-rays"
    yield "report of two classes", cxr.Report(labels > 0, two, ("a", "b"), bootstrap=0).plot(), "ROC"
    yield "report of three classes", cxr.Report(labels, probs, ("a", "b", "c"), bootstrap=0).plot(), "wrong"
    runs = histories()
    yield "one history", runs["one"].plot(), "after epoch 2"
    yield "two histories", plot.curves(runs), "two: after epoch 2"
    yield "intervals", plot.intervals({"x": (0.5, 0.4, 0.6), "y": (0.7, 0.6, 0.9)}, "AUC"), "x: 0.500 (0.400 to 0.600)"


def test_every_figure_shows_itself_with_a_computed_alternative_text():
    for name, figure, words in figures():
        page = figure.to_html()
        assert re.fullmatch(
            r'<img class="cxr-figure" alt="[^"]+" width="\d+" [^<>]*src="data:image/png;base64,[^"]+">', page
        ), name
        assert words in figure.alt, (name, figure.alt)
    assert pyplot.get_fignums() == [], "the figures must not pile up in pyplot's global list"


def test_a_run_without_an_epoch_is_left_out_of_the_curves():
    runs = histories()
    empty = type(runs["one"])(runs["one"].recipe)
    figure = plot.curves({"none": empty, "one": runs["one"]})
    assert figure.alt == plot.curves({"one": runs["one"]}).alt and len(figure.axes[0].lines) > 0
    with pytest.raises(ValueError, match="metrics: give one of .*loss"):
        plot.curves({"one": runs["one"]}, ["auc"])


def test_what_is_undefined_is_not_drawn_as_a_number():
    figure = plot.intervals({"x": (np.nan, np.nan, np.nan), "y": (0.7, np.nan, np.nan), "z": (0.5, 0.4, 0.6)}, "AUC")
    assert "x: undefined. y: 0.700. z: 0.500 (0.400 to 0.600)" in figure.alt
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["x (–)", "y", "z"]
    fig, ax = plot.subplots()
    plot.confusion(ax, [[3, 1], [0, 0]], ("a", "b"))
    assert [t.get_text() for t in ax.texts] == ["3\n75%", "1\n25%", "0\n–", "0\n–"]
    assert "nan" not in figure.alt and fig.to_png().startswith(b"\x89PNG")


def test_a_figure_is_shown_once_and_not_by_the_inline_backend(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *args, **kwargs: shown.append((args, kwargs)))
    plot.xrays(toy(2))._ipython_display_()
    (((bundle,), options),) = shown
    assert options == {"raw": True} and set(bundle) == {"text/html", "text/plain"}


def test_the_alternative_text_is_escaped():
    fig, _ = plot.subplots(alt='5" <film>')
    assert 'alt="5&quot; &lt;film&gt;"' in fig.to_html()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: plot.xrays(toy(4)[:0]), "empty"),
        (lambda: plot.xrays(toy(102)), "give 1 to 100 images, got 102"),
        (lambda: plot.curves({}), "no finished epoch"),
        (lambda: plot.intervals({}, "AUC"), "rows: give at least one"),
        (lambda: cxr.reported("F"), "A, B, C, D, E"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_reported_figures_by_source():
    frame = cxr.reported()
    assert set(frame["source"]) == set("ABCDE")
    assert cxr.reported("A")["auc"].max() == 0.957
    assert frame[["accuracy", "f1", "auc"]].max().max() < 1
