"""``nas networks`` and ``nas size``: published networks, and what they hold and compute."""

from typing import TYPE_CHECKING, Any

import click

from nas.cli.options import json_option
from nas.cli.output import Column, print_json, print_table, say
from nas.hints import command

if TYPE_CHECKING:
    from torch import nn

    from search_spaces.sizing import LayerSize, Size

precision_option = click.option(
    "--precision",
    default="float",
    show_default=True,
    metavar="NAME",
    help="Of all layers but the first; NAME-1x1: of 1x1 layers and classifier only; binary-case2 to -case4.",
)
classifier_option = click.option("--classifier", metavar="NAME", help="Another precision for the last layer.")


@click.command()
@json_option
def networks(as_json: bool) -> None:
    """List the published networks, with parameters and multiply-accumulates in float."""
    from search_spaces.networks import networks as registry

    found = []
    for name in registry:
        published = registry.get(name)
        module = _untrained(name, "float", None, None)
        layers = _layers(module, published.input_shape)
        found.append(
            {
                "name": name,
                "input_shape": list(published.input_shape),
                "classes": published.classes,
                "parameters": sum(p.numel() for p in module.parameters()),
                "macs": sum(layer.macs for layer in layers),
                "paper": published.paper,
            }
        )
    if as_json:
        print_json(found)
        return
    columns = [Column("network"), Column("input"), Column("classes", True), Column("parameters", True)]
    columns += [Column("MACs", True), Column("paper")]
    print_table(columns, [_row(entry) for entry in found])
    size_it = command("size", "NAME", "--precision", "ternary")
    say(f"Next: {size_it}, {command('train', 'NAME', '--data', '...')}")


def _row(entry: dict[str, Any]) -> list[str]:
    shape = "x".join(map(str, entry["input_shape"]))
    figures = f"{entry['parameters'] / 1e6:.3f} M", f"{entry['macs'] / 1e6:.1f} M"
    return [entry["name"], shape, str(entry["classes"]), *figures, entry["paper"]]


@click.command()
@click.argument("name")
@precision_option
@classifier_option
@click.option("--classes", type=int, help="The number of classes; by default the paper's.")
@click.option("--image-size", type=int, help="The side of the images; by default the paper's.")
@json_option
def size(
    name: str,
    precision: str,
    classifier: str | None,
    classes: int | None,
    image_size: int | None,
    as_json: bool,
) -> None:
    """Show the size and the multiply-accumulates of a published network, by layer and by code.

    Weights count at the bits of their code; 1 kB is 1000 bytes.
    """
    import search_spaces
    from search_spaces.errors import InvalidInput
    from search_spaces.networks import networks as registry

    published = registry.get(name)
    shape = published.input_shape
    if image_size is not None:
        if not 1 <= image_size <= 4096:
            raise InvalidInput("image_size", f"{image_size} is out of range", "give 1 to 4096")
        shape = (shape[0], image_size, image_size)
    module = _untrained(name, precision, classifier, classes)
    try:
        layers, total = _layers(module, shape), search_spaces.size(module)
    except InvalidInput as error:
        if image_size is None:
            raise
        usual = "x".join(map(str, published.input_shape[:0:-1]))
        problem = f"'{name}' in {precision} does not take {shape[2]}x{shape[1]} images"
        raise InvalidInput("image_size", problem, f"it is made for {usual}") from error
    if as_json:
        print_json(_as_json(name, precision, shape, module, total, layers))
        return
    columns = [Column("layer"), Column("kind"), Column("code"), Column("inputs"), Column("weights", True)]
    columns += [Column("kB", True), Column("MACs", True)]
    print_table(columns, [_layer_row(layer) for layer in layers])
    print_table(
        [Column("code"), Column("weights, kB", True)],
        [[code, f"{bits / 8000:.3f}"] for code, bits in sorted(total.bits_by_code.items())],
        title="By code",
    )
    click.echo()
    for line in _sums(module, total, layers):
        click.echo(line)
    also = ["--classifier", classifier] if classifier else []
    say(f"Next: {command('train', name, '--precision', precision, *also, '--data', '...')}")


def _sums(module: "nn.Module", total: "Size", layers: "list[LayerSize]") -> list[str]:
    return [
        f"parameters            {sum(p.numel() for p in module.parameters()):,}",
        f"multiply-accumulates  {sum(layer.macs for layer in layers):,}",
        f"weights               {total.weight_bytes / 1000:.3f} kB",
        f"all that is stored    {total.kilobytes:.3f} kB, scales, biases and batch norms in float",
    ]


def _layer_row(layer: "LayerSize") -> list[str]:
    kilobytes = f"{layer.bits / 8000:.3f}"
    return [
        layer.name,
        layer.kind,
        layer.weight,
        layer.activation,
        f"{layer.weights:,}",
        kilobytes,
        f"{layer.macs:,}",
    ]


def _as_json(
    name: str,
    precision: str,
    shape: tuple[int, ...],
    module: "nn.Module",
    total: "Size",
    layers: "list[LayerSize]",
) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "network": name,
        "precision": precision,
        "input_shape": list(shape),
        "parameters": sum(p.numel() for p in module.parameters()),
        "macs": sum(layer.macs for layer in layers),
        "weight_kb": total.weight_bytes / 1000,
        "size_kb": total.kilobytes,
        "weight_kb_by_code": {code: bits / 8000 for code, bits in sorted(total.bits_by_code.items())},
        "layers": [asdict(layer) for layer in layers],
    }


def _untrained(name: str, precision: str, classifier: str | None, classes: int | None) -> "nn.Module":
    import torch

    import search_spaces

    with torch.device("meta"):  # shapes without memory
        return search_spaces.network(name, precision, classes, classifier)


def _layers(module: "nn.Module", shape: tuple[int, ...]) -> "list[LayerSize]":
    from search_spaces.sizing import layers

    return layers(module, shape)
