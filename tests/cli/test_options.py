"""Numbers with units, on the command line."""

import math

import click
import pytest

from nas.cli.options import Kilobytes, Milliseconds


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Milliseconds, "0.4", 0.4),
        (Milliseconds, "0.4ms", 0.4),
        (Milliseconds, "400us", 0.4),
        (Milliseconds, "400 µs", 0.4),
        (Milliseconds, "4e-1", 0.4),
        (Milliseconds, "4e2us", 0.4),
        (Milliseconds, "0.001s", 1.0),
        (Milliseconds, 0.4, 0.4),
        (Kilobytes, "32", 32),
        (Kilobytes, "32kB", 32),
        (Kilobytes, "0.5MB", 500),
        (Kilobytes, "-1", -1),  # refused by its rule, later
    ],
)
def test_a_number_may_have_a_unit(kind, text, value):
    assert kind.convert(text, None, None) == pytest.approx(value)


def test_what_is_no_number_to_compare_with_is_for_its_rule_to_refuse():
    assert math.isnan(Milliseconds.convert("nan", None, None))
    assert math.isinf(Milliseconds.convert("inf", None, None))


@pytest.mark.parametrize(
    "text", ["5kg", "50%", "ms", "", "fast", "1,5", "0x10", "5 ms ms", "1_000us", "--3us"]
)
def test_an_error_names_the_unit_and_an_example(text):
    with pytest.raises(
        click.BadParameter, match=r"is no number of ms; give ms, such as 0\.4, 0\.4ms or 400us"
    ):
        Milliseconds.convert(text, None, None)
    with pytest.raises(click.BadParameter, match=r"is no number of kB; give kB, such as 32, 32kB or 0\.5MB"):
        Kilobytes.convert(text, None, None)
