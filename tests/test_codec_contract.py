"""Every shipped preset keeps the contract of tests/codec_contract.py, and so do networks and settings of other kinds.

Networks are computed layer by layer, which gives the same pictures but for rounding and takes less time; some of each
paper are compiled too, as users run them. Of a preset the smallest weights that are shipped take part.
"""

import functools
from dataclasses import dataclass, field

import numpy as np
import pytest
import shipped
from codec_contract import SIZES, CodecContract
from narrow import as_it_is, narrow_model, picture, save

from common import backend
from common.training import weights

stack = pytest.mark.stack
slow = pytest.mark.slow

WITHOUT_SIDE_INFORMATION = "cheng_resnet/baseline_3"  # no such preset is shipped: narrow networks take part
# Cases of every kind of file, which code pictures of every size, on every stack. The first ones are not slow.
QUICK = (
    "cheng_resnet/resnet3",
    "deshmukh_irm/grey",
    "deshmukh_irm/rgb",
    "donis_convlstm/as_run",
    "donis_convlstm/as_written",
    "paka_autoencoder/autoencoder",
    "paka_autoencoder/bottleneck_lambda0_040",
    "zhao_mixedres/low_qf10",
)
KINDS = (
    *QUICK,
    WITHOUT_SIDE_INFORMATION,
    "deshmukh_irm/srgan",
    "donis_convlstm/iterative iterations 2",
    "zhao_mixedres/full_qf20",
    "zhao_mixedres/half_jpeg2000",
    "zhao_mixedres/half_webp",
)
FEW_SIZES = [
    (1, 1, 3),
    (33, 19, 3),
    (12, 10, 1),
]  # for what differs from one of these by weights, layers or settings alone
COMPILED = (
    WITHOUT_SIDE_INFORMATION,
    "deshmukh_irm/grey",
    "donis_convlstm/iterative",
    "paka_autoencoder/autoencoder",
    "zhao_mixedres/low_qf10",
)
TWO = {"iterations": 2}  # eight take as long as all else
CODING = {"donis_convlstm/iterative": TWO}


@dataclass(frozen=True)
class Case:
    """A preset's weights at some coding settings."""

    model: str
    coding: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        return " ".join([self.model, *(f"{name} {value}" for name, value in self.coding.items())])


CASES = [
    *(Case(model, CODING.get(model, {})) for model in shipped.different_networks()),
    Case(WITHOUT_SIDE_INFORMATION),
    Case("deshmukh_irm/grey", {"coder": 1}),
]


def marked(case):
    """Return a case as a parameter with its marks."""
    marks = [stack] * (str(case) in KINDS or bool(case.coding)) + [slow] * (str(case) not in QUICK)
    return pytest.param(case, marks=marks, id=str(case))


@pytest.fixture(scope="module")
def stored_of(tmp_path_factory):
    """Return a function from a preset's id to its weights."""

    @functools.cache
    def made(model):
        if model == WITHOUT_SIDE_INFORMATION:
            path, preset = tmp_path_factory.mktemp("narrow") / "weights.safetensors", model.split("/")[1]
            return weights.load(save(path, preset, narrow_model(preset)))
        return weights.load(shipped.shipped(model)[shipped.smallest(model)])

    return made


@pytest.fixture(scope="class", params=map(marked, CASES))
def case(request):
    return request.param


@pytest.fixture(scope="class")
def stored(case, stored_of):
    return stored_of(case.model)


@pytest.fixture(scope="class")
def codec(case, stored):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend, "compiled", as_it_is)
        yield shipped.codec_of(stored).with_settings(**case.coding)


@pytest.fixture(scope="class")
def sizes(case):
    return SIZES if str(case) in KINDS else FEW_SIZES


class TestCodecs(CodecContract):
    pass


def test_the_kinds_are_among_the_cases():
    assert set(KINDS) <= set(map(str, CASES))


@slow
@stack
@pytest.mark.parametrize("model", COMPILED)
def test_two_compiled_codecs_of_the_same_weights_give_the_same_bytes_and_pictures(model, stored_of):
    first, second = (shipped.codec_of(stored_of(model)) for _ in range(2))
    image = picture(33, 19)
    file = first.compress(image)
    assert file == second.compress(image) == first.compress(image.copy())
    decoded = first.decompress(file)
    assert decoded.shape == image.shape
    for again in (first.decompress(file), second.decompress(file)):
        np.testing.assert_array_equal(decoded, again)
