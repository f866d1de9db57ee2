"""A published network as ``first`` names it: by its name, perhaps with the precisions of its layers."""

import json
from collections.abc import Iterator

from nas.hints import command
from search_spaces.architecture import NamedNetwork
from search_spaces.errors import InvalidInput, Parameter, nearest
from search_spaces.search_space import SearchSpace

OPTIONS = ("precision", "classifier")
KINDS = "a published network, a JSON file of an architecture or of its choices, or SEARCH/NUMBER"


def named_network(text: str, space: SearchSpace) -> NamedNetwork:
    """What ``resnet20``, or ``resnet20:precision=int8,classifier=float``, stands for in a space.

    Raises:
        InvalidInput: there is no such option, or one is given twice.
    """
    name, colon, options = text.partition(":")
    given = dict(_options(text, options)) if colon else {}
    fields = {"network": name, "input_shape": space.input_shape, "classes": space.classes, **given}
    try:
        return NamedNetwork.from_json(json.dumps(fields))
    except InvalidInput as error:
        raise error.of("first") from error


def check_name(text: str) -> None:
    """InvalidInput where a text begins with the name of no published network."""
    from search_spaces.networks import networks

    name = text.partition(":")[0]
    if name not in networks:
        problem = f"there is no file '{text}', and no published network '{name}'"
        fix = f"{nearest(name, networks)}name {KINDS}; the networks: {command('networks')}"
        raise InvalidInput("first", problem, fix)


def _options(text: str, options: str) -> Iterator[tuple[str, str]]:
    seen = set[str]()
    for option in options.split(","):
        name, equals, value = option.partition("=")
        if name not in OPTIONS or not equals or not value:
            fix = f"{nearest(name, OPTIONS)}give some of {'=..., '.join(OPTIONS)}=..., each once"
            raise InvalidInput("first", f"'{option}' is no option of '{text.partition(':')[0]}'", fix)
        if name in seen:
            raise InvalidInput("first", f"'{text}' has {name} twice", "give each option once")
        seen.add(name)
        yield name, value


def check_network(found: NamedNetwork) -> None:
    """Refuse a published network that cannot be built here, or does not take its images; nothing is computed.

    Raises:
        InvalidInput: there is no such network or precision, or the images do not fit.
    """
    import torch

    from search_spaces.builder import build
    from search_spaces.networks import check_images

    try:
        with torch.device("meta"):  # shapes without memory
            module = build(found)
        check_images(module, found.network, found.precision, found.input_shape)
    except InvalidInput as error:
        if error.parameter != "input_shape":
            raise error.of("first") from error
        fix = (f"{error.fix}; ", Parameter("image_size"), " brings images to a size")
        raise InvalidInput("first", error.problem, fix) from error
