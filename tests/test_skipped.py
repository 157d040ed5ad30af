"""Steps whose loss or gradients are not finite: nothing is learned from them, and nothing is lost by them."""

import numpy as np
import pytest

from common import backend
from common.backend import keras, ops
from common.training import loop
from common.training.feed import Feed

pytestmark = pytest.mark.stack


class Normalised(backend.TrainedModel):
    """A dense layer after batch normalisation; its loss can be infinite, or its gradients, by what is fed."""

    def __init__(self):
        super().__init__(name="normalised")
        x = keras.Input((3,), name="x")
        norm = keras.layers.BatchNormalization(momentum=0.5, name="norm")
        self.body = keras.Model(x, keras.layers.Dense(1, name="dense")(norm(x)), name="body")
        self.trackers = backend.loss_trackers("distortion")
        self.built = True

    @property
    def transforms(self):
        """The part that holds weights."""
        return {"body": self.body}

    def call(self, inputs, training=True):
        return {"y": self.body(inputs["x"], training=training), "loss": inputs["loss"][0], "root": inputs["root"][0]}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = ops.mean(ops.square(y_pred["y"]))
        self.trackers["distortion"].update_state(loss)
        if "loss" in self.trackers:
            self.trackers["loss"].update_state(loss + y_pred["loss"])
        return loss + y_pred["loss"] + ops.sqrt(y_pred["root"] * loss)  # sqrt(0) is 0, its derivative infinite


def batch(step, loss=0.0, root=1.0, x=1.0):
    rng = np.random.RandomState(step)
    ones = np.ones(4, np.float32)
    images = np.float32(x) * rng.normal(size=(4, 3)).astype(np.float32)
    return {"x": images, "loss": np.float32(loss) * ones, "root": np.float32(root) * ones}


def state(model):
    """Return the model's variables and the optimizer's, the step count first."""
    variables = [*backend.optimizer_variables(model.optimizer), *backend.variables(model.body).values()]
    return [backend.to_numpy(variable).copy() for variable in variables]


def fitted(model, of_step, first, last):
    """Train some steps as one chunk; return its row."""
    with Feed(of_step, last) as feed:
        return loop.fit_chunk(model, feed.take(first, last), first, [])


def compiled():
    backend.set_seed(0)
    model = Normalised()
    backend.compile_model(model, 0.05, 1.0)
    return model


CAUSES = {
    "an input": {"x": np.nan},
    "a loss": {"loss": np.inf},
    "an infinite input": {"x": np.inf},
    "gradients alone": {"root": 0.0},
}


@pytest.fixture(scope="module")
def model():
    """Return a model after three steps; it is compiled once, as jax takes seconds for that."""
    model = compiled()
    fitted(model, batch, 0, 3)
    return model


@pytest.mark.parametrize("cause", CAUSES)
def test_a_skipped_step_leaves_everything_as_it_was_but_the_number_of_steps(cause, model):
    before = state(model)
    first = int(before[0])
    row = fitted(model, lambda step: batch(step, **CAUSES[cause]), first, first + 2)
    assert row["step"] == first + 2 and (row["skipped"], row["skipped_in_a_row"]) == (2, 2)
    assert np.isnan(row["loss"]) and np.isnan(row["distortion"])
    for old, new in zip(before[1:], state(model)[1:], strict=True):
        np.testing.assert_array_equal(new, old)
    fitted(model, batch, first + 2, first + 3)
    moved = [not np.array_equal(new, old) for old, new in zip(before, state(model), strict=True)]
    assert sum(moved) > len(moved) / 2


def test_means_are_over_the_steps_that_were_not_skipped_and_rows_in_a_row_go_on_into_the_next_chunk(model):
    first = int(state(model)[0])

    def partly(step):
        return batch(0, loss=np.nan if step - first in (1, 4, 5, 6, 7, 9) else 2.0)

    rows = [fitted(model, partly, first + k, first + k + 3) for k in (0, 3, 6, 9)]
    assert [(row["skipped"], row["skipped_in_a_row"]) for row in rows] == [(1, 1), (2, 2), (2, 4), (1, 1)]
    assert all(2.0 < row["loss"] < 10 and row["distortion"] < row["loss"] for row in rows)


def test_without_a_skipped_step_training_is_kerass_own_bit_for_bit(monkeypatch):
    ours = compiled()
    fitted(ours, batch, 0, 6)
    monkeypatch.setattr(backend.TrainedModel, "train_step", keras.Model.train_step)
    monkeypatch.setattr(backend, "_Adam", keras.optimizers.Adam)  # which jax has anyway
    theirs = compiled()
    inputs = {name: np.stack([batch(step)[name] for step in range(6)]) for name in batch(0)}
    theirs.fit(**backend.steps_of(inputs), shuffle=False, verbose=0)
    for own, other in zip(state(ours), state(theirs), strict=True):
        assert own.tobytes() == other.tobytes()
