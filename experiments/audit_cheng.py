"""Numbers of the text of Cheng et al. (2019) that no table has, beside those of the settings and of the built models.

    python -m experiments.audit_cheng    # seconds: nothing is trained

Expect at scale exact: all are exact but one: the text gives the rate control's second network 8, Table 6 gives it 10.
"""

from common.tables.command import Options, main
from common.tables.document import Reproduction

TABLE = "cheng_resnet/text"
# What has the number here.
ROWS = {
    "GDN and inverse GDN of HyperPrior-9": "its layers",
    "Wide bottleneck, before": "layers of resnet4_subpixel",
    "Wide bottleneck, after": "layers of resnet4_subpixel_bottleneck192",
    "Receptive field of three 3x3 kernels": "a chain of three",
    "Receptive field of four 3x3 kernels": "a chain of four",
    "Masked convolution of Joint": "layer context",
    "Kernels that are large enough in the auxiliary autoencoder": "aux_kernel_size",
    "Layers that are kept from Joint": "layer1",
    "GDN of a residual unit that changes the size": "layers of E1",
    "Channels of a sub-pixel convolution by those of its output": "layer D1_up",
    "Patches": "patch_size",
    "A batch": "batch_size",
    "Training": "steps and learning_rate",
    "End of the training": "learning_rate_drops",
    "Trained for MSE, Tables 1 and 2": "lmbda of hyperprior_9",
    "Trained for MS-SSIM, Tables 3 and 4": "lmbda of resnet4",
    "First network of the rate control": "lmbda of resnet4_subpixel_bottleneck192",
    "Second network of the rate control": "lmbda of resnet4_subpixel_bottleneck192_lambda10",
    "Codings of a picture in the rate control": "how many networks",
    "What names the network of a picture": "bits of a choice among them",
    "Threshold of the low-rate track": "nothing",
}
MINUTES = 0.6


def reproduce(options: Options) -> Reproduction:
    """Count and read at the paper's width and schedule, whatever the scale."""
    from papers.cheng_resnet.reproduction import text_numbers

    return Reproduction(values=text_numbers.values(), missing={text_numbers.THRESHOLD: text_numbers.A_RULE})


if __name__ == "__main__":
    main(TABLE, ROWS, reproduce, trained=False)
