"""Whatever stands in a file, reading it ends in what was asked for or in one ``InputError``."""

from collections import Counter

import pytest
from fuzzing import READERS, prepared
from hypothesis import HealthCheck, given, settings

from healthgan.errors import InputError
from healthgan.sources import message

EXAMPLES = {"safetensors": 30}
"""A reader and run, 100 unless said otherwise; benchmarks/fuzz.py tries many more."""


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
def test_only_input_errors_come_out(reader, tmp_path_factory) -> None:
    name, files, read = READERS[reader]
    path = prepared(tmp_path_factory.mktemp("fuzz")) / name
    ends: Counter[str] = Counter()

    @settings(max_examples=EXAMPLES.get(reader, 100), deadline=None, suppress_health_check=[*HealthCheck])
    @given(data=files())
    def fuzz(data: bytes) -> None:
        path.write_bytes(data)
        try:
            read(path)
        except InputError as error:
            told = message(str(error))
            ends["told" if told.endswith((".", "?")) and told.isprintable() else "told badly"] += 1
        else:
            ends["read"] += 1

    fuzz()
    assert ends["told badly"] == 0
    assert ends["read"] > 0, "nothing right was drawn: what lies behind the first check was not reached"
    assert ends["told"] > 0 or reader == "records", "nothing wrong was drawn"
