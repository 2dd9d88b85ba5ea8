from __future__ import annotations

import pytest
import torch

from models.networks.layers import Dropout, set_rows
from models.networks.rows import Rows


def test_slices_cover_their_rows_once_and_are_as_even_as_may_be() -> None:
    assert Rows(8, 16, 16).sliced(2) == [Rows(8, 12, 16), Rows(12, 16, 16)]
    assert [rows.count for rows in Rows(0, 10, 10).sliced(4)] == [2, 3, 2, 3]
    assert sum(rows.share for rows in Rows(0, 10, 10).sliced(4)) == pytest.approx(1)


def test_a_slice_takes_its_rows_of_every_batch_in_a_draw() -> None:
    drawn = torch.arange(12)
    assert Rows(2, 4, 6).of(drawn).tolist() == [2, 3, 8, 9]
    assert Rows(0, 6, 6).of(drawn) is drawn


def test_what_is_drawn_is_for_whole_batches() -> None:
    rows = Rows(2, 4, 6)
    assert (rows.drawn(2), rows.drawn(4)) == (6, 12)
    with pytest.raises(ValueError, match="3 rows are no slices of 2 rows"):
        rows.drawn(3)


def test_dropout_of_slices_is_that_of_the_whole_batch() -> None:
    """Real and generated images of a slice lie in one batch, as those of the whole do."""
    layer = torch.nn.Sequential(Dropout(0.3))
    x = torch.rand(2, 6, 50)
    torch.manual_seed(3)
    whole = layer(x.flatten(0, 1)).unflatten(0, (2, 6))
    for rows in Rows(0, 6, 6).sliced(2):
        set_rows(layer, rows)
        torch.manual_seed(3)
        mine = layer(x[:, rows.start : rows.stop].flatten(0, 1))
        assert torch.equal(mine, whole[:, rows.start : rows.stop].flatten(0, 1))
    set_rows(layer, None)
    torch.manual_seed(3)
    assert torch.equal(layer(x.flatten(0, 1)).unflatten(0, (2, 6)), whole)
