"""The columns of every frame and what they say; units are in the words."""

from collections.abc import Mapping
from types import MappingProxyType

Columns = Mapping[str, str]
"""Column → what it says."""

_TESTED = (
    "images that it was measured on: own (the source's own), external (--test), onward (the second question)"
)
_CELL = "training and test part: main, a fold, a draw of the learning curve, onward"
_GENERATOR = "number of the generator whose images were learnt from; missing where there is none"

SOUND: Mapping[str, Columns] = MappingProxyType(
    {
        "arms": {
            "tested": _TESTED,
            "arm": "name of the recipe",
            "kind": "reference, synthetic or control",
            "measure": "auroc, or another measure of the report",
            "value": "mean over the arm's classifiers",
            "low": "of its 95 % interval, over patients and trainings",
            "high": "of it",
            "classifiers": "trained",
            "generators": "different ones that they learnt from; missing where there are none",
            "images": "tested",
            "rare_images": "of them",
            "patients": "whose they are",
        },
        "differences": {
            "tested": _TESTED,
            "arm": "name of the recipe",
            "kind": "reference, synthetic or control",
            "reference": "the arm that it is held against",
            "difference": "AUROC of the arm minus AUROC of the reference",
            "low": "of the 95 % interval that holds for all arms of its kind against this reference together",
            "high": "of it",
            "alone_low": "of the 95 % interval for this arm alone",
            "alone_high": "of it",
            "se": "standard error over patients, generators and classifier seeds",
            "df": "degrees of freedom of it; missing where there are very many",
            "verdict": "helps, hurts, no practical difference, can't tell yet",
            "detectable": "true difference that is found with 80 % chance",
            "detectable_at_best": "the same with any number of trainings",
        },
        "predictions": {
            "cell": _CELL,
            "arm": "name of the recipe",
            "generator": _GENERATOR,
            "seed": "number of the classifier",
            "split": "val, test or external",
            "image": "position in the source's split",
            "patient": "code, equal for images of one patient; no identifier",
            "label": "1 rare class, 0 reference class",
            "logit": "log-odds of the rare class, were both classes equally frequent",
        },
        "curve": {
            "rare_images": "trained on",
            "arm": "name of the recipe",
            "draw": "number of the draw; of the whole set, of a generator, or classifier where there are not several",
            "auroc": "0.5 is chance, 1 is best",
        },
        "images": {
            "cell": _CELL,
            "generator": "number of the generator that made it",
            "class": "rare or reference",
            "image": "position among its candidates",
            "verdict": "accepted, or why not",
            "likeness": "structural similarity to the nearest real training image, at most 1; missing if constant",
            "nearest": "that image's position in the source's split; missing where there is none",
            "faithful": "probability of the rare class by classifiers of real images; missing if not judged",
        },
    }
)
"""Frame → column → what it says, of sound studies."""

PUBLISHED: Mapping[str, Columns] = MappingProxyType(
    {
        "arms": {
            "arm": "real, generated or control",
            "floor": "likeness that generated images had to reach",
            "stage": "training, validation or test",
            "accuracy": "% right",
            "low": "of the 95 % Wilson interval, test only",
            "high": "of it",
            "images": "tested, test only",
        },
        "differences": {
            "floor": "likeness that generated images had to reach",
            "difference": "test accuracy with generated images minus without, in points",
            "low": "of the 95 % interval over patients",
            "high": "of it",
        },
        "predictions": {
            "arm": "real, generated or control",
            "floor": "likeness that generated images had to reach",
            "image": "position in the source's test split",
            "patient": "code, equal for images of one patient; no identifier",
            "label": "1 rare class, 0 reference class",
            "score": "from 0 to 1; above 0.5 is judged rare",
        },
        "curve": SOUND["curve"],
        "images": {
            "round": "number of the generator that made it; 0 where the images were brought",
            "epoch": "after which it was made",
            "image": "position among the candidates",
            "likeness": "structural similarity to the nearest real training image, at most 1; missing if constant",
            "nearest": "that image's position in the source's training split; missing where there is none",
        },
    }
)
"""The same of studies after the published protocol."""
