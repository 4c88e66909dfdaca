"""Class-balanced steps, and what the last layer works on."""

import numpy as np
import pytest
import torch

from healthgan.classifiers.fit import Recipe, embed, fit_balanced, new_classifier, predict

CPU = torch.device("cpu")
RECIPE = Recipe(scale_pixels=True, learning_rate=3e-3, batch=8)


def flat(count, level, seed=0):
    """Noise around a grey level."""
    rng = np.random.default_rng(seed)
    return (level + rng.integers(-30, 31, (count, 16, 16, 1))).astype(np.uint8)


def trained(steps, seed=0, pools=None):
    classifier = new_classifier((16, 16), 1, RECIPE, seed, CPU)
    fit_balanced(classifier, pools or (flat(90, 80), flat(5, 160)), steps)
    return classifier


def test_both_labels_fill_half_of_every_batch():
    """Levels tell the pools apart: 90 images of the one, 5 of the other, and yet 4 of each a step."""
    classifier = new_classifier((16, 16), 1, RECIPE, 0, CPU)
    seen = []
    classifier.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].mean(dim=(1, 2, 3))))
    fit_balanced(classifier, (flat(90, 80), flat(5, 160)), 6)
    assert [row.shape for row in seen] == [(8,)] * 6
    assert all((row[:4] < 120 / 255).all() and (row[4:] > 120 / 255).all() for row in seen)
    assert classifier.adam.steps == 6
    assert len({float(row[0]) for row in seen}) > 1


def test_the_second_pool_is_label_one():
    classifier = trained(60)
    assert (predict(classifier, flat(20, 80, seed=1)) < 0.5).all()
    assert (predict(classifier, flat(20, 160, seed=1)) > 0.5).all()


def test_the_seed_decides_and_two_goes_are_one():
    torch.manual_seed(1)
    first = trained(8, seed=3)
    torch.manual_seed(2)
    second = trained(5, seed=3)
    predict(second, flat(3, 100))
    fit_balanced(second, (flat(90, 80), flat(5, 160)), 3)
    judged = flat(30, 120, seed=2)
    assert np.array_equal(predict(first, judged), predict(second, judged))
    assert not np.array_equal(predict(first, judged), predict(trained(8, seed=4), judged))


def test_views_are_taken_as_they_are():
    pools = (flat(20, 80)[:, ::-1], flat(20, 160)[::2])
    copies = (pools[0].copy(), pools[1].copy())
    judged = flat(9, 120)[:, :, ::-1]
    assert np.array_equal(
        predict(trained(4, pools=pools), judged), predict(trained(4, pools=copies), judged.copy())
    )


def test_the_embedding_leads_to_the_probability():
    classifier = trained(10)
    judged = flat(600, 120)
    inside = embed(classifier, judged)
    assert inside.shape == (600, 64)
    assert inside.dtype == np.float64
    weight = classifier.network.logit.weight.detach().double().numpy()[0]
    logits = np.maximum(inside, 0) @ weight + float(classifier.network.logit.bias.detach())
    # float32: 64 products are added, each right to 6e-8 of itself
    bound = 64 * 6e-8 * (np.abs(np.maximum(inside, 0)) @ np.abs(weight)).max()
    assert 1 / (1 + np.exp(-logits)) == pytest.approx(predict(classifier, judged), abs=bound + 1e-6)
    assert embed(classifier, judged[:0]).shape == (0, 64)
    assert not classifier.network.dense._forward_hooks
