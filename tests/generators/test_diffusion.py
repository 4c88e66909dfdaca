"""Training and sampling of the diffusion generator on tiny images."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes

from healthgan.adam import Adam
from healthgan.errors import InputError
from healthgan.generators import fit_diffusion as module
from healthgan.generators.checkpoint import write_checkpoint
from healthgan.generators.diffusion import BLOCK, Diffusion, Settings, sample, trains_in
from healthgan.generators.diffusion_state import held_out, restore, save, start
from healthgan.generators.fit_diffusion import fit_diffusion
from healthgan.generators.unet import UNet
from healthgan.stopping import Stopped

CPU = torch.device("cpu")
TINY = Settings(steps=40, batch=16, width=16, checks=4)


def pictures(per_class: int = 48, size: int = 16) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Dark images of class 0, bright ones of class 1, two of each patient."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], per_class)
    level = np.where(labels, 170, 60)[:, None, None, None] + rng.normal(0, 8, (len(labels), 1, 1, 1))
    pixels = level + rng.normal(0, 10, (len(labels), size, size, 1))
    return pixels.clip(0, 255).astype(np.uint8), labels, np.arange(len(labels)) // 2


def train(settings: Settings = TINY, seed: int = 0, **options: object) -> Diffusion:
    return fit_diffusion(*pictures(), settings=settings, seed=seed, device=CPU, **options)


def flipped(content: bytes) -> bytes:
    """The file with a bit flipped in the last of its tensors."""
    return content[:-3] + bytes([content[-3] ^ 4]) + content[-2:]


@pytest.fixture(scope="module")
def trained() -> Diffusion:
    return train(replace(TINY, steps=200))


@pytest.fixture(scope="module")
def whole() -> Diffusion:
    """A training that nothing disturbs."""
    return train()


def test_each_class_is_made_as_it_is(trained) -> None:
    dark, bright = (sample(trained, 24, label, seed=1) for label in (0, 1))
    assert dark.shape == (24, 16, 16, 1)
    assert dark.dtype == np.uint8
    means = [images.mean(axis=(1, 2, 3)) for images in (dark, bright)]
    assert (means[0] < 115).all(), "a dark image is nearer to the bright class"
    assert (means[1] > 115).all(), "a bright image is nearer to the dark class"


def test_an_image_depends_on_seed_and_number_only(trained) -> None:
    many = sample(trained, BLOCK + 5, 1, seed=3)
    assert np.array_equal(sample(trained, 3, 1, seed=3), many[:3])
    assert np.array_equal(sample(trained, BLOCK + 1, 1, seed=3), many[: BLOCK + 1])
    assert not np.array_equal(sample(trained, 3, 1, seed=4), many[:3])
    assert len(np.unique(many.reshape(len(many), -1), axis=0)) == len(many)
    assert sample(trained, 0, 1, seed=3).shape == (0, 16, 16, 1)


def test_the_checkpoint_with_the_least_held_out_loss_is_kept(trained) -> None:
    losses = {check.step: check.heldout for check in trained.checks}
    assert list(losses) == [50, 100, 150, 200]
    assert losses[trained.chosen] == min(losses.values())
    assert trained.checks[-1].training < trained.checks[0].training
    assert trained.stopped == ""


def test_held_out_patients_are_not_trained_on() -> None:
    images, labels, patients = pictures()
    held = held_out(labels, patients, 8, 0)
    assert set(patients[held]).isdisjoint(patients[~held])
    for label in (0, 1):
        assert len(np.unique(patients[held & (labels == label)])) == 3  # one in eight of 24
    state = start(images, labels, patients, TINY, 0, CPU)
    assert len(state.pool) == (~held).sum()
    pool = {image.tobytes() for image in state.pool.numpy()}
    assert pool.isdisjoint(image.tobytes() for image in images[held])


def test_too_few_patients_are_all_trained_on_and_the_last_checkpoint_is_kept() -> None:
    images, labels, _ = pictures(7)
    found = fit_diffusion(images, labels, None, settings=TINY, seed=0, device=CPU)
    assert all(np.isnan(check.heldout) for check in found.checks)
    assert found.chosen == TINY.steps


def test_a_stopped_training_goes_on_to_the_same_bits(whole, tmp_path) -> None:
    file = tmp_path / "checkpoint.safetensors"

    def stop(step: int, facts: dict[str, float]) -> None:
        if step == 30:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train(checkpoint=file, checkpoint_seconds=0, progress=stop)
    assert file.exists()
    resumed = train(checkpoint=file)
    assert not file.exists()
    assert resumed.checks == whole.checks
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name


@pytest.mark.parametrize("at", [1, 7, 10, 39])
def test_asked_to_stop_it_ends_after_the_step_and_goes_on_to_the_same_bits(whole, tmp_path, at) -> None:
    """Long before a checkpoint is due, in the middle of two checks, at a check, and before the last step."""
    file, steps = tmp_path / "checkpoint.safetensors", iter(range(1, at + 1))
    with pytest.raises(Stopped):
        train(checkpoint=file, stop=lambda: next(steps) == at)
    assert next(steps, None) is None, "it stopped before it was asked to"
    assert load_file(file)["step"][0] == at
    resumed = train(checkpoint=file)
    assert not file.exists()
    assert resumed.checks == whole.checks
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name


def test_a_stop_after_the_last_step_loses_nothing(whole, tmp_path) -> None:
    steps = iter(range(1, TINY.steps + 1))
    found = train(checkpoint=tmp_path / "checkpoint", stop=lambda: next(steps) == TINY.steps)
    assert found.checks == whole.checks
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "damage",
    [flipped, lambda content: content[:-1], lambda _: b"", lambda _: to_bytes({"sum": torch.zeros(3)})],
)
def test_a_damaged_checkpoint_is_told_and_training_starts_afresh(whole, tmp_path, caplog, damage) -> None:
    """A flipped bit, a byte short, empty, or without a checksum."""
    file, steps, seen = tmp_path / "checkpoint.safetensors", iter(range(1, 31)), []
    with pytest.raises(Stopped):
        train(checkpoint=file, stop=lambda: next(steps) == 30)
    file.write_bytes(damage(file.read_bytes()))
    found = train(checkpoint=file, progress=lambda step, _: seen.append(step))
    assert seen[0] == 10, "the first step that is told"
    assert f"'{file}' is damaged" in caplog.text
    assert "starts afresh" in caplog.text
    assert found.checks == whole.checks
    assert not file.exists()


def test_a_checkpoint_of_another_training_is_refused_and_kept(tmp_path) -> None:
    file = tmp_path / "checkpoint.safetensors"
    write_checkpoint(file, {"sum": torch.zeros(3)})
    content = file.read_bytes()
    with pytest.raises(InputError, match="Remove it to train from the start"):
        train(checkpoint=file)
    assert file.read_bytes() == content


def test_equal_seeds_train_equal_generators_and_others_do_not(whole) -> None:
    torch.manual_seed(5)
    weights = [found.network.state_dict()["first.weight"] for found in (whole, train(), train(seed=1))]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_class_is_drawn_by_the_square_root_of_its_size() -> None:
    images, labels, _ = pictures(100)
    keep = np.r_[0:100, 100:125]
    state = start(images[keep], labels[keep], None, replace(TINY, heldout=200), 0, CPU)
    assert state.shares.tolist() == pytest.approx([2 / 3, 1 / 3])


def test_divergence_ends_with_the_last_good_checkpoint(tmp_path) -> None:
    """A training is stopped, its weights are spoilt in the checkpoint, and it goes on."""
    file = tmp_path / "checkpoint.safetensors"

    def stop(step: int, facts: dict[str, float]) -> None:
        if step == 30:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train(checkpoint=file, checkpoint_seconds=0, progress=stop)
    tensors = load_file(file)
    tensors["network/first.weight"][0, 0, 0, 0] = float("nan")
    write_checkpoint(file, tensors)
    found = train(checkpoint=file)
    assert found.stopped == "diverged at step 30"
    assert found.chosen == 20
    assert all(torch.isfinite(value).all() for value in found.network.state_dict().values())


def test_divergence_before_the_first_checkpoint_is_an_error() -> None:
    with pytest.raises(FloatingPointError, match="lower learning rate"):
        train(replace(TINY, learning_rate=1e30))


def test_collapse_is_seen() -> None:
    images, labels, patients = pictures()
    state = start(images, labels, patients, TINY, 0, CPU)
    state.spread = 1e-3  # the sampler then ends near the mean, whatever the noise
    state.step = TINY.steps
    check = module.measure(state)
    assert check.diversity < 0.2
    assert state.stopped.startswith(f"collapsed at step {TINY.steps}")
    assert state.chosen == 0, "a collapsed checkpoint must not be kept"


def test_weights_that_are_no_numbers_are_never_kept() -> None:
    images, labels, patients = pictures()
    state = start(images, labels, patients, TINY, 0, CPU)
    with torch.no_grad():
        state.averaged.first.weight[0, 0, 0, 0] = float("nan")
    state.step = 10
    module.measure(state)
    assert state.stopped == "diverged at step 10"
    assert state.best == {}


def test_mirrored_training_images_only_where_asked_for() -> None:
    """Class 0 is bright on the left only: without mirroring no image may be bright on the right."""
    images = np.full((64, 16, 16, 1), 40, np.uint8)
    images[:, :, :6] = 220
    images = (images + np.random.default_rng(0).integers(0, 12, images.shape)).astype(np.uint8)
    sides = []
    for mirror in (False, True):
        settings = replace(TINY, steps=120, mirror=mirror)
        made = sample(
            fit_diffusion(images, np.zeros(64, np.int64), None, settings=settings, seed=0, device=CPU),
            32,
            0,
            0,
        ).astype(float)
        sides.append((made[:, :, 10:].mean(axis=(1, 2, 3)) > made[:, :, :6].mean(axis=(1, 2, 3))).mean())
    assert sides[0] == 0
    assert 0.2 < sides[1] < 0.8  # 5 standard errors of a half at n = 32 would be 0.44


SOME = np.arange(4 * 16 * 16, dtype=np.uint8).reshape(4, 16, 16, 1)


@pytest.mark.parametrize(
    ("images", "labels", "patients", "message"),
    [
        (SOME.astype(float), [0, 0, 1, 1], None, "float64"),
        (SOME[..., 0], [0, 0, 1, 1], None, "is needed"),
        (SOME[:, :12], [0, 0, 1, 1], None, "16 to 224"),
        (SOME, [0, 0, 2, 2], None, "Every class number"),
        (SOME, [0, 0, 10**15, 1], None, "Every class number"),
        (SOME, [0, 0, 1], None, r"Labels are int64 \(3,\); each of the 4 images"),
        (SOME, [0, 0, 1, -1], None, "a class number from 0"),
        (SOME, [[0], [0], [1], [1]], None, r"Labels are int64 \(4, 1\)"),
        (SOME, [0.0, 0.0, 1.0, 1.0], None, "Labels are float64"),
        (SOME, [], None, r"Labels are float64 \(0,\)"),
        (SOME[:0], [], None, "There is no image"),
        (SOME, [0, 0, 1, 1], [1, 2, 3], r"Patients are of shape \(3,\); each of the 4 images"),
        (np.full_like(SOME, 7), [0, 0, 1, 1], None, "constant"),
    ],
)
def test_bad_input_is_refused(images, labels, patients, message) -> None:
    people = None if patients is None else np.array(patients)
    with pytest.raises(InputError, match=message):
        fit_diffusion(images, np.array(labels), people, settings=TINY, seed=0, device=CPU)


# PyTorch warns that what is copied onto 'meta' is lost.
@pytest.mark.filterwarnings("ignore:for .* copying from a non-meta parameter:UserWarning")
def test_a_state_goes_back_to_its_device_but_for_adams_step_counts(tmp_path) -> None:
    """Adam reads them on the CPU; on a GPU it would wait for each. The device 'meta' stands in for one."""
    images, labels, patients = pictures()
    state = start(images, labels, patients, TINY, 0, CPU)
    module._take_step(state)
    save(state, tmp_path / "state")
    meta = torch.device("meta")
    other = start(images, labels, patients, TINY, 0, CPU)
    networks = [UNet((16, 16), 1, 2, TINY.width, torch.Generator()).to(meta) for _ in range(2)]
    other.network, other.averaged = networks
    other.adam = Adam(list(networks[0].parameters()), 1e-3, fused=False)
    other.pool = other.pool.to(meta)
    restore(other, tmp_path / "state")
    entries = other.adam.state
    assert len(entries) == len(list(networks[0].parameters()))
    assert {(name, value.device.type) for entry in entries for name, value in entry.items()} == {
        ("step", "cpu"),
        ("exp_avg", "meta"),
        ("exp_avg_sq", "meta"),
    }
    assert {float(entry["step"]) for entry in entries} == {1.0}
    assert (other.sum.device, other.finite.device) == (meta, meta)


def test_divergence_is_looked_for_now_and_then_and_named_by_its_step(monkeypatch) -> None:
    """However seldom it is looked for, what is kept and what is said of it are the same."""
    taken, seen = module._take_step, []

    def spoil_at_13(state) -> None:
        if state.step == 12:
            state.network.first.weight.data[0, 0, 0, 0] = float("nan")
        taken(state)
        seen[-1] = state.step

    monkeypatch.setattr(module, "_take_step", spoil_at_13)
    for every in (1, 4, 50):
        monkeypatch.setattr(module, "_LOOK_EVERY", every)
        seen.append(0)
        found = train()
        assert (found.stopped, found.chosen, len(found.checks)) == ("diverged at step 13", 10, 1)
        assert all(torch.isfinite(value).all() for value in found.network.state_dict().values())
    assert seen == [13, 16, 20]


@pytest.mark.parametrize("built_in", [False, True])
@pytest.mark.parametrize("asked", [False, True])
def test_bfloat16_is_used_where_it_is_built_in_and_not_switched_off(monkeypatch, built_in, asked) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: built_in)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    expected = torch.bfloat16 if built_in and asked else torch.float32
    assert trains_in(replace(TINY, bfloat16=asked), CPU) == expected


def test_training_in_bfloat16_comes_to_nearly_the_same_losses(monkeypatch) -> None:
    """No mean of losses moves by more than one product's rounding, 2⁻⁸ with the 8 bits of bfloat16."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    half, single = (train(settings=replace(TINY, bfloat16=asked)) for asked in (True, False))
    assert not torch.equal(half.network.first.weight, single.network.first.weight)
    assert half.network.first.weight.dtype == torch.float32
    for one, other in zip(half.checks, single.checks, strict=True):
        assert one.training == pytest.approx(other.training, rel=2**-8)
        assert one.heldout == pytest.approx(other.heldout, rel=2**-8)
