"""The three sub-problems of Zhao et al., Section 2.3: each trains one network while the others stay as they are."""

from typing import Any

from common.backend import TrainedModel, loss_trackers, ops, part_of_batch
from papers.zhao_mixedres import losses, model
from papers.zhao_mixedres.config import Config

PPNN, VCNN, FDNN = "ppnn", "vcnn", "fdnn"


class Networks:
    """The networks of one codec: `transforms` are those in use, `all` has VCNN too where a framework learns one."""

    def __init__(self, config: Config) -> None:
        self.fdnn, self.ppnn = model.fdnn(config), model.ppnn(config)
        self.transforms = {FDNN: self.fdnn, PPNN: self.ppnn}
        self.all = {**self.transforms, VCNN: model.vcnn(config)} if config.through == VCNN else self.transforms


class SubProblem(TrainedModel):
    """A Keras model whose only trainable weights are those of the network named `trained`.

    Call with `{"source": (B, h, w), "target": (B, P, P)}`, uint8, or float in [0, 1] where a network's output is the
    target: of PPNN z and x, of VCNN y and PPNN's output, of FDNN x twice. `fit` minimises L (Eqs. 1 to 3), and for
    FDNN also L_SSIM (Eqs. 4 and 5).
    """

    def __init__(self, config: Config, networks: Networks, trained: str) -> None:
        super().__init__(name=f"{trained}_learning")
        self.config, self.trained = config, trained
        self.transforms = networks.all
        for name, network in self.transforms.items():
            network.trainable = name == trained
            setattr(self, name, network)
        self.trackers = loss_trackers("content", "gradient", "dissimilarity")
        self.built = True

    def call(self, inputs, training=True):
        """Return `{"target", "output"}`, of FDNN also its `y`, all float32 (B, H, W, 1) in [0, 1]."""
        size = self.config.patch_size
        target = self._values(inputs["target"], size)
        if self.trained != FDNN:
            source = self._values(inputs["source"], size // self.config.stride)
            return {"target": target, "output": self.transforms[self.trained](source)}
        y = clipped(self.transforms[FDNN](target))
        return {"target": target, "y": y, "output": self.transforms[self.config.through](y)}

    def _values(self, picture, size):
        """Return pictures as float32 (B, size, size, 1) in [0, 1]; known sizes make the graph static."""
        scale = 1.0 if "float" in str(picture.dtype) else 1.0 / 255.0
        shape = (part_of_batch(self.config.batch_size), size, size, 1)
        return ops.reshape(ops.cast(picture, "float32") * scale, shape)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the loss of the sub-problem."""
        target, output, config = y_pred["target"], y_pred["output"], self.config
        values = {
            "content": losses.content(target, output, config.norm),
            "gradient": losses.gradient(target, output, config.norm),
            "dissimilarity": ops.zeros(()),
        }
        loss = values["content"] + config.gradient_weight * values["gradient"]
        if self.trained == FDNN and config.ssim_weight:
            like = losses.doubled(y_pred["y"]) if config.stride == 2 else y_pred["y"]
            values["dissimilarity"] = losses.dissimilarity(target, like)
            loss = loss + config.ssim_weight * values["dissimilarity"]
        values["loss"] = loss
        for name, tracker in self.trackers.items():
            tracker.update_state(values[name])
        return loss


def clipped(y: Any) -> Any:
    """Return y within [0, 1], as the standard codec takes it, with the gradient of y itself."""
    return y + ops.stop_gradient(ops.clip(y, 0.0, 1.0) - y)
