"""Cheng et al. (2019) as a codec: picture to bytes and back.

The hyper decoder, which both sides must run alike, computes in integers; the transforms run in floating point, where
the last bit only changes the picture by rounding, never what is decoded from the bytes.
"""

import copy
import math
from typing import Any, NamedTuple

import numpy as np

from common import backend
from common.coding import container, entropy, quantisation, range_coder
from common.coding.container import ContainerError
from common.coding.integer_network import IntegerNetwork, layers_of, scale_indexes
from common.coding.range_coder import FrequencyTables, channel_indexes
from common.config import restored
from common.data.pictures import mean_of_channels, padded, to_uint8
from common.errors import RelicError
from common.training import checkpoints, shipped, weights
from papers.cheng_resnet import config, joint
from papers.cheng_resnet.config import Config
from papers.cheng_resnet.joint import ContextModel
from papers.cheng_resnet.model import Model

STRIDE = 64  # of the side information: pictures are padded to multiples of it


class Latents(NamedTuple):
    """What a picture is to a network, whatever step it is then coded with: computed once for several codings."""

    residuals: np.ndarray  # float32 (h, w, M): y without its mean
    z_hat: np.ndarray | None  # int32 (h/4, w/4, M), None without side information
    log_sigma: np.ndarray | None  # int64 (h, w, M) in units of the hyper decoder, None without side information
    height: int  # of the picture
    width: int
    channels: int


class Codec:
    """One trained network. Deterministic on one machine and stack; bytes decode on any machine and stack."""

    def __init__(self, stored: weights.Weights) -> None:
        """Build the network of a weights file; raises RelicError if names, shapes or tables do not fit."""
        self.model_id, self.digest = stored.model, stored.digest
        self.config = restored(Config, stored.config, stored.path)
        self.model = Model(self.config)
        checkpoints.set_model_arrays(self.model, stored.arrays, str(stored.path))
        self.prior_tables = FrequencyTables.from_arrays(stored.part("prior"), self.config.bottleneck)
        if self.config.has_hyperprior:
            self.gaussian_tables = FrequencyTables.from_arrays(stored.part("gaussian"), range_coder.NUM_SCALES)
            hyper_decoder = _integer_layers(self.model)
            self.hyper_decoder = IntegerNetwork.from_arrays(stored.part("hyper_decoder"), hyper_decoder)
        self.context = ContextModel.from_parts(stored.part, self.model) if self.config.has_context else None
        self.step = 0
        # x, float32 (1, H, W, 3) -> y and z, and y_hat -> x_hat: shared by copies with other steps, so compiled once.
        self._analyse = backend.compiled(_analysis(self.model))
        self._synthesise = backend.compiled(lambda y_hat: self.model.synthesis_transform(y_hat, training=False))

    def with_settings(self, step: float = 0) -> "Codec":
        """Return this network with another step of its quantiser, a multiple of 1/16; nothing is compiled again.

        Raises RelicError for steps that there are not, and for any of a network that has none.
        """
        other = copy.copy(self)
        other.step = quantisation.SETTING.check("step", step)
        if other.step and not self.config.has_steps:
            raise RelicError(f"{self.model_id} predicts latents from decoded ones of its own step: leave step out")
        return other

    def compress(self, image: np.ndarray) -> bytes:
        """Return the bytes of a uint8 picture, H x W x 3 or H x W, of any size from 1x1."""
        return self.compress_latents(self.latents(image))

    def latents(self, image: np.ndarray) -> Latents:
        """Return what `compress` codes of a picture, the same at every step."""
        y, z = (latent[0] for latent in self._analyse(_padded(image)))
        size = (image.shape[0], image.shape[1], 3 if image.ndim == 3 else 1)
        if not self.config.has_hyperprior:
            return Latents(y, None, None, *size)
        z_hat = np.rint(z).astype(np.int32)
        if self.context:
            residuals, log_sigma, _ = self.context.predicted(y, self.hyper_decoder(z_hat))
            return Latents(residuals, z_hat, log_sigma, *size)
        mu, log_sigma = self._mean_and_scale(z_hat)
        return Latents(y - mu, z_hat, log_sigma, *size)

    def compress_latents(self, latents: Latents) -> bytes:
        """Return the bytes of a picture whose latents are known, the same as `compress`."""
        symbols, indexes = self._symbols(latents)
        coders = [range_coder.encode, self.context.encode if self.context else range_coder.encode]
        parts = zip(coders[: len(symbols)], symbols, indexes, self._tables(self.step), strict=True)
        sections = [encode(s, i, tables) for encode, s, i, tables in parts]
        size = (latents.height, latents.width, latents.channels)
        return container.pack(container.Header(self.model_id, self.digest, *size, step=self.step), sections)

    def decompress(self, data: bytes) -> np.ndarray:
        """Return the uint8 picture of `compress`, whatever its step; raises ContainerError for anything else."""
        header, y_hat = self._decoded(data)
        x_hat = self._synthesise(y_hat[None])[0, : header.height, : header.width]
        image = to_uint8(x_hat)
        return image if header.channels == 3 else mean_of_channels(image)

    def latents_of(self, data: bytes) -> np.ndarray:
        """Return what a file's bytes decode to before any float network: y_hat, float32 (h, w, M), edges included."""
        return self._decoded(data)[1]

    def rate_estimate(self, image: np.ndarray) -> float:
        """Return bits per pixel of a uint8 picture by the model's float likelihoods of the rounded latents."""
        y, z = self._analyse(_padded(image))
        num_pixels = image.shape[0] * image.shape[1]
        return float(self._estimate(y, z)) / num_pixels

    def _tables(self, step: int) -> list[FrequencyTables]:
        """Return the tables of the sections: side information first, for it tells how to read the rest."""
        if self.config.has_hyperprior:
            return [self.prior_tables, self.gaussian_tables]  # of side information whole numbers are coded at any step
        return [quantisation.tables_at(self.prior_tables, step)]

    def _decoded(self, data: bytes) -> tuple[container.Header, np.ndarray]:
        """Return a file's header and y_hat; raises ContainerError for what is no file of this network."""
        header, sections = container.unpack(data)
        header.check_weights(self.model_id, self.digest, self.config.has_steps)
        quantisation.check_of_file(header.step)
        count = 2 if self.config.has_hyperprior else 1
        if len(sections) != count:
            raise ContainerError(f"a file of {self.model_id} has {count} sections, not {len(sections)}")
        height, width = (side + -side % STRIDE for side in (header.height, header.width))
        return header, self._latent(sections, height, width, header.step)

    def _symbols(self, latents: Latents) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Return the integers of every section and the index of each one's table."""
        symbols = quantisation.quantised(latents.residuals, self.step)
        if latents.z_hat is None or latents.log_sigma is None:
            return [symbols], [channel_indexes(symbols.shape)]
        indexes = scale_indexes(latents.log_sigma, self.step)
        return [latents.z_hat, symbols], [channel_indexes(latents.z_hat.shape), indexes]

    def _latent(self, sections: list[bytes], height: int, width: int, step: int) -> np.ndarray:
        """Return y_hat, float32 (height/16, width/16, M), of the sections."""
        shape = (height // 16, width // 16, self.config.bottleneck)
        if not self.config.has_hyperprior:
            symbols = range_coder.decode(sections[0], channel_indexes(shape), self._tables(step)[0])
            return quantisation.restored(symbols, step)
        # Before the hyper decoder takes memory for as many means and scales.
        range_coder.check_length(sections[1], math.prod(shape), self.gaussian_tables)
        z_shape = (height // STRIDE, width // STRIDE, self.config.bottleneck)
        z_hat = range_coder.decode(sections[0], channel_indexes(z_shape), self.prior_tables)
        if self.context:
            return joint.floats(self.context.decode(sections[1], self.hyper_decoder(z_hat), self.gaussian_tables))
        mu, log_sigma = self._mean_and_scale(z_hat)
        symbols = range_coder.decode(sections[1], scale_indexes(log_sigma, step), self.gaussian_tables)
        return quantisation.restored(symbols, step) + mu

    def _mean_and_scale(self, z_hat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mu, float32, and log sigma in the hyper decoder's units, both exact functions of the integers."""
        mu, log_sigma = np.split(self.hyper_decoder(z_hat), 2, axis=-1)
        return (mu / self.hyper_decoder.output_scale).astype(np.float32), log_sigma

    def _estimate(self, y: np.ndarray, z: np.ndarray) -> Any:
        """Return the bits of the quantised latents by their likelihoods."""
        if not self.config.has_hyperprior:
            if self.step == 0:
                return backend.to_numpy(entropy.rate(self.model.prior(np.rint(y)), 1.0))
            edges = quantisation.quantised(y, self.step)[..., None] + np.array([-0.5, 0.5])
            likelihood = np.diff(entropy.straight_cumulative(self.model.prior, edges * quantisation.delta(self.step)))
            return backend.to_numpy(entropy.rate(likelihood.astype(np.float32), 1.0))
        z_hat, y_hat = np.rint(z), y
        if self.context:
            y_hat = joint.floats(self.context.predicted(y[0], self.hyper_decoder(z_hat[0].astype(np.int32)))[2])[None]
        mu, raw = np.split(backend.to_numpy(self.model.mean_and_scale(y_hat, z_hat)), 2, axis=-1)
        log_delta = np.float32(math.log(quantisation.delta(self.step)))
        log_sigma = entropy.bounded_log_scale(backend.to_numpy(entropy.bounded_log_scale(raw)) - log_delta)
        symbols = quantisation.quantised(y - mu, self.step).astype(np.float32)
        likelihood = entropy.gaussian_likelihood(symbols, np.zeros_like(symbols), log_sigma)
        return backend.to_numpy(entropy.rate(likelihood, 1.0) + entropy.rate(self.model.prior(z_hat), 1.0))


def load(preset: str, scale: str | None = None, seed: int | None = None, **coding: float) -> Codec:
    """Return the codec of a preset with its shipped weights, as `common.training.shipped.of_preset` chooses them.

    coding: as `Codec.with_settings`.
    """
    codec = Codec(shipped.of_preset(config, preset, scale, seed))
    return codec.with_settings(**coding) if coding else codec


def _analysis(model: Model) -> Any:
    """Return x -> y and z; a network without side information repeats y."""

    def analyse(x: Any) -> tuple[Any, Any]:
        y = model.analysis_transform(x, training=False)
        return y, model.hyper_analysis_transform(y, training=False) if model.hyper_analysis_transform else y

    return analyse


def integers(model: Model, calibration: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Return all integers that coding with a trained model relies on, for its weights file.

    calibration: typical x, float32 (1, H, W, 3) in [0, 1], that set the hyper decoder's binary points. The model's
    weights must already be rounded to what the file will hold.
    """
    parts: dict[str, Any] = {"prior": entropy.prior_tables(model.prior)}
    if model.config.has_hyperprior:
        ys = [model.analysis_transform(x) for x in calibration]
        z_hats = [np.rint(backend.to_numpy(model.hyper_analysis_transform(y)))[0] for y in ys]
        parts["hyper_decoder"] = IntegerNetwork.quantise(_integer_layers(model), z_hats)
        if model.config.has_context:
            latents = [(backend.to_numpy(y)[0], z.astype(np.int32)) for y, z in zip(ys, z_hats, strict=True)]
            parts.update(ContextModel.quantise(model, parts["hyper_decoder"], latents).parts())
        parts["gaussian"] = range_coder.gaussian_tables(range_coder.SCALE_LEVELS)
    return {f"{part}/{name}": array for part, owner in parts.items() for name, array in owner.to_arrays().items()}


def _integer_layers(model: Model) -> list:
    """Return the layers of the hyper decoder, without the cast to float32 that ends it."""
    return layers_of(model.hyper_synthesis_transform.layers[:-1])


def _padded(image: np.ndarray) -> np.ndarray:
    """Return a uint8 picture as float32 (1, H', W', 3) in [0, 1], edges repeated to multiples of 64."""
    return padded(image, STRIDE)[None].astype(np.float32) / 255.0
