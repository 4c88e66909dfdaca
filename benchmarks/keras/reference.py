"""What Keras makes of given inputs, written to files for ``parity.py``, which calls this.

    python reference.py FOLDER float32|float64

Reads FOLDER/inputs.safetensors; writes FOLDER/{facts.json, cnn, gan}-TYPE. Dropout has rate 0.
"""

import json
import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import networks
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

import keras

Arrays = dict[str, NDArray]
FIT = 80
"""Images for one epoch of ``fit`` in their order: two batches of 32 and one of 16."""


def weights(name: str, model: keras.Model) -> Arrays:
    """All weights, moving statistics included, in the layers' order: ``NAME/7/kernel``."""
    layered = [layer for layer in model.layers if layer.weights]
    return {
        f"{name}/{number}/{weight.name}": weight.numpy()
        for number, layer in enumerate(layered)
        for weight in layer.weights
    }


def gradients(name: str, model: keras.Model, values: list[tf.Tensor]) -> Arrays:
    """The gradients of all trainable weights, named as the weights are."""
    layered = [layer for layer in model.layers if layer.weights]
    left = iter(values)
    return {
        f"{name}/{number}/{weight.name}": next(left).numpy()
        for number, layer in enumerate(layered)
        for weight in layer.trainable_weights
    }


def unsettle(model: keras.Model, rng: np.random.Generator) -> None:
    """Move all that starts at 0 or 1 (biases, BN) off it, so that a wrong one cannot hide."""
    for weight in model.weights:
        if weight.name in ("bias", "beta", "moving_mean", "gamma", "moving_variance"):
            weight.assign(weight.numpy() + rng.uniform(0, 0.2, weight.shape))


def adam(rate: float) -> keras.optimizers.Adam:
    """Keras's Adam, its two decays kept exact: it rounds them to float32 even where all else is float64."""
    optimizer = keras.optimizers.Adam(rate)
    if keras.config.floatx() == "float64":
        optimizer.beta_1, optimizer.beta_2 = (tf.constant(beta, tf.float64) for beta in (0.9, 0.999))
    return optimizer


def run_cnn(inputs: Arrays, rng: np.random.Generator) -> Arrays:
    """Forward pass, loss, gradients, and the weights after 1 and after all steps of ``train_on_batch``."""
    model = networks.cnn(dropout=0.0)
    unsettle(model, rng)
    model.compile(adam(1e-3), "binary_crossentropy", metrics=["accuracy"])
    found = weights("initial", model)
    x, y = (tf.constant(inputs[name], keras.config.floatx()) for name in ("cnn_x", "cnn_y"))
    before_logit = keras.Model(model.inputs, model.layers[-2].output)

    @tf.function
    def differentiate() -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            loss = model.compute_loss(x[0], y[0, :, None], model(x[0], training=True))
        return loss, tape.gradient(loss, model.trainable_weights)

    loss, values = differentiate()
    kernel, bias = model.layers[-1].get_weights()
    found |= {"forward/logits": (before_logit(x[0]).numpy() @ kernel + bias)[:, 0]}
    found |= {"forward/probability": model(x[0]).numpy()[:, 0], "loss/0": loss.numpy()}
    found |= gradients("gradient", model, values)
    for step in range(len(x)):
        logs = model.train_on_batch(x[step], y[step, :, None], return_dict=True)
        found[f"fit_accuracy/{step}"] = np.asarray(logs["accuracy"])
        model.reset_metrics()
        if step in (0, len(x) - 1):
            found |= weights(f"after{step + 1}", model)
    flat = tf.reshape(x, (-1, *x.shape[2:]))[:FIT], tf.reshape(y, (-1, 1))[:FIT]
    history = model.fit(*flat, batch_size=x.shape[1], shuffle=False, verbose=0)
    found["fit_accuracy/epoch"] = np.asarray(history.history["accuracy"][0])
    return found | weights("after_fit", model)


def run_gan(inputs: Arrays, rng: np.random.Generator) -> Arrays:
    """The same of the GAN: two tapes over one forward pass, then both optimisers step."""
    down, up = networks.discriminator(dropout=0.0), networks.generator()
    for model in (down, up):
        unsettle(model, rng)
    found = weights("initial/up", up) | weights("initial/down", down)
    up_adam, down_adam = adam(1e-4), adam(1e-4)
    bce = keras.losses.BinaryCrossentropy(from_logits=True)

    def step(real: tf.Tensor, noise: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, list, list]:
        with tf.GradientTape() as up_tape, tf.GradientTape() as down_tape:
            fake = up(noise, training=True)
            real_logits, fake_logits = down(real, training=True), down(fake, training=True)
            up_loss = bce(tf.ones_like(fake_logits), fake_logits)
            down_loss = bce(tf.ones_like(real_logits), real_logits)
            down_loss += bce(tf.zeros_like(fake_logits), fake_logits)
        up_values = up_tape.gradient(up_loss, up.trainable_weights)
        down_values = down_tape.gradient(down_loss, down.trainable_weights)
        up_adam.apply_gradients(zip(up_values, up.trainable_weights, strict=True))
        down_adam.apply_gradients(zip(down_values, down.trainable_weights, strict=True))
        return up_loss, down_loss, up_values, down_values

    graph = tf.function(step, reduce_retracing=True)
    noise = tf.constant(inputs["noise"], keras.config.floatx())
    count = len(noise)
    reals = [tf.constant(inputs[f"real_{number}"], keras.config.floatx()) for number in range(count)]
    found["forward/inference"] = up(noise[0], training=False).numpy()
    found["forward/logits"] = down(reals[0]).numpy()[:, 0]
    for number in range(count):
        up_loss, down_loss, up_values, down_values = graph(reals[number], noise[number])
        found[f"loss/{number}"] = np.asarray([up_loss, down_loss])
        if number == 0:
            found |= gradients("gradient/up", up, up_values) | gradients("gradient/down", down, down_values)
        if number in (0, count - 1):
            found |= weights(f"after{number + 1}/up", up) | weights(f"after{number + 1}/down", down)
    found["forward/inference_after"] = up(noise[0], training=False).numpy()
    return found


def limits() -> dict[str, dict[str, float]]:
    """Of Keras's own initial values: range and standard deviation of every kernel."""
    found = {}
    for name, model in (
        ("cnn", networks.cnn(0.5)),
        ("generator", networks.generator()),
        ("discriminator", networks.discriminator(0.3)),
    ):
        for key, value in weights(name, model).items():
            found[key] = {"highest": float(np.abs(value).max()), "deviation": float(value.std())}
    return found


def main() -> None:
    folder, dtype = Path(sys.argv[1]), sys.argv[2]
    keras.config.set_floatx(dtype)
    keras.utils.set_random_seed(0)
    inputs = load_file(folder / "inputs.safetensors")
    rng = np.random.default_rng(1)
    for name, run in (("cnn", run_cnn), ("gan", run_gan)):
        found = {key: np.asarray(value, order="C") for key, value in run(inputs, rng).items()}
        save_file(found, folder / f"{name}-{dtype}.safetensors")
    facts = {"keras": keras.__version__, "tensorflow": tf.__version__, "limits": limits()}
    (folder / f"facts-{dtype}.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main()
