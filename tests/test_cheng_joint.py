"""Joint: its context sees only what is decoded already, and its files hold the latents that the encoder saw."""

import numpy as np
import pytest
from codec_contract import CodecContract
from narrow import as_it_is, narrow, narrow_model, needs_bfloat16, picture, save

from common import backend
from common.coding import container
from common.coding.integer_network import scale_indexes
from common.coding.range_coder import PartsDecoder
from common.errors import RelicError
from common.training import weights
from papers.cheng_resnet import complexity, joint, train
from papers.cheng_resnet.codec import Codec, _padded
from papers.cheng_resnet.context import MaskedConv2D, mask
from papers.cheng_resnet.model import Model

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "joint_5.safetensors"
    return weights.load(save(path, "joint_5", narrow_model("joint_5")))


@pytest.fixture(scope="module")
def codec(stored):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend, "compiled", as_it_is)
        yield Codec(stored)


@pytest.fixture(scope="module")
def sizes():
    return [(1, 1, 3), (33, 70, 1), (130, 67, 3), (12, 10, 3)]


class TestCodec(CodecContract):
    pass


def test_an_output_of_the_context_hangs_on_no_position_from_its_own_on():
    layer = MaskedConv2D(4, name="context")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 6, 7, 3)).astype(np.float32)
    layer(x)
    layer.set_weights([rng.normal(size=(5, 5, 3, 4)), rng.normal(size=4)])  # masked taps among them
    before = backend.to_numpy(layer(x)).reshape(42, 4)
    for place in range(42):
        changed = x.copy()
        changed.reshape(42, 3)[place:] = rng.normal(size=(42 - place, 3))
        after = backend.to_numpy(layer(changed)).reshape(42, 4)
        np.testing.assert_array_equal(after[: place + 1], before[: place + 1])
    changed = x.copy()
    changed[0, 2, 3] += 1
    assert np.count_nonzero((backend.to_numpy(layer(changed)).reshape(42, 4) != before).all(axis=-1)) == 12


@pytest.mark.parametrize("precision", ["float32", pytest.param("bfloat16", marks=needs_bfloat16)])
def test_training_leaves_the_masked_taps_at_zero_and_moves_the_others(precision):
    model = train.build(narrow("joint_5"), 0, precision)
    model.run_eagerly = backend.BACKEND == "tensorflow"
    kernel = model.entropy_parameters.get_layer("context").kernel
    before = backend.to_numpy(kernel)
    for step in range(2):
        inputs = {"x": picture(64, 64)[None], "step": np.array([step], np.int32)}
        history = model.fit(inputs, batch_size=1, verbose=0).history
        assert all(np.isfinite(values).all() for values in history.values())
    after = backend.to_numpy(kernel)
    assert not after[~mask()].any() and np.mean(after[mask()] != before[mask()]) > 0.95


def test_parameters_and_multiplications_are_those_of_the_formula():
    wide = narrow("joint_5")
    n = wide.num_filters
    model, other = Model(wide), Model(narrow("hyperprior_5"))
    count = [sum(int(np.prod(w.shape)) for part in m.transforms.values() for w in part.weights) for m in (model, other)]
    assert count[0] - count[1] == 25 * n * 2 * n + 2 * n + 2 * n * 5 * n  # the masked kernel, and layer1's inputs
    assert complexity.flops_executed(complexity.layers(wide)) == complexity.macs(wide)
    assert complexity.macs(wide) - complexity.macs(narrow("hyperprior_5")) == 256 * (count[0] - count[1])


def test_fronts_hold_every_position_once_and_none_that_another_one_sees():
    for height, width in ((1, 1), (1, 5), (5, 1), (4, 4), (3, 9), (7, 2)):
        done = np.zeros((height + 2, width + 4), int)
        done[:2] = done[:, :2] = done[:, -2:] = 1
        steps = list(joint.fronts(height, width))
        assert len(steps) <= width + 3 * (height - 1)
        for rows, columns in steps:
            for row, column in zip(rows, columns, strict=True):
                assert done[row : row + 3, column : column + 5][mask()[:3]].all()
            assert not done[rows + 2, columns + 2].any()
            done[rows + 2, columns + 2] = 1
        assert done[2:].all()


def latents_of(codec, image):
    y, z = (latent[0] for latent in codec._analyse(_padded(image)))
    return y, codec.hyper_decoder(np.rint(z).astype(np.int32))


def test_the_decoder_finds_the_encoders_latents_in_fronts_and_in_raster_order(codec):
    y, hyper = latents_of(codec, picture(100, 130))
    residuals, log_sigma, y_hat = codec.context.predicted(y, hyper)
    for ours, others in zip(
        (residuals, log_sigma, y_hat), codec.context.in_order(joint.raster).predicted(y, hyper), strict=True
    ):
        np.testing.assert_array_equal(ours, others)
    assert np.abs(y - joint.floats(y_hat)).max() <= 0.5 + 1e-3 and np.unique(np.rint(residuals)).size > 4
    symbols, indexes = np.rint(residuals).astype(np.int32), scale_indexes(log_sigma)
    for order in (joint.fronts, joint.raster):
        context = codec.context.in_order(order)
        data = context.encode(symbols, indexes, codec.gaussian_tables)
        np.testing.assert_array_equal(context.decode(data, hyper, codec.gaussian_tables), y_hat)
    file = container.unpack(codec.compress(picture(100, 130)))[1]
    np.testing.assert_array_equal(codec._latent(file, 128, 192, 0), joint.floats(y_hat))


def test_the_integers_are_the_keras_network_but_for_rounding(codec):
    image = picture(128, 192)
    y, hyper = latents_of(codec, image)
    residuals, log_sigma, y_hat = codec.context.predicted(y, hyper)
    found = codec.model.entropy_parameters([joint.floats(y_hat)[None], joint.floats(hyper)[None]])
    mu, raw = np.split(backend.to_numpy(found)[0], 2, axis=-1)
    assert mu.std() > 0.1 and np.abs(y - residuals - mu).max() < 0.05 * mu.std()
    assert np.abs(joint.floats(log_sigma) - raw).max() < 0.05 * raw.std()


def test_the_counted_rate_is_near_the_estimate(tmp_path):
    """Of a network whose scales, about 1, are those of its latents; what is far beyond them costs the coder less."""
    model = narrow_model("joint_5")
    spread = backend.to_numpy(model.analysis_transform(picture(192, 256)[None] / np.float32(255))).std()
    for part, name, factor in (
        (model.analysis_transform, "conv4/kernel", 1 / spread),
        (model.entropy_parameters, "layer3/kernel", 0.02),
    ):
        kernel = backend.variables(part)[name]
        backend.assign(kernel, (factor * backend.to_numpy(kernel)).astype(np.float16))
    codec, image = Codec(weights.load(save(tmp_path / "joint_5.safetensors", "joint_5", model))), picture(192, 256)
    counted = 8 * container.payload_size(codec.compress(image)) / (192 * 256)
    assert counted == pytest.approx(codec.rate_estimate(image), rel=0.02)


def test_other_steps_are_refused(codec):
    assert codec.with_settings().step == 0
    with pytest.raises(RelicError, match="predicts latents from decoded ones of its own step: leave step out"):
        codec.with_settings(step=1)


def test_parts_that_are_cut_are_refused(codec):
    with pytest.raises(RelicError, match="damaged"):
        PartsDecoder(b"", 10**9, codec.gaussian_tables)
