"""The study's networks in Keras, layer by layer from its settings (docs/method.md); runs without HealthGAN."""

import keras
from keras import layers


def cnn(dropout: float) -> keras.Sequential:
    """The CNN, (B, 28, 28, 1) → probability (B, 1)."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dropout(dropout),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def generator() -> keras.Sequential:
    """The DCGAN's generator, noise (B, 100) → images (B, 28, 28, 1) in −1…1."""
    stack: list[layers.Layer] = [keras.Input((100,))]

    def dense(width: int) -> None:
        stack.extend([layers.Dense(width, use_bias=False), layers.BatchNormalization(), layers.LeakyReLU()])

    def up(width: int, stride: int) -> None:
        stack.append(layers.Conv2DTranspose(width, 5, stride, padding="same", use_bias=False))
        stack.extend([layers.BatchNormalization(), layers.LeakyReLU()])

    dense(7 * 7 * 256)
    stack.append(layers.Reshape((7, 7, 256)))
    for width, stride in ((128, 1), (64, 2), (32, 2), (16, 2)):
        up(width, stride)
    stack.append(layers.Flatten())
    dense(7 * 7 * 16)
    stack.append(layers.Reshape((7, 7, 16)))
    for width, stride in ((8, 2), (4, 2)):
        up(width, stride)
    stack.append(layers.Conv2DTranspose(1, 5, 1, padding="same", use_bias=False, activation="tanh"))
    return keras.Sequential(stack)


def discriminator(dropout: float) -> keras.Sequential:
    """The DCGAN's discriminator, images (B, 28, 28, 1) → logits (B, 1)."""
    stack: list[layers.Layer] = [keras.Input((28, 28, 1))]
    for width in (16, 32, 64, 128, 256):
        stack += [
            layers.Conv2D(width, 5, 2, padding="same"),
            layers.LeakyReLU(),
            layers.Dropout(dropout),
        ]
    return keras.Sequential([*stack, layers.Flatten(), layers.Dense(1)])
