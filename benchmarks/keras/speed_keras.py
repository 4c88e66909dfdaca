"""Keras's side of ``speed.py``, which starts this: one block of training for every line on stdin.

    python speed_keras.py cnn|gan SIZE

SIZE is images an epoch for the CNN (``model.fit``) and steps a block for the GAN (one ``tf.function``).
Threads are set by TF_NUM_INTRAOP_THREADS and TF_NUM_INTEROP_THREADS; by default TensorFlow takes all cores.
"""

import os
import sys
import time
from collections.abc import Callable

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import networks
import numpy as np
import tensorflow as tf

import keras

BATCH = 32


def train_cnn(images: int) -> Callable[[], None]:
    """Build the CNN; the returned function trains it for one epoch."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (images, 28, 28, 1)).astype(np.float32)
    y = rng.integers(0, 2, images)
    model = networks.cnn(dropout=0.5)
    model.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy", metrics=["accuracy"])
    return lambda: model.fit(x, y, batch_size=BATCH, epochs=1, verbose=0) and None


def train_gan(steps: int) -> Callable[[], None]:
    """Build the GAN; the returned function trains it for some steps."""
    up, down = networks.generator(), networks.discriminator(dropout=0.3)
    up_adam, down_adam = keras.optimizers.Adam(1e-4), keras.optimizers.Adam(1e-4)
    bce = keras.losses.BinaryCrossentropy(from_logits=True)
    real = tf.random.uniform((BATCH, 28, 28, 1), -1, 1)

    @tf.function
    def step() -> tf.Tensor:
        noise = tf.random.normal((BATCH, 100))
        with tf.GradientTape() as up_tape, tf.GradientTape() as down_tape:
            fake = up(noise, training=True)
            real_logits, fake_logits = down(real, training=True), down(fake, training=True)
            up_loss = bce(tf.ones_like(fake_logits), fake_logits)
            down_loss = bce(tf.ones_like(real_logits), real_logits)
            down_loss += bce(tf.zeros_like(fake_logits), fake_logits)
        for tape, loss, model, adam in (
            (up_tape, up_loss, up, up_adam),
            (down_tape, down_loss, down, down_adam),
        ):
            gradients = tape.gradient(loss, model.trainable_weights)
            adam.apply_gradients(zip(gradients, model.trainable_weights, strict=True))
        return up_loss

    def block() -> None:
        for _ in range(steps):
            step().numpy()

    return block


def main() -> None:
    block = {"cnn": train_cnn, "gan": train_gan}[sys.argv[1]](int(sys.argv[2]))
    block()
    print(f"ready keras {keras.__version__}, tensorflow {tf.__version__}", flush=True)
    for _ in sys.stdin:
        start, used = time.perf_counter(), time.process_time()
        block()
        print(time.perf_counter() - start, time.process_time() - used, flush=True)


if __name__ == "__main__":
    main()
