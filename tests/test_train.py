"""Training: it learns, it is repeatable, it survives being killed, and each field of a recipe does what it says."""

import gc
import json
import multiprocessing
import os
import signal
import time
import warnings

import numpy as np
import pytest
import torch
from conftest import toy

import cxrlib as cxr
from cxrlib import Recipe, build, build_model, fit, predict, recipes
from cxrlib.optimize import class_weights

TINY = Recipe(size=16, epochs=3, batch_size=16, lr=3e-3, precision="fp32")


def tiny_model(classes=("normal", "pneumonia"), seed=0, dropout=0.2):
    return build_model("CPFD", classes, size=16, filters=(8,), hidden=16, dropout=dropout, seed=seed)


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.state_dict().values()])


def contrary():
    """Images with the wrong labels: the better the fit, the worse the validation loss."""
    data = toy(48, seed=1)
    return cxr.CxrDataset(data.images, 1 - data.labels, data.classes, data.patients)


def quiet(*args, **kwargs):
    return fit(*args, progress=False, **kwargs)


def test_it_learns_and_says_what_happened():
    train, val = toy(96), toy(32, seed=1)
    model = tiny_model()
    before = cxr.evaluate(model, val, bootstrap=0)["accuracy"]
    history = quiet(model, train, val, TINY, epochs=8)
    after = cxr.evaluate(model, val, bootstrap=0)["accuracy"]
    assert after > 0.95 > before
    frame = history.frame
    assert frame["epoch"].tolist() == list(range(1, 9))
    assert frame["loss"].iloc[-1] < frame["loss"].iloc[0]
    assert {"val_loss", "val_accuracy", "val_auc", "lr", "seconds", "cpu_seconds", "images_per_second"} <= set(frame)
    assert history.stopped == "finished" and not model.training
    assert "8 epochs" in str(history) and 'alt="Learning curves' in history._repr_html_()


def test_an_epoch_keeps_nothing_of_its_steps(monkeypatch):
    read, alive = cxr.CxrDataset.__getitems__, []

    def counting(self, rows):
        alive.append(sum(type(o) is torch.Tensor for o in gc.get_objects()) if len(alive) in (10, 90) else 0)
        return read(self, rows)

    monkeypatch.setattr(cxr.CxrDataset, "__getitems__", counting)
    quiet(tiny_model(), toy(200), recipe=TINY, batch_size=2, epochs=1)
    assert len(alive) == 100 and alive[10] > 10
    assert alive[90] <= alive[10] + 5, "memory grows with the number of steps"


def test_same_seed_same_weights_other_seed_other_weights():
    train = toy(48)
    runs = [tiny_model() for _ in range(3)]
    for model, seed in zip(runs, (0, 0, 1), strict=True):
        quiet(model, train, recipe=TINY, seed=seed)
    assert torch.equal(weights(runs[0]), weights(runs[1]))
    assert not torch.equal(weights(runs[0]), weights(runs[2]))


RESUMED = TINY.replace(epochs=6, augment=cxr.Augment(flip=0.5, rotate=5, noise=0.02), schedule="onecycle")


def _train_in_a_process(path, marker):
    torch.set_num_threads(1)
    model = tiny_model()

    class Slow(type(toy(4))):
        """Slow enough to be killed in the middle."""

        def __getitems__(self, rows):
            time.sleep(0.03)
            if os.path.exists(path):
                marker.set()
            return super().__getitems__(rows)

    data = toy(48)
    data.__class__ = Slow
    quiet(model, data, toy(16, seed=1), RESUMED, checkpoint=path)


@pytest.mark.parametrize(
    "schedule, average",
    [("onecycle", 0), ("plateau", 0), ("cyclic", 0), ("cosine", 0), ("constant", 0), ("onecycle", 0.9)],
)
def test_resumed_run_ends_with_the_same_weights(tmp_path, schedule, average):
    recipe = RESUMED.replace(schedule=schedule, ema_decay=average, restore_best=False)
    train, val = toy(48), toy(16, seed=1)
    whole = tiny_model()
    quiet(whole, train, val, recipe)

    class Killed(Exception):
        pass

    class Dies(type(train)):
        def __getitems__(self, rows):
            calls[0] += 1
            if calls[0] == 10:  # in the middle of the fourth epoch: three steps an epoch
                raise Killed
            return super().__getitems__(rows)

    calls = [0]
    dying = toy(48)
    dying.__class__ = Dies
    with pytest.raises(Killed):
        quiet(tiny_model(), dying, val, recipe, checkpoint=tmp_path / "c.pt")
    resumed = tiny_model(seed=5)  # whatever weights it starts from: the checkpoint holds the right ones
    history = quiet(resumed, train, val, recipe, checkpoint=tmp_path / "c.pt")
    assert history.resumed_at == 3 and len(history.epochs) == 6
    assert torch.equal(weights(whole), weights(resumed))


def test_run_killed_by_the_system_resumes_to_the_same_weights(tmp_path):
    path = tmp_path / "c.pt"
    context = multiprocessing.get_context("spawn")
    marker = context.Event()
    process = context.Process(target=_train_in_a_process, args=(str(path), marker))
    process.start()
    assert marker.wait(300)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    torch.set_num_threads(1)
    whole, resumed = tiny_model(), tiny_model()
    quiet(whole, toy(48), toy(16, seed=1), RESUMED)
    history = quiet(resumed, toy(48), toy(16, seed=1), RESUMED, checkpoint=path)
    assert 1 <= history.resumed_at < 6
    assert torch.equal(weights(whole), weights(resumed))


def test_a_finished_run_is_not_trained_again(tmp_path):
    train, val = toy(48), toy(16, seed=1)
    first, second = tiny_model(), tiny_model(seed=9)
    quiet(first, train, val, TINY, checkpoint=tmp_path / "c.pt")
    history = quiet(second, train, val, TINY, checkpoint=tmp_path / "c.pt")
    assert len(history.epochs) == 3 and torch.equal(weights(first), weights(second))


def test_checkpoint_of_another_recipe_data_or_model_is_refused(tmp_path):
    path = tmp_path / "c.pt"
    quiet(tiny_model(), toy(48), recipe=TINY, checkpoint=path)
    with pytest.raises(ValueError, match="lr was 0.003, is 0.1"):
        quiet(tiny_model(), toy(48), recipe=TINY, lr=0.1, checkpoint=path)
    with pytest.raises(ValueError, match="other images"):
        quiet(tiny_model(), toy(50), recipe=TINY, checkpoint=path)
    with pytest.raises(ValueError, match="does not fit this network"):
        quiet(build_model("CPF", ("normal", "pneumonia"), size=16), toy(48), recipe=TINY, checkpoint=path)
    for content in (b"", b"not a checkpoint"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="not a training checkpoint"):
            quiet(tiny_model(), toy(48), recipe=TINY, checkpoint=path)
    torch.save({"a": 1}, path)
    with pytest.raises(ValueError, match="not a training checkpoint"):
        quiet(tiny_model(), toy(48), recipe=TINY, checkpoint=path)


def test_views_for_scoring_do_not_make_another_training(tmp_path):
    quiet(tiny_model(), toy(48), recipe=TINY, checkpoint=tmp_path / "c.pt")
    history = quiet(tiny_model(), toy(48), recipe=TINY, tta=("flip",), checkpoint=tmp_path / "c.pt")
    assert history.resumed_at == TINY.epochs


def test_ctrl_c_returns_what_there_is():
    class Interrupts(type(toy(4))):
        def __getitems__(self, rows):
            calls[0] += 1
            if calls[0] == 8:
                raise KeyboardInterrupt
            return super().__getitems__(rows)

    calls = [0]
    train = toy(48)
    train.__class__ = Interrupts
    with pytest.warns(UserWarning, match="interrupted in epoch 3"):
        history = quiet(tiny_model(), train, toy(16, seed=1), TINY, epochs=9)
    assert history.stopped == "interrupted" and len(history.epochs) == 2


def test_early_stopping_and_the_best_weights():
    train, val = toy(48), contrary()
    model = tiny_model()
    history = quiet(model, train, val, TINY, epochs=30, early_stopping=3)
    losses = history.frame["val_loss"]
    assert history.stopped == "early" and len(losses) < 30
    assert history.best_epoch == losses.idxmin() + 1 == len(losses) - 3
    probs = predict(model, val, precision="fp32")
    assert -np.log(probs[np.arange(48), val.labels]).mean() == pytest.approx(losses.min(), rel=1e-3)


@pytest.mark.parametrize(
    "schedule, options, expected",
    [
        ("constant", {}, lambda lr: np.allclose(lr, 3e-3)),
        ("cosine", {}, lambda lr: (np.diff(lr) < 0).all() and lr[-1] < 1e-8),
        ("onecycle", {"pct_start": 0.5}, lambda lr: lr.argmax() == 2 and lr.max() == pytest.approx(3e-3, rel=0.05)),
        ("cyclic", {"base_lr": 1e-3, "step_epochs": 1}, lambda lr: np.allclose(lr, [3e-3, 1e-3] * 3)),
        ("plateau", {"patience": 0, "factor": 0.5}, lambda lr: (np.diff(lr) <= 0).all()),
    ],
)
def test_schedules(schedule, options, expected):
    history = quiet(tiny_model(), toy(48), toy(16, seed=1), TINY, epochs=6, schedule=schedule, schedule_options=options)
    assert expected(history.frame["lr"].to_numpy())


def test_plateau_lowers_the_rate_when_the_validation_loss_stalls():
    history = quiet(
        tiny_model(),
        toy(48),
        contrary(),
        TINY,
        epochs=8,
        schedule="plateau",
        schedule_options={"patience": 1, "factor": 0.5},
    )
    lr, loss = history.frame["lr"], history.frame["val_loss"]
    assert lr[loss.idxmin()] == 3e-3  # it does not fall while the loss still improves
    assert lr.iloc[-1] <= 3e-3 / 4


def test_class_weights_keep_the_scale_of_the_loss():
    data = toy(40, per_patient=1)[:30]
    data = data[np.r_[np.flatnonzero(data.labels == 0), np.flatnonzero(data.labels == 1)[:5]]]
    balanced = class_weights("balanced", data)
    assert float(balanced[data.labels].mean()) == pytest.approx(1)
    counts = np.bincount(data.labels)
    assert float(balanced[1] / balanced[0]) == pytest.approx(counts[0] / counts[1])


def test_class_weights_raise_the_recall_of_the_rare_class():
    train = toy(240, per_patient=1, noise=70)
    rare = train[np.r_[np.flatnonzero(train.labels == 0), np.flatnonzero(train.labels == 1)[:12]]]
    test = toy(200, per_patient=1, seed=1, noise=70)
    recall = {}
    for name in (None, "balanced"):
        model = tiny_model(dropout=0)
        quiet(model, rare, recipe=TINY, epochs=6, class_weights=name)
        recall[name] = cxr.evaluate(model, test, bootstrap=0)["recall[pneumonia]"]
    assert recall["balanced"] > recall[None]


def test_label_smoothing_lowers_confidence():
    confidence = []
    for smoothing in (0.0, 0.3):
        model = tiny_model(dropout=0)
        quiet(model, toy(96), recipe=TINY, epochs=12, label_smoothing=smoothing)
        confidence.append(predict(model, toy(48, seed=1)).max(1).mean())
    assert confidence[1] < confidence[0] - 0.05


@pytest.mark.parametrize("precision", ["bf16", "auto"])
def test_bf16_learns_too(precision):
    model = tiny_model()
    quiet(model, toy(96), recipe=TINY, epochs=8, precision=precision)
    assert all(p.dtype == torch.float32 for p in model.parameters())  # the weights themselves stay float32
    assert cxr.evaluate(model, toy(32, seed=1), bootstrap=0)["accuracy"] > 0.9


def test_a_diverging_run_stops_and_says_so():
    with pytest.warns(UserWarning, match="lower learning rate"):
        history = quiet(tiny_model(), toy(48), toy(16, seed=1), TINY, epochs=9, lr=1e30, optimizer="sgd")
    assert history.stopped == "diverged" and len(history.epochs) < 9


def test_frozen_parameters_do_not_move():
    model = tiny_model()
    cxr.freeze(model, "all")
    body = torch.cat([p.detach().flatten().clone() for p in model.body.parameters()])
    quiet(model, toy(48), recipe=TINY)
    assert torch.equal(body, torch.cat([p.detach().flatten() for p in model.body.parameters()]))


@pytest.mark.parametrize("trainable, expected", [("all", True), ("head", False), (1, False), (3, True)])
def test_trainable_says_how_much_learns(trainable, expected):
    """CPFD has the layers C, ReLU, P below the head: only C has weights."""
    recipe = TINY.replace(model="CPFD", model_options={"filters": (8,), "hidden": 16}, trainable=trainable, epochs=1)
    model = build(recipe, ("normal", "pneumonia"))
    before = next(iter(model.body.state_dict().values())).clone()
    head = model.head.output.weight.detach().clone()
    quiet(model, toy(48), recipe=recipe)
    after = next(iter(model.body.state_dict().values()))
    assert (not torch.equal(before, after)) == expected
    assert not torch.equal(head, model.head.output.weight)


def test_the_head_can_learn_first():
    recipe = TINY.replace(model="CPFD", trainable=3, head_epochs=2, head_lr=1e-2, epochs=1, lr=1e-9)
    model = cxr.freeze(tiny_model(), 3)
    body, head = (part.state_dict() for part in (model.body, model.head))
    body, head = ({k: v.clone() for k, v in d.items()} for d in (body, head))
    history = quiet(model, toy(48), toy(16, seed=1), recipe)
    assert [e["lr"] for e in history.head] == [1e-2, 1e-2] and len(history.epochs) == 1
    assert history.seconds > sum(e["seconds"] for e in history.epochs)
    for name, value in model.body.state_dict().items():
        assert (value - body[name]).abs().max() < 1e-6  # only the last epoch, at a tiny rate, reached the body
    assert any((v - head[k]).abs().max() > 1e-3 for k, v in model.head.state_dict().items())
    assert all(p.requires_grad for p in model.parameters()) and model.config["freeze"] == 3


@pytest.mark.parametrize("call", [2, 5, 8])
def test_a_run_killed_in_either_phase_resumes_to_the_same_weights(tmp_path, call):
    recipe = RESUMED.replace(head_epochs=2, epochs=2, restore_best=False)
    train, val = toy(32), toy(16, seed=1)  # two steps an epoch
    whole = tiny_model()
    quiet(whole, train, val, recipe)

    class Killed(Exception):
        pass

    class Dies(type(train)):
        def __getitems__(self, rows):
            calls[0] += 1
            if calls[0] == call:
                raise Killed
            return super().__getitems__(rows)

    calls, dying = [0], toy(32)
    dying.__class__ = Dies
    model = tiny_model()
    with pytest.raises(Killed):
        quiet(model, dying, val, recipe, checkpoint=tmp_path / "c.pt")
    assert all(p.requires_grad for p in model.parameters())
    resumed = tiny_model()
    history = quiet(resumed, train, val, recipe, checkpoint=tmp_path / "c.pt")
    assert len(history.head) == len(history.epochs) == 2 and torch.equal(weights(whole), weights(resumed))


def test_a_recipe_for_a_part_refuses_a_model_that_is_not_frozen_so():
    for trainable, frozen in (("head", None), (1, "all"), (2, 1)):
        model = tiny_model()
        if frozen:
            cxr.freeze(model, frozen)
        with pytest.raises(ValueError, match="not frozen so"):
            quiet(model, toy(48), recipe=TINY, trainable=trainable)
    quiet(cxr.freeze(tiny_model(), "all"), toy(48), recipe=TINY, epochs=1)  # frozen by hand: the recipe need not know


@pytest.mark.parametrize("key", ["format", "recipe", "data", "model", "optimizer", "averaged", "history", "best"])
def test_a_checkpoint_without_one_of_its_parts_is_refused(tmp_path, key):
    path, recipe = tmp_path / "c.pt", TINY.replace(ema_decay=0.9, schedule="onecycle")
    quiet(tiny_model(), toy(48), toy(16, seed=1), recipe, checkpoint=path)
    saved = torch.load(path, weights_only=True)
    del saved[key]
    torch.save(saved, path)
    with pytest.raises(ValueError, match=r"c\.pt .*delete the file"):
        quiet(tiny_model(), toy(48), toy(16, seed=1), recipe, checkpoint=path)


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b[:900] + bytes(400) + b[1300:]])
def test_a_damaged_checkpoint_is_refused(tmp_path, damage):
    path = tmp_path / "c.pt"
    quiet(tiny_model(), toy(48), recipe=TINY, checkpoint=path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"c\.pt .*delete the file"):
        quiet(tiny_model(), toy(48), recipe=TINY, checkpoint=path)


@pytest.mark.parametrize(
    "field, value",
    [
        ("model", 7),
        ("model_options", 5),
        ("model_options", {1: 2}),
        ("schedule_options", "x"),
        ("epochs", True),
        ("epochs", 10**30),
        ("size", 16.0),
        ("seed", -1),
        ("seed", None),
        ("trainable", [1]),
        ("lr", "0.1"),
        ("lr", float("nan")),
        ("head_lr", None),
        ("weight_decay", [0]),
        ("label_smoothing", "x"),
        ("ema_decay", 1),
        ("early_stopping", "soon"),
        ("early_stopping", 0),
        ("class_weights", {}),
        ("class_weights", ["a", "b"]),
        ("class_weights", [0, 0]),
        ("class_weights", [1, -5]),
        ("class_weights", [1, "a"]),
        ("augment", {"flip": 1}),
        ("tta", 3),
        ("tta", [1]),
        ("tta", ["flipp"]),
        ("tta", [np.flip]),
        ("optimizer", []),
        ("about", None),
    ],
)
def test_a_wrong_field_of_a_recipe_is_named(field, value):
    with pytest.raises(ValueError, match=f"recipe: .*{field}"):
        cxr.recipes["baseline"].replace(**{field: value})


def test_an_unknown_option_of_the_model_is_named():
    with pytest.raises(ValueError, match="recipe: model_options: give one of .*dropout.*got 'depth'"):
        build(TINY.replace(model_options={"depth": 3}), ("a", "b"))


@pytest.mark.parametrize(
    "schedule, options",
    [
        ("onecycle", {"pct_start": 7}),
        ("onecycle", {"div_factor": 0}),
        ("plateau", {"factor": 2.0}),
        ("cyclic", {"step_epochs": "x"}),
        ("onecycle", {"pct_start": float("nan")}),
        ("onecycle", {"div_factor": -3}),
        ("cyclic", {"base_lr": -1e-4}),
        ("cyclic", {"base_lr": 1.0}),
        ("cosine", {"min_lr": "low"}),
        ("cosine", {"min_lr": -1}),
        ("plateau", {"min_lr": 5}),
        ("plateau", {"patience": 1.5}),
        ("plateau", {"patience": -1}),
        ("plateau", {"factor": -1}),
    ],
)
def test_schedule_options_that_cannot_be(schedule, options):
    with pytest.raises(ValueError, match="schedule_options, .* give a (whole )?number"):
        quiet(tiny_model(), toy(48), recipe=TINY, schedule=schedule, schedule_options=options)


def test_a_last_batch_of_one_image_does_no_harm():
    model = build_model("resnet18", ("normal", "pneumonia"), size=32, head_batchnorm=True)
    history = quiet(model, toy(17, size=32), recipe=TINY, epochs=1)
    assert np.isfinite(history.frame["loss"]).all()


def test_no_warning_in_an_ordinary_run():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quiet(tiny_model(), toy(48), toy(16, seed=1), TINY, schedule="onecycle")


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: quiet(tiny_model(), toy(48)[:0]), "train is empty"),
        (lambda: quiet(tiny_model(), toy(48), toy(48)[:0]), "val is empty"),
        (lambda: quiet(tiny_model(), toy(48, classes=("normal", "covid-19"))), "covid-19"),
        (lambda: quiet(tiny_model(), toy(48), recipe=TINY, early_stopping=2), "val is missing"),
        (lambda: quiet(tiny_model(), toy(48), recipe=TINY, class_weights=(1.0, 2.0, 3.0)), "3 numbers for 2 classes"),
        (lambda: quiet(tiny_model(), toy(48), recipe=TINY, schedule="cosine", schedule_options={"steps": 3}), "steps"),
        (lambda: quiet(tiny_model(), toy(48), recipe=TINY, learning_rate=1), "recipe: field: give one of"),
        (lambda: Recipe(optimizer="adamax"), "adam, adamw, sgd"),
        (lambda: Recipe(epochs=0), "epochs"),
        (lambda: Recipe(lr=-1), "lr"),
        (lambda: Recipe(trainable="body"), "trainable"),
        (lambda: Recipe(trainable=0), "trainable"),
        (lambda: Recipe(head_epochs=-1), "head_epochs"),
        (lambda: Recipe(head_lr=0), "head_lr"),
        (lambda: Recipe(label_smoothing=1.0), "label_smoothing"),
        (lambda: Recipe(ema_decay=1.0), "ema_decay"),
        (lambda: Recipe(class_weights="inverse"), "balanced"),
        (lambda: cxr.evaluate(tiny_model(), toy(8)[:0]), "empty"),
        (lambda: cxr.evaluate(tiny_model(), toy(8, classes=("normal", "tb"))), "its classes are"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_average_follows_the_weights():
    """Three steps by hand: the first step's weights, then average * decay + weights * (1 - decay), the decay rising."""
    steps, decay = [], 0.75
    for epochs in (1, 2, 3):
        model = tiny_model()
        quiet(model, toy(16), recipe=TINY, batch_size=16, epochs=epochs, schedule="constant", augment=None)
        steps.append(weights(model))
    expected = steps[0]
    for n, step in enumerate(steps[1:], start=1):
        now = min(decay, (1 + n) / (10 + n))
        expected = expected * now + step * (1 - now)
    model = tiny_model()
    quiet(model, toy(16), recipe=TINY, batch_size=16, epochs=3, schedule="constant", augment=None, ema_decay=decay)
    assert torch.allclose(weights(model), expected, atol=1e-6) and not torch.allclose(expected, steps[2], atol=1e-4)


def test_the_average_has_forgotten_its_random_beginning_after_a_short_run():
    """60 steps at .995 keep 74 % of the first weights where the decay does not rise."""
    train, val = toy(160, per_patient=1), toy(64, seed=1)
    plain, averaged = (
        quiet(tiny_model(), train, val, TINY, epochs=6, batch_size=16, ema_decay=decay, restore_best=False)
        for decay in (0, 0.995)
    )
    assert averaged.epochs[-1]["val_loss"] < 1.5 * plain.epochs[-1]["val_loss"]


def test_the_averaged_network_is_the_one_that_is_validated():
    train, val = toy(48), toy(32, seed=1)
    model = tiny_model()
    history = quiet(model, train, val, TINY, ema_decay=0.9, epochs=2, restore_best=False)
    report = cxr.evaluate(model, val, bootstrap=0)
    assert history.epochs[-1]["val_auc"] == pytest.approx(report["auc"])
    assert history.epochs[-1]["val_accuracy"] == pytest.approx(report["accuracy"])


@pytest.mark.parametrize("trainable", ["all", 12])
def test_a_recipe_holds_the_norms(trainable):
    model = build(Recipe(model="resnet18", size=32, trainable=trainable, freeze_norms=True), ("a", "b")).train()
    norms = [layer for layer in model.body.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    assert norms and not any(layer.training for layer in norms)
    assert any(p.requires_grad for p in model.body.parameters())


def test_every_recipe_builds_its_model():
    built = set()
    for name, recipe in recipes.items():
        assert recipe.about, name
        options = {**recipe.model_options, **({"pretrained": False} if "pretrained" in recipe.model_options else {})}
        recipe = recipe.replace(model_options=options)  # the weights themselves may need a network
        made = repr((recipe.model, options, recipe.trainable))
        if made not in built:
            model = build(recipe, ("normal", "pneumonia"))
            assert any(p.requires_grad for p in model.body.parameters()) == (recipe.trainable != "head"), name
        built.add(made)


def test_predictions_do_not_depend_on_the_batch_size_and_leave_the_mode():
    model, data = tiny_model(), toy(21)
    model.train()
    a, b = predict(model, data, batch_size=4, precision="fp32"), predict(model, data, batch_size=64, precision="fp32")
    assert model.training and a.shape == (21, 2)
    np.testing.assert_allclose(a, b, atol=1e-6)


def one_class(n=16):
    """Validation images of a single class: their AUC is undefined."""
    return toy(2 * n, seed=1)[np.flatnonzero(toy(2 * n, seed=1).labels == 0)]


@pytest.mark.parametrize("options", [{}, {"early_stopping": 1}, {"schedule": "plateau"}])
def test_an_undefined_monitor_does_not_keep_the_first_epoch(options):
    train, last = toy(48), tiny_model()
    quiet(last, train, recipe=TINY.replace(**{**options, "early_stopping": None, "monitor": "val_loss"}), epochs=3)
    model = tiny_model()
    with pytest.warns(UserWarning, match="val has no image of pneumonia|val_auc is undefined"):
        history = quiet(model, train, one_class(), TINY, epochs=3, monitor="val_auc", **options)
    assert len(history.epochs) == 3 and history.best_epoch is None and history.stopped == "finished"
    assert torch.equal(weights(model), weights(last))
    assert history.to_dict()["epochs"][0]["val_auc"] is None and "val_auc –" in str(history)


@pytest.mark.parametrize("options", [{}, {"early_stopping": 1}, {"schedule": "plateau"}, {"ema_decay": 0.5}])
def test_a_loss_of_images_without_weight_is_undefined_and_not_the_best(options):
    """0 in every epoch kept the first one."""
    train, model = toy(48), tiny_model()
    with pytest.warns(UserWarning, match="val has no image of pneumonia|val_loss is undefined"):
        history = quiet(model, train, one_class(), TINY, epochs=3, class_weights=(0, 1), **options)
    assert history.frame["val_loss"].isna().all() and history.best_epoch is None and len(history.epochs) == 3


def test_a_recipe_with_numbers_of_numpy_can_be_resumed(tmp_path):
    numbers = {"lr": np.float32(1e-3), "schedule": "cosine", "schedule_options": {"min_lr": np.float64(1e-5)}}
    recipe = TINY.replace(epochs=np.int64(1), class_weights=np.array([1.0, 2.0]), **numbers)
    first = tiny_model()
    for model in (first, again := tiny_model()):
        history = quiet(model, toy(16), recipe=recipe, checkpoint=tmp_path / "run.pt")
    assert history.resumed_at == 1 and torch.equal(weights(first), weights(again))
    assert recipe == recipe.replace(class_weights=(1.0, 2.0))


def test_training_leaves_the_global_random_state_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    quiet(tiny_model(), toy(16), recipe=TINY, epochs=1)
    assert torch.equal(torch.rand(3), expected)


def test_class_weights_of_zero_for_all_that_is_there_are_refused():
    data = toy(16, classes=("a", "b", "c"))[np.flatnonzero(toy(16, classes=("a", "b", "c")).labels < 2)]
    with pytest.warns(UserWarning, match="no image of c"), pytest.raises(ValueError, match="nothing would be learned"):
        quiet(build(TINY, data.classes), data, recipe=TINY, class_weights=(0, 0, 1))


def test_a_batch_of_one_image_is_explained():
    model = build_model("resnet18", ("normal", "pneumonia"), size=32, seed=0)
    with pytest.raises(ValueError, match="single value per channel.*batch_size of at least 2"):
        quiet(model, toy(4, size=32), recipe=TINY.replace(model="resnet18"), batch_size=1)


def test_frozen_norms_are_asked_of_the_model_and_survive_saving(tmp_path):
    recipe = TINY.replace(model="resnet18", model_options={}, size=32, freeze_norms=True, epochs=1)
    with pytest.raises(ValueError, match="freeze_norms=True.*not frozen so"):
        quiet(build_model("resnet18", ("normal", "pneumonia"), size=32, seed=0), toy(8, size=32), recipe=recipe)
    model = build(recipe, ("normal", "pneumonia"))
    quiet(model, toy(8, size=32), recipe=recipe)
    again = cxr.load_model(cxr.save_model(model, tmp_path / "m.pt"))
    frozen = [sum(not p.requires_grad for p in net.parameters()) for net in (model, again)]
    assert frozen[0] == frozen[1] > 0 and again.config["freeze_norms"]


def test_a_recipe_equals_itself_after_json():
    options = {"filters": np.array([4, 8]), "dropout": np.float32(0.25)}
    changes = {"tta": ["flip"], "class_weights": [1, np.int64(2)], "augment": cxr.Augment(flip=0.5)}
    recipe = Recipe(model="CPFDD", model_options=options, **changes)
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert recipe.model_options == {"filters": (4, 8), "dropout": 0.25} and recipe.class_weights == (1.0, 2.0)
