"""One number, quickly, to choose between checkpoints while a generator trains."""

from healthgan.errors import InputError
from healthgan.fidelity.distances import Pair, kid
from healthgan.fidelity.features import FeatureSpace, Images


def checkpoint_score(space: FeatureSpace, real_heldout: Images, synthetic: Images) -> float:
    """KID of synthetic images to real ones that the generator does not train on; lower is better.

    Meant for the space ``random-convolutions``: no network has to be trained for it first, and it is made from
    training images only. Unbiased, so that different numbers of images compare; around zero, and often
    below, for a perfect generator.

    Args:
        space: made from training images.
        real_heldout: (N, H, W, C) uint8 of a patient fold that is neither trained on nor tested on, N ≥ 2.
        synthetic: (M, H, W, C) uint8, in the same proportion of classes, M ≥ 2.

    Raises:
        InputError: fewer than two images on one side.
    """
    if min(len(real_heldout), len(synthetic)) < 2:
        raise InputError(
            f"{len(real_heldout)} held-out real and {len(synthetic)} synthetic images: the kernel distance "
            "needs two or more of each."
        )
    return kid(Pair(space.features(real_heldout), space.features(synthetic)))
