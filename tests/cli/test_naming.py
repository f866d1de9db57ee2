"""How a command names the parameters of an error that leaves it."""

import click
import pytest
from click.testing import CliRunner

from nas.cli.groups import Group
from search_spaces.errors import BitnasError, InvalidInput, Parameter


def raising(error):
    """``nas run FOLDER``, which ends with this error; ``--plugin`` and ``--seed`` are options of ``nas``."""

    @click.group("nas", cls=Group)
    @click.option("--plugin", "plugins")
    @click.option("--seed")
    def nas(**_options):
        pass

    @nas.command()
    @click.argument("folder")
    @click.option("-r", "--rate", "peak_rate")
    @click.option("--bf16/--no-bf16")
    @click.option("--seed")
    @click.option("--objective", "objectives", multiple=True)
    def run(**_options):
        raise error

    return nas


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (InvalidInput("peak_rate", "it is high", "lower it"), "--rate: it is high; lower it"),
        (InvalidInput("folder", "it is full", "name another"), "FOLDER: it is full; name another"),
        (InvalidInput("bf16", "no", "leave it out"), "--bf16: no; leave it out"),
        (InvalidInput("seed", "no", "leave it out"), "--seed: no; leave it out"),
        (InvalidInput("objective", "unknown", "give macs"), "--objective: unknown; give macs"),
        (InvalidInput("images", "none", "give some"), "images: none; give some"),
        (BitnasError("by ", Parameter("plugins", "FILE", python="add(FILE)")), "by nas --plugin FILE"),
        (BitnasError("at a lower ", Parameter("peak_rate")), "at a lower --rate"),
    ],
)
def test_a_parameter_is_told_as_it_is_typed(error, told):
    assert CliRunner().invoke(raising(error), ["run", "folder"]).exception is error
    assert str(error) == told


def test_an_error_of_parsing_is_named_too():
    def refuse(_context, _option, _value):
        raise InvalidInput("seed", "no", "leave it out")

    group = raising(None)
    group.commands["run"].params[3].callback = refuse
    assert str(CliRunner().invoke(group, ["run", "folder"]).exception) == "--seed: no; leave it out"
