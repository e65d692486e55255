"""Recurrent networks by hand: the book's counting network, gradients against differences and torch, gates."""

from typing import Any

import numpy as np
import pytest
import torch

from supervised.scratch.recurrent import (
    EXPLODING,
    GRU,
    LONG,
    LSTM,
    RNN,
    SHORT,
    count_ones,
    kept,
    states,
    through_time,
)
from supervised.training.errors import UserError


def test_counting_is_a_sum() -> None:
    """With both weights 1 the last state is the number of ones."""
    assert states(SHORT, 1, 1)[0, -1] == 3 and states(LONG, 1, 1)[0, -1] == 12
    np.testing.assert_allclose(states(np.array([[1.0, 2.0]]), 3, 0.5), [[0, 3, 7.5]])


def test_gradients_through_time_by_differences() -> None:
    rng = np.random.default_rng(0)
    inputs, targets, u, w = rng.normal(size=(3, 6)), rng.normal(size=3), 0.7, -0.9

    def cost(u: float, w: float) -> float:
        return float(((states(inputs, u, w)[:, -1] - targets) ** 2).sum())

    e = 1e-6
    numbers = (cost(u + e, w) - cost(u - e, w)) / (2 * e), (cost(u, w + e) - cost(u, w - e)) / (2 * e)
    assert through_time(inputs, states(inputs, u, w), targets, w) == pytest.approx(numbers, rel=1e-6)


def test_it_learns_to_count_and_a_longer_sequence_explodes() -> None:
    """As the book's figures show: 150 epochs do for ten steps; with 41 numbers explode at epoch 23."""
    short = count_ones(SHORT, SHORT.sum(1))
    assert short.losses[0] == 9 and short.inputs_weights[0] == -2 and short.state_weights[0] == 0
    assert states(SHORT, short.inputs_weights[-1], short.state_weights[-1])[0, -1] == pytest.approx(3, abs=0.05)
    long = count_ones(LONG, LONG.sum(1), learning_rate=EXPLODING)
    assert np.flatnonzero(long.losses > 1e3)[0] == 23 and np.isnan(long.losses[-1])
    assert np.isfinite(count_ones(LONG, LONG.sum(1)).losses).all()  # with the step that is printed
    clipped = count_ones(LONG, LONG.sum(1), learning_rate=EXPLODING, clip=10, epochs=2_000)
    assert clipped.losses[-1] < 1e-3
    with pytest.raises(UserError, match="clip=0: use a positive number"):
        count_ones(SHORT, SHORT.sum(1), clip=0)


@pytest.mark.parametrize("make", [RNN, LSTM, GRU, lambda *sizes: GRU(*sizes, reset="after")])
def test_gradients_by_differences(make: Any) -> None:
    rng = np.random.default_rng(1)
    layer, inputs, wanted = make(3, 4, rng), rng.normal(size=(5, 2, 3)), rng.normal(size=(5, 2, 4))

    def cost() -> float:
        return float((layer.forward(inputs) * wanted).sum())

    cost()
    gradients, by_inputs = layer.backward(wanted)
    for array, found in [*((layer.weights[name], gradients[name]) for name in layer.weights), (inputs, by_inputs)]:
        for place in [tuple(rng.integers(array.shape)) for _ in range(4)]:
            before = array[place]
            values = []
            for e in (1e-6, -1e-6):
                array[place] = before + e
                values.append(cost())
            array[place] = before
            assert found[place] == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-5, abs=1e-8)


#: torch's order of gates in its weights
TORCH = {"LSTM": "ifco", "GRU": "rzh", "RNN": "s"}


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_equal_to_torch(kind: str) -> None:
    """Outputs, and gradients by inputs and by every weight, in two layers on top of each other."""
    rng = np.random.default_rng(2)
    more = {"reset": "after"} if kind == "GRU" else {}
    makers: dict[str, Any] = {"RNN": RNN, "LSTM": LSTM, "GRU": GRU}
    layers = [makers[kind](inputs, 4, rng, **more) for inputs in (3, 4)]
    peer = getattr(torch.nn, kind)(3, 4, num_layers=2).double()
    with torch.no_grad():
        for k, layer in enumerate(layers):
            for name, parts in (("weight_ih", "W"), ("weight_hh", "U"), ("bias_ih", "b")):
                stacked = np.concatenate([layer.weights[f"{parts}_{gate}"].T for gate in TORCH[kind]])
                getattr(peer, f"{name}_l{k}").copy_(torch.tensor(stacked))
            getattr(peer, f"bias_hh_l{k}").zero_()
            if kind == "GRU":
                layer.weights["b_n"] = rng.normal(size=4)
                getattr(peer, f"bias_hh_l{k}")[8:].copy_(torch.tensor(layer.weights["b_n"]))
                # torch's z says how much is old
                for name in ("weight_ih", "weight_hh", "bias_ih"):
                    getattr(peer, f"{name}_l{k}")[4:8] *= -1
    inputs, wanted = rng.normal(size=(6, 2, 3)), rng.normal(size=(6, 2, 4))
    theirs = torch.tensor(inputs, requires_grad=True)
    outputs, _ = peer(theirs)
    (outputs * torch.tensor(wanted)).sum().backward()
    found = layers[1].forward(layers[0].forward(inputs))
    np.testing.assert_allclose(found, outputs.detach().numpy(), atol=1e-12)
    above, between = layers[1].backward(wanted)
    below, by_inputs = layers[0].backward(between)
    assert theirs.grad is not None
    np.testing.assert_allclose(by_inputs, theirs.grad.numpy(), atol=1e-12)
    for k, gradients in enumerate((below, above)):
        by_input_weights = getattr(peer, f"weight_ih_l{k}").grad.numpy().copy()
        if kind == "GRU":
            by_input_weights[4:8] *= -1
        stacked = np.concatenate([gradients[f"W_{gate}"].T for gate in TORCH[kind]])
        np.testing.assert_allclose(stacked, by_input_weights, atol=1e-12)


def test_a_value_is_kept_until_it_is_asked_for() -> None:
    steps = kept(4.2, 2)
    assert [one["cell"] for one in steps] == [4.2] * 4 and [one["output"] for one in steps] == [0, 0, 0, 4.2]


def test_a_cell_whose_gates_are_open_keeps_its_gradient() -> None:
    """Where nothing is forgotten a gradient crosses 60 steps whole; of a plain network nothing is left."""
    rng = np.random.default_rng(3)
    lstm, rnn = LSTM(1, 1, rng), RNN(1, 1, rng)
    for name in lstm.weights:
        lstm.weights[name][:] = 0
    lstm.weights["b_f"][:], lstm.weights["b_i"][:], lstm.weights["b_o"][:] = 50, 50, 50
    lstm.weights["W_c"][:] = 0.01
    rnn.weights["U_s"][:] = 0.6
    inputs, last = np.zeros((60, 1, 1)), np.zeros((60, 1, 1))
    last[-1] = 1
    for layer in (lstm, rnn):
        layer.forward(inputs)
    assert lstm.backward(last)[1][0, 0, 0] == pytest.approx(0.01)
    assert abs(rnn.backward(last)[1][0, 0, 0]) < 1e-12
