"""The reader's layers one by one: encoder, characters, attention, packed dropout."""

import pytest
import torch
from torch import Tensor, nn

from glomo_spacy.models.packing import TextPacking
from glomo_spacy.models.qa.attention import BiAttention
from glomo_spacy.models.qa.characters import CharacterEncoder, distinct_rows
from glomo_spacy.models.qa.encoder import Encoder
from glomo_spacy.models.qa.recurrence import run_gru

LENGTHS = (3, 6, 1, 6)


def make_packing() -> TextPacking:
    return TextPacking(torch.arange(7) < torch.tensor(LENGTHS)[:, None])


def make_encoder() -> Encoder:
    encoder = Encoder(4, 3).double()
    nn.init.normal_(encoder.first_state)
    return encoder


def test_encoder_equals_torchs_own_with_its_gradients() -> None:
    encoder, packing = make_encoder(), make_packing()
    rows = torch.randn(sum(LENGTHS), 4, dtype=torch.float64, requires_grad=True)
    direction = torch.randn(sum(LENGTHS), 6, dtype=torch.float64)
    state = encoder.first_state[:, None].expand(-1, len(LENGTHS), -1)
    results, gradients = [], []
    for read in (encoder._read_here, encoder._read_natively):
        results.append(read(rows, state, packing))
        gradients.append(torch.autograd.grad((results[-1] * direction).sum(), [rows, *encoder.parameters()]))
    torch.testing.assert_close(*results)
    for ours, theirs in zip(*gradients):
        torch.testing.assert_close(ours, theirs)


def test_every_gradient_of_the_recurrence_is_right() -> None:
    sizes = [3, 2, 2, 1]
    inputs = [torch.randn(*shape, dtype=torch.float64) for shape in ((2, 8, 6), (2, 6, 2), (2, 6), (2, 3, 2))]
    assert torch.autograd.gradcheck(
        lambda *tensors: run_gru(*tensors, sizes), [tensor.requires_grad_() for tensor in inputs], fast_mode=True
    )


def test_recurrence_stays_in_float32_under_autocast() -> None:
    encoder, packing = make_encoder().float(), make_packing()
    rows = torch.randn(sum(LENGTHS), 4)
    exact = encoder(rows, packing)
    with torch.autocast("cpu", torch.bfloat16):
        states = encoder(rows, packing)
        states.sum().backward()
    assert states.dtype == torch.float32
    torch.testing.assert_close(states, exact, atol=0.05, rtol=0)


@pytest.mark.parametrize("lengths", [LENGTHS, (4, 4), (5,)])
def test_packed_texts_come_back_and_their_reverse_is_its_own_inverse(lengths: tuple) -> None:
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    packing = TextPacking(mask)
    padded = torch.randn(*mask.shape, 2) * mask[..., None]
    packed = packing.pack(padded)
    assert torch.equal(packing.unpack(packed), padded)
    mirrored = packing.mirrored()
    assert torch.equal(mirrored[mirrored], torch.arange(len(mirrored)))
    assert torch.equal(packing.texts[mirrored], packing.texts)
    reverse = packing.unpack(packed[mirrored])
    for text, length in enumerate(lengths):
        assert torch.equal(reverse[text, :length], padded[text, :length].flip(0))


def test_dropout_of_packed_texts_is_locked_to_the_text() -> None:
    packing = make_packing()
    dropped = packing.unpack(packing.drop(torch.ones(sum(LENGTHS), 50), 0.5))
    for text, length in enumerate(LENGTHS):
        assert (dropped[text, :length] == dropped[text, 0]).all()
    assert set(dropped[1, 0].tolist()) == {0.0, 2.0}
    assert not torch.equal(dropped[0, 0], dropped[1, 0])


def test_characters_take_the_greatest_of_a_convolution_at_all_places() -> None:
    encoder = CharacterEncoder(9, width=3, n_channels=4, kernel_size=2)
    nn.init.normal_(encoder.table.weight)
    ids = torch.randint(9, (30, 5))
    convolution = nn.Conv1d(3, 4, 2)
    kernels = encoder.convolution.weight.unflatten(1, (2, 3)).transpose(1, 2)
    convolution.load_state_dict({"weight": kernels, "bias": encoder.convolution.bias})
    expected = convolution(encoder.table(ids).transpose(1, 2)).amax(-1)
    torch.testing.assert_close(encoder(ids), expected)


def test_the_character_table_begins_with_zeros_for_nothing_and_unknown() -> None:
    weight = CharacterEncoder(200).table.weight.detach()
    assert not weight[:2].any()
    assert 0.005 < float(weight[2:].std()) < 0.02


@pytest.mark.parametrize("n_ids", [3, 300, 1 << 20])
def test_distinct_rows_are_exactly_the_different_ones(n_ids: int) -> None:
    ids = torch.randint(0, n_ids, (20, 16))[torch.randint(20, (50,))]
    distinct, places = distinct_rows(ids, n_ids)
    assert torch.equal(distinct[places], ids)
    assert len(distinct) == len(ids.unique(dim=0))


@pytest.mark.parametrize("attention", ["softmax", "square"])
def test_what_is_found_is_a_mean_of_the_other_text(attention: str) -> None:
    layer, packing = BiAttention(3, attention), TextPacking(torch.ones(1, 4, dtype=torch.bool))
    same: Tensor = torch.randn(3).expand(1, 2, 3)  # every mean of equal rows is that row
    found = layer(torch.randn(1, 4, 3), same, packing, torch.ones(1, 2, dtype=torch.bool))[:, 3:6]
    torch.testing.assert_close(found, same[0, :1].expand(4, 3))


def test_attention_begins_with_products_between_a_deviation_and_one() -> None:
    products = BiAttention(100).products.detach()
    assert 0.1 <= float(products.min()) < 0.2
    assert 0.9 < float(products.max()) <= 1.0
