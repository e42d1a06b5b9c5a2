"""Read what course authors write, and say where it is wrong: file, line, key.

YAML is loaded together with the line of every key, validated by a pydantic model, and each
complaint is turned into one sentence that an author can act on.
"""

import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

MAX_TEXT = 1 << 20
"""Of one file of YAML or script."""


class ContentError(Exception):
    """Something an author wrote cannot be used. The message names file, line and key."""


class Content(BaseModel):
    """Base of every model of authored content: unknown keys are errors, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


Model = TypeVar("Model", bound=Content)


def text_of(path: Path, within: Path) -> str:
    """The text of the file `path`, if it truly lies in the folder `within`.

    Graders may write into a course, and we read it as root: a link, even one that is put there while
    we read, must not show them a file of the host. What was opened is asked where it lies.

    Raises:
        ContentError: it does not exist, lies elsewhere, or is not text.
    """
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(opened, encoding="utf-8") as file:
            if not Path(f"/proc/self/fd/{opened}").readlink().is_relative_to(within):
                raise ContentError(f"{path}: is a link that leads out of {within}; put the file itself there")
            text = file.read(MAX_TEXT + 1)
    except FileNotFoundError:
        raise ContentError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ContentError(f"{path}: cannot be read: {error}") from None
    if len(text) > MAX_TEXT:
        raise ContentError(f"{path}: is longer than {MAX_TEXT >> 20} million characters")
    return text


def read(path: Path, model: type[Model], *, within: Path | None = None, **known: Any) -> Model:
    """Read the YAML file `path` as a `model`; `known` are values that the file does not hold.

    It must truly lie in the folder `within`, which has no links in its own path (default: its folder).

    Raises:
        ContentError: the file is missing, is not YAML, or does not fit the model.
    """
    text = text_of(path, within or path.parent.resolve())
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or str(error)
        raise ContentError(f"{where}: not valid YAML: {problem}") from None
    if not isinstance(data, dict):
        raise ContentError(f"{path}:1: expected keys and values, such as 'title: …'")
    try:
        return model.model_validate({**data, **known})
    except ValidationError as error:
        raise ContentError("\n".join(_sentences(path, node, model, error))) from None


def _sentences(path: Path, node: Any, model: type[BaseModel], error: ValidationError) -> list[str]:
    found = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"])
        text = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            text = "unknown key"
            near = difflib.get_close_matches(str(problem["loc"][-1]), _keys(model), n=1)
            if near:
                text += f"; did you mean '{near[0]}'?"
        elif problem["type"] == "missing":
            text = "this key is required"
        found.append(f"{path}:{_line(node, problem['loc'])}: {key or 'file'}: {text}")
    return found


def _keys(model: type[BaseModel]) -> list[str]:
    """Every key of `model` and of the models it is made of."""
    keys: list[str] = []
    for name, field in model.model_fields.items():
        keys.append(field.alias or name)
        for inner in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                keys += _keys(inner)
    return keys


def _line(node: Any, loc: Sequence[Any]) -> int:
    """The line of the deepest part of `loc` that the document holds."""
    line = node.start_mark.line + 1 if node else 1
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            pairs = [(k, v) for k, v in node.value if k.value == str(part)]
            if not pairs:
                break
            line, node = pairs[0][0].start_mark.line + 1, pairs[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line
