from __future__ import annotations

import pytest

from graphpe.benchmarks.console.sizes import Range, Sizes, canonical_sizes
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.errors import GraphPEValueError


def test_ends_can_be_written_once_or_apart() -> None:
    sizes = Sizes(Range(None, 16), (Range(17, 24), Range(25, 32), Range(33, 64)))
    for text in ("16 | 17-24 25-32 33-64", "16|16-24 24-32, 32-64", "  16 |17-24   24-32 33-64 "):
        assert Sizes.parse(text) == sizes
        assert str(Sizes.parse(text)) == canonical_sizes(text) == "16 | 17-24 25-32 33-64"
        assert TrainConfig(sizes=text).sizes == "16 | 17-24 25-32 33-64"
    assert Sizes.parse("8-12 | 12-13 64") == Sizes(Range(8, 12), (Range(13, 13), Range(64, 64)))
    assert str(Sizes.parse("8-12 | 12-13 64")) == "8-12 | 13 64"
    assert Sizes.parse("16-16 | 32").train == Range(16, 16)
    assert canonical_sizes("") == ""


def test_parts_and_ends() -> None:
    ranges = Sizes.parse("16 | 32 33-40").ranges()
    assert list(ranges) == ["train", "valid", "test", "32", "33-40"]
    assert [each.named for each in ranges.values()] == ["up to 16"] * 3 + ["32", "33-40"]
    assert [each.filled() for each in ranges.values()] == [(4, 16)] * 3 + [(32, 32), (33, 40)]
    assert Sizes.parse("1 | 2").train.filled() == (1, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("16", "write the largest size of training"),
        ("16 |", "write the largest size of training"),
        ("| 17-24", "'' is no size"),
        ("16 | many", "'many' is no size"),
        ("16 | -3", "'-3' is no size"),
        ("16.5 | 20", "'16.5' is no size"),
        ("16 | 24-17", "24-17 has its ends the wrong way round"),
        ("0 | 24", "0 has its ends the wrong way round, or out of range"),
        ("16 | 9223372036854775807999", "is no size"),
        ("16 | 12-24", "the bin 12-24 begins at 12, but training reaches 16: begin it at 17"),
        ("64 | 17-24", "ends at 24, and training reaches 64"),
        ("16 | 16", "ends at 16, and training reaches 16"),
        ("16 | 17-32 24-40", "begins at 24, but the bin before it, 17-32, reaches it: begin it at 33"),
        ("16 | 33-64 17-32", "ends at 32, and the bin 33-64 reaches 64"),
    ],
)
def test_what_is_no_text_of_sizes(text: str, message: str) -> None:
    for read in (Sizes.parse, canonical_sizes, lambda text: TrainConfig(sizes=text)):
        with pytest.raises(GraphPEValueError, match=message) as caught:
            read(text)
        assert "\n" not in str(caught.value)
