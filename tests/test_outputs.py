"""Every command that writes looks where it is to write before it reads anything."""

import pytest

# name → the command with inputs that don't exist, what the name of its output ends in
COMMANDS = {
    "train": (["train", "no/such", "--out"], ".safetensors"),
    "sample, one file": (["sample", "no/such", "--count", "1", "--out"], ".npz"),
    "sample, a folder": (["sample", "no/such", "--count", "1", "--out"], ""),
    "likeness": (["likeness", "no/such", "no/such", "--out"], ".csv"),
    "audit": (["audit", "no/such", "--train", "no/such", "--heldout", "no/such", "--gallery"], ".png"),
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("{tmp}/file/made", "can't be written: '{tmp}/file' is a file, not a folder. Choose another path."),
        ("{tmp}/file/a/made", "can't be written: '{tmp}/file' is a file, not a folder. Choose another path."),
        ("/proc/made", "can't be written: "),
        ("{tmp}/full", "is a folder"),
        ("{tmp}/taken", "Choose another name"),
    ],
)
def test_a_place_that_cannot_be_written_is_one_message(name, place, message, main, tmp_path) -> None:
    command, suffix = COMMANDS[name]
    (tmp_path / "file").touch()
    (tmp_path / f"taken{suffix}").touch()
    (tmp_path / f"full{suffix}" / "x").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    path = place.format(tmp=tmp_path) + suffix
    result = main(*command, path)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"Error: '{path}' ")
    assert message.format(tmp=tmp_path) in result.stderr
    assert result.stderr.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", COMMANDS)
def test_where_it_can_be_written_the_inputs_are_what_is_wrong(name, main, tmp_path) -> None:
    command, suffix = COMMANDS[name]
    result = main(*command, tmp_path / "new" / f"made{suffix}")
    assert result.returncode == 2
    assert "no/such" in result.stderr
    assert not list(tmp_path.iterdir())
