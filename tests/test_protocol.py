"""Protocols: what comes with the program is valid, and what is wrong is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthgan.errors import InputError
from healthgan.protocol import Protocol, load_protocol, names, parse_protocol, to_toml

PAPER = to_toml(load_protocol("paper"))


def test_names() -> None:
    assert {"paper", "quick"} <= set(names())


@pytest.mark.parametrize("name", names())
def test_round_trip(name: str) -> None:
    protocol = load_protocol(name)
    assert parse_protocol(to_toml(protocol), name) == protocol
    assert protocol.name == name


@given(st.text(min_size=1), st.lists(st.integers(0, 100), min_size=1, unique=True))
def test_round_trip_of_any_text_and_floors(summary: str, percents: list[int]) -> None:
    data = load_protocol("paper").model_dump(exclude_none=True)
    data["summary"] = summary
    data["likeness"] = {"floors": tuple(sorted(percent / 100 for percent in percents))}
    protocol = Protocol.model_validate(data)
    assert parse_protocol(to_toml(protocol), "test") == protocol


@pytest.mark.parametrize("name", ["", " ", "../x", "a/b", "a\\b", "a\nb", "\x1b[31m"])
def test_a_name_must_do_for_a_folder(name: str) -> None:
    data = load_protocol("paper").model_dump(exclude_none=True)
    with pytest.raises(ValueError, match="can't stand in a folder's name"):
        Protocol.model_validate({**data, "name": name})


def test_paper_is_as_published() -> None:
    paper = load_protocol("paper")
    assert paper.likeness.floors == (0.8, 0.81, 0.82, 0.83, 0.84, 0.85, 0.86, 0.87, 0.88, 0.89)
    assert (paper.generator.rounds, paper.generator.epochs, paper.generator.harvest_after) == (3, 500, 50)
    assert (paper.folds.count, paper.folds.seed, paper.folds.reset_between_folds) == (3, 42, False)
    assert not paper.classifier.scale_pixels


@pytest.mark.parametrize(
    ("images", "generated", "epochs"),
    [
        (26730, True, 200),
        (20001, True, 200),
        (20000, True, 100),
        (10001, True, 100),
        (10000, True, 80),
        (5001, True, 80),
        (5000, True, 40),
        (3934, True, 40),
        (26730, False, 40),
    ],
)
def test_epoch_rule(images: int, generated: bool, epochs: int) -> None:
    assert load_protocol("paper").classifier.epochs_for(images, generated) == epochs


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("rounds = 3", "round = 3", "no key 'generator.round'. The nearest valid one is 'rounds'"),
        ("[folds]", "[fold]", "no key 'fold'"),
        ("top_up = true", "topup = true", "nearest valid one is 'top_up'"),
        ("rounds = 3", 'rounds = "three"', "'generator.rounds' is 'three'"),
        ("rounds = 3", "rounds = 3.0", "'generator.rounds' is 3.0"),
        ("rounds = 3", "rounds = 0", "greater than or equal to 1"),
        ("floors = [0.8, 0.81", "floors = [0.81, 0.8", "floors must rise"),
        ("floors = [0.8, 0.81", "floors = [1.8, 1.81", "less than or equal to 1"),
        ('preset = "dcgan-2023"', 'preset = "biggan"', "'dcgan-2023' or 'dcgan-small'"),
        ("seed = 42", "", "the key 'folds.seed' is missing"),
        ("seed = 42", "seed = = 42", "not valid TOML"),
    ],
)
def test_wrong_protocols_are_named(old: str, new: str, says: str) -> None:
    assert old in PAPER
    with pytest.raises(InputError) as error:
        parse_protocol(PAPER.replace(old, new, 1), "mine.toml")
    assert says in str(error.value)
    assert "mine.toml" in str(error.value)


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="paper, quick"):
        load_protocol("papre")


def test_missing_file(tmp_path) -> None:
    with pytest.raises(InputError, match="There is no file"):
        load_protocol(str(tmp_path / "no.toml"))


def test_unreadable_file(tmp_path) -> None:
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="UTF-8"):
        load_protocol(str(tmp_path / "bytes.toml"))
