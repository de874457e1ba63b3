"""Heat maps hold the tokens as text, in any script, and are the same each time."""

import dataclasses
import xml.etree.ElementTree as ET

import pytest
from PIL import Image

from optical_ir.alignment import align
from optical_ir.alignment_figure import check_figure_output, draw_alignment
from optical_ir.errors import ConfigError
from optical_ir.models.tokens import Token


@pytest.fixture(scope="module")
def alignment(tiny_encoder):
    return align(tiny_encoder, tiny_encoder, "mbwa zee ona paka", "the old dog sees a cat")


def texts_of(path):
    return ["".join(e.itertext()) for e in ET.parse(path).iter() if e.tag.endswith("}text")]


def size_of(path):
    with Image.open(path) as image:
        return image.size


def with_source(alignment, texts):
    source = tuple(Token(text, -1, -1, number) for number, text in enumerate(texts))
    return dataclasses.replace(alignment, source=source)


def test_an_svg_parses_and_holds_the_tokens(alignment, tmp_path):
    path = tmp_path / "plan.svg"
    draw_alignment(alignment, path)
    shown = texts_of(path)
    assert [text for text in shown if text in "mbwa zee ona paka".split()] == [
        *"mbwa zee ona paka".split()
    ]
    assert {*"the old dog sees a cat".split()} <= {*shown}
    assert f"transport cost {alignment.transport_cost:.4f}" in shown
    assert [file.name for file in tmp_path.iterdir()] == ["plan.svg"]


def test_the_same_plan_gives_the_same_bytes(alignment, tmp_path):
    for name in ("a.svg", "b.svg"):
        draw_alignment(alignment, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_a_png_grows_with_its_tokens(alignment, tiny_encoder, tmp_path):
    long = align(tiny_encoder, tiny_encoder, "red dog " * 10, "the old dog sees a cat")
    for name, one in (("short.png", alignment), ("long.png", long)):
        draw_alignment(one, tmp_path / name)
    short, tall = (size_of(tmp_path / name) for name in ("short.png", "long.png"))
    assert tall[1] > 2 * short[1]
    assert short[0] > 400


def test_characters_without_a_font_and_formulas_are_shown_as_they_are(alignment, tmp_path, caplog):
    path = tmp_path / "plan.svg"
    texts = ["\ue123", "$x^2$", "a&<b", "\u0645\u0627"]
    draw_alignment(with_source(alignment, texts), path)
    shown = texts_of(path)
    assert {"U+E123", *texts[1:]} <= {*shown}
    assert "No installed font has 1 of the characters (U+E123)" in caplog.text


@pytest.mark.parametrize("name", ["plan.pdf", "plan"])
def test_other_suffixes_are_refused(alignment, tmp_path, name):
    with pytest.raises(ConfigError, match=r"expected a file that ends in \.png or \.svg, found"):
        draw_alignment(alignment, tmp_path / name)


def test_an_existing_file_is_kept(tmp_path):
    (tmp_path / "plan.png").write_text("old")
    with pytest.raises(ConfigError, match="exists"):
        check_figure_output(tmp_path / "plan.png")
    check_figure_output(tmp_path / "plan.png", overwrite=True)
