"""What a study does, as one frozen object read from TOML. An unknown key is an error, not a surprise."""

import difflib
import tomllib
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from healthgan.errors import InputError, meant
from healthgan.files import check_kind

if TYPE_CHECKING:
    from healthgan.protocol_sound import Sound

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1, le=10**7)]
Times = Annotated[int, Field(ge=1, le=1000)]
"""How often something is trained: each is a job."""
Rate = Annotated[float, Field(gt=0, lt=1)]
MAX_BYTES = 2**20
"""Of a protocol's file."""


def _can_name_a_folder(name: str) -> str:
    if not name.strip() or not name.isprintable() or "/" in name or "\\" in name:
        raise ValueError(f"{name!r} can't stand in a folder's name; letters, digits, '-' and '_' can")
    return name


Name = Annotated[str, AfterValidator(_can_name_a_folder)]


SOUND = frozenset({"design", "arms"})
"""Tables by which a sound study's settings are known."""


class Settings(BaseModel):
    """A table of settings: frozen, strict, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Data(Settings):
    """How images are chosen from the source."""

    balance: Literal["first", "random"]
    keep_patients_apart: bool
    rare_count: Annotated[int, Field(ge=3)] | None = None


class GeneratorSettings(Settings):
    """How often and how long a GAN is trained, and what is harvested."""

    preset: Literal["dcgan-2023", "dcgan-small"]
    rounds: Times
    epochs: Count
    batch: Annotated[int, Field(ge=2, le=2**14)]
    learning_rate: Rate
    harvest_after: Annotated[int, Field(ge=0)]


class Likeness(Settings):
    """The floors of best SSIM at which sets of generated images are formed."""

    floors: tuple[Share, ...] = Field(min_length=1, max_length=1000)

    @field_validator("floors", mode="before")
    @classmethod
    def _from_list(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value

    @field_validator("floors")
    @classmethod
    def _ascending(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if list(value) != sorted(set(value)):
            raise ValueError("floors must rise and not repeat")
        return value


class ClassifierSettings(Settings):
    """The network and how long it is trained a fold."""

    preset: Literal["cnn-2023"]
    scale_pixels: bool
    learning_rate: Rate
    batch: Annotated[int, Field(ge=1, le=2**14)]
    epochs: Count
    epochs_generated: tuple[tuple[Count, Count], ...]

    @field_validator("epochs_generated", mode="before")
    @classmethod
    def _from_list(cls, value: object) -> object:
        return tuple(tuple(pair) for pair in value) if isinstance(value, list) else value

    def epochs_for(self, training_images: int, generated: bool) -> int:
        """Epochs a fold for a balanced training set of this size; sets with generated images may get more."""
        if generated:
            for larger_than, epochs in sorted(self.epochs_generated, reverse=True):
                if training_images > larger_than:
                    return epochs
        return self.epochs


class Folds(Settings):
    """Cross-validation over training and validation images together."""

    count: Annotated[int, Field(ge=2, le=20)]
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    reset_between_folds: bool
    synthetic_in_validation: bool
    keep_patients_together: bool


class Control(Settings):
    """A second task that shows that the classifier works at all."""

    source: Annotated[str, Field(min_length=1)]
    rare: str
    reference: str
    top_up: bool


class RealOrSynthetic(Settings):
    """How the classifier is trained to tell generated images from real ones."""

    classifier_seeds: Times
    epochs: Count


class Protocol(Settings):
    """All settings of a study."""

    name: Name
    summary: str
    data: Data
    generator: GeneratorSettings
    likeness: Likeness
    classifier: ClassifierSettings
    folds: Folds
    real_or_synthetic: RealOrSynthetic
    control: Control | None = None


def names() -> tuple[str, ...]:
    """The protocols that come with the program."""
    folder = resources.files("healthgan") / "protocols"
    return tuple(
        sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))
    )


def load_protocol(name_or_path: str) -> "Protocol | Sound":
    """The protocol of this name, or the one in this TOML file.

    Raises:
        InputError: there is no such protocol or file, or a key or value in it is wrong; the message names
            the key and the nearest valid one.
    """
    if name_or_path in names():
        text = (resources.files("healthgan") / "protocols" / f"{name_or_path}.toml").read_text("utf-8")
        return parse_protocol(text, name_or_path)
    path = Path(name_or_path)
    if path.suffix != ".toml":
        raise InputError(
            f"There is no protocol '{name_or_path}'.{meant(name_or_path, names())} Take one of {', '.join(names())}, or the path of a .toml file."
        )
    try:
        check_kind(path)
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise InputError(
                f"The protocol '{path}' has {size / 2**30:.1f} GiB; 1 MiB is read. Give a .toml file."
            )
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise InputError(
            f"There is no file '{path}'. Take one of the protocols {', '.join(names())}, or an existing .toml file."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"The protocol '{path}' cannot be read as UTF-8 text ({error.strerror if isinstance(error, OSError) else error.reason}). Correct it, or give another file."
        ) from None
    return parse_protocol(text, str(path))


def parse_protocol(text: str, origin: str) -> "Protocol | Sound":
    """The protocol in a TOML text; ``origin`` names it in messages. One with arms or a design is a sound study.

    Raises:
        InputError: the text is not TOML, or a key or value is wrong.
    """
    from healthgan.protocol_sound import Sound

    try:
        settings = tomllib.loads(text)
    except RecursionError:
        raise InputError(
            f"The protocol '{origin}' is not valid TOML (brackets without end). Correct it."
        ) from None
    except ValueError as error:  # TOMLDecodeError, and what Python says to numbers of thousands of digits
        raise InputError(f"The protocol '{origin}' is not valid TOML ({error}). Correct it.") from None
    shape: type[Protocol | Sound] = Sound if SOUND & set(settings) else Protocol
    try:
        return shape.model_validate(settings)
    except ValidationError as error:
        raise InputError(f"The protocol '{origin}' is wrong: {_explain(error, shape)} Correct it.") from None


def _explain(error: ValidationError, shape: type[BaseModel]) -> str:
    """The first fault in words, with the nearest valid key where a key is unknown."""
    unknown_first = sorted(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
    first = unknown_first[0]
    place = ".".join(str(part) for part in first["loc"])
    more = f" {error.error_count() - 1} more after it." if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        allowed = _keys_beside(first["loc"], shape)
        near = difflib.get_close_matches(str(first["loc"][-1]), allowed, n=1, cutoff=0)
        return f"there is no key '{place}'. The nearest valid one is '{near[0]}'; all: {', '.join(allowed)}.{more}"
    if first["type"] == "missing":
        return f"the key '{place}' is missing.{more}"
    if first["type"] == "value_error":  # the message names the value
        return f"{place}{': ' * bool(place)}{first['msg'].removeprefix('Value error, ')}.{more}"
    return f"'{place}' is {first['input']!r}: {first['msg']}.{more}"


def _keys_beside(place: tuple[str | int, ...], shape: type[BaseModel]) -> list[str]:
    """The valid keys of the table in which the key at ``place`` stands."""
    table = shape
    for part in place[:-1]:
        annotation = table.model_fields[str(part)].annotation
        table = next(
            inner
            for inner in (
                annotation,
                *get_args(annotation),
            )  # a table that may be absent is a union with None
            if isinstance(inner, type) and issubclass(inner, BaseModel)
        )
    return list(table.model_fields)


def to_toml(protocol: "Protocol | Sound") -> str:
    """The protocol as TOML that ``parse_protocol`` reads back to an equal object."""
    lines: list[str] = []
    tables: list[str] = []
    for key, value in protocol.model_dump(exclude_none=True).items():
        if isinstance(value, dict):
            tables += ["", f"[{key}]", *(f"{name} = {_literal(entry)}" for name, entry in value.items())]
        else:
            lines.append(f"{key} = {_literal(value)}")
    return "\n".join([*lines, *tables]) + "\n"


def _literal(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(_escape(character) for character in value) + '"'
    if isinstance(value, tuple):
        return "[" + ", ".join(_literal(entry) for entry in value) + "]"
    return repr(value)


def _escape(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return character if character.isprintable() else f"\\U{ord(character):08x}"
