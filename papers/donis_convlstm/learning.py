"""Training of the two networks as Keras models: one iteration with the paper's losses, and the unrolled iterations."""

from typing import Any

import numpy as np

from common.backend import TrainedModel, loss_trackers, ops, part_of_batch, uniform_noise
from papers.donis_convlstm import losses, model
from papers.donis_convlstm.config import Config, Iterative
from papers.donis_convlstm.model import binarized


class OneIteration(TrainedModel):
    """Encoder, binarizer and decoder of 32x32 pixels; `fit` minimises the config's loss.

    Call with `{"x": uint8 (B, 32, 32, 3), "step": int32 (B,)}`, B the batch size; the binarizer's noise is a function
    of `seed` and the step. `recurrent` builds Keras' ConvLSTM2D in place of their first steps.
    """

    def __init__(self, config: Config, seed: int = 0, recurrent: bool = False) -> None:
        super().__init__(name="donis_convlstm")
        self.config, self.seed = config, seed
        self.encoder, self.decoder = model.encoder(config, recurrent), model.decoder(config, recurrent)
        self.trackers = loss_trackers("psnr", "psnr_squared", "mae")
        self.built = True

    @property
    def transforms(self) -> dict[str, Any]:
        """The parts that hold weights, by name, in a stable order."""
        return {"encoder": self.encoder, "decoder": self.decoder}

    def call(self, inputs, training=True):
        """Return `{"x", "x_hat"}`, float32 (B, 32, 32, 3)."""
        config = self.config
        shape = (part_of_batch(config.batch_size), config.patch_size, config.patch_size, 3)
        x = ops.reshape(ops.cast(inputs["x"], "float32") / 255.0, shape)
        code = self.encoder(x)
        if config.binarizer == "stochastic":
            noise = 2.0 * uniform_noise(ops.shape(code), self.seed, inputs["step"][0])
            code = binarized(code, noise)
        return {"x": x, "x_hat": self.decoder(code)}

    def reconstructed(self, x: Any) -> Any:
        """Return x_hat of x, float32 (B, 32, 32, 3) in [0, 1], as a decoder would: without noise, not clipped."""
        code = self.encoder(x)
        return self.decoder(code if self.config.binarizer == "none" else binarized(code))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the loss and update the running means."""
        x, x_hat = y_pred["x"], y_pred["x_hat"]
        levels = losses.psnr(x, x_hat)
        values = {
            "loss": loss_of(self.config, x, x_hat),
            "psnr": ops.mean(levels),
            "psnr_squared": ops.mean(ops.square(levels)),
            "mae": losses.mae(x, x_hat),
        }
        for name, tracker in self.trackers.items():
            tracker.update_state(values[name])
        return values["loss"]


def loss_of(config: Config, x: Any, x_hat: Any) -> Any:
    """Return the loss that a config names, a scalar, of pictures float (B, 32, 32, 3)."""
    if config.loss == "ssim_squared":
        return losses.ssim_squared(x, x_hat)
    return losses.ms_ssim(x, x_hat, config.ms_ssim_floor) if config.loss == "ms_ssim" else losses.mae(x, x_hat)


class Unrolled(TrainedModel):
    """The iterative codec with a fixed number of iterations; `fit` minimises their mean |residual|.

    Each residual counts with the gain that it has in the next iteration, as later ones are smaller. Call as
    `OneIteration`, with patches of the config's size. Source: Toderici et al. 2017, Eqs. 1 to 4.
    """

    def __init__(self, config: Iterative, seed: int = 0, iterations: int = 1, networks: tuple | None = None) -> None:
        super().__init__(name="donis_iterative")
        self.config, self.seed, self.iterations = config, seed, iterations
        self.encoder, self.decoder = networks or (model.recurrent_encoder(config), model.recurrent_decoder(config))
        self.trackers = loss_trackers("first", "last")
        self.built = True

    @property
    def transforms(self) -> dict[str, Any]:
        """The parts that hold weights, by name, in a stable order."""
        return {"encoder": self.encoder, "decoder": self.decoder}

    def with_iterations(self, iterations: int) -> "Unrolled":
        """Return a model with the same weights and another number of iterations."""
        return Unrolled(self.config, self.seed, iterations, (self.encoder, self.decoder))

    def call(self, inputs, training=True):
        """Return `{"errors"}`: mean |residual| after each iteration, float32 (iterations,)."""
        config, batch, size = self.config, part_of_batch(self.config.batch_size), self.config.patch_size
        x = ops.reshape(ops.cast(inputs["x"], "float32") / 255.0, (batch, size, size, 3))
        into, out_of = (
            [ops.zeros(shape) for shape in shapes(config, batch, size, size)]
            for shapes in (model.encoder_state, model.decoder_state)
        )
        x_hat, errors = model.first_estimate(x), []
        for i in range(self.iterations):
            gain = config.gain(i)
            code, *into = self.encoder([gain * (x - x_hat), *into])
            output, *out_of = self.decoder([self._bits(code, i, inputs["step"][0]), *out_of])
            x_hat = model.next_estimate(config, x_hat, output, gain)
            errors.append(ops.mean(ops.abs(x - x_hat)))
        return {"errors": ops.stack(errors)}

    def _bits(self, code, iteration, step):
        if self.config.binarizer != "stochastic":
            return binarized(code)
        noise = uniform_noise(ops.shape(code), self.seed * model.MAX_UNROLLED + iteration, step)
        return binarized(code, 2.0 * noise)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the mean over iterations and update the running means: of the first and the last one too."""
        errors = y_pred["errors"]
        gains = [self.config.gain(i + 1) for i in range(self.iterations)]
        loss = ops.mean(errors * ops.convert_to_tensor(np.array(gains, np.float32)))
        values = {"loss": loss, "first": errors[0], "last": errors[-1]}
        for name, tracker in self.trackers.items():
            tracker.update_state(values[name])
        return values["loss"]
