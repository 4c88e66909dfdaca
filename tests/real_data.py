"""Real images, which are no part of the project: where they are looked for, and what skips a test without them."""

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("HEALTHGAN_DATA") or "no such folder")


def needs_data(name: str) -> pytest.MarkDecorator:
    """Skip a test where a file of real images is not in ``FOLDER``."""
    return pytest.mark.skipif(
        not (FOLDER / name).is_file(), reason=f"needs {name} in the folder that HEALTHGAN_DATA names"
    )
