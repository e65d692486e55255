"""Recurrent networks, with back-propagation through time written out (book, chapter 7).

All run over inputs ``(time, batch, inputs)`` and give states ``(time, batch, units)``; gradients go the same way back.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from supervised.scratch.activations import sigmoid
from supervised.training.errors import require

Array = NDArray[np.float64]

START = (-2.0, 0.0)  # U and W where the book begins
#: the book's sequences, of which it says how many ones are in each
SHORT = np.array([[0, 0, 0, 0, 1, 0, 1, 0, 1, 0]])
LONG = np.isin(np.arange(41), [4, 6, 8, 14, 16, 18, 24, 26, 28, 35, 37, 39])[None].astype(int)
#: the book prints steps of 0.0005, by which the longer sequence's numbers stay finite for all of 150 epochs; by three
#: times as long ones they explode at epoch 23, as its figure shows
EXPLODING = 0.0015


class Training(NamedTuple):
    """What each epoch of `count_ones` began with; NaN and infinity where numbers have exploded."""

    losses: Array
    inputs_weights: Array  # U
    state_weights: Array  # W


def states(inputs: Array, u: float, w: float) -> Array:
    """States ``(n, 1 + time)`` of the network with two weights, s_t = s_{t-1} W + x_t U, of inputs ``(n, time)``."""
    found = np.zeros((len(inputs), inputs.shape[1] + 1))
    for t in range(inputs.shape[1]):
        found[:, t + 1] = found[:, t] * w + inputs[:, t] * u
    return found


def through_time(inputs: Array, found: Array, targets: Array, w: float) -> tuple[float, float]:
    """dJ/dU and dJ/dW of J = sum (s_n - y)^2, of `states`.

    dJ/ds_{t-1} = dJ/ds_t W, so across m steps the gradient is multiplied by W^m: it vanishes or explodes.
    """
    by_state = 2 * (found[:, -1] - targets)
    by_u = by_w = 0.0
    for t in range(inputs.shape[1], 0, -1):
        by_u += float((by_state * inputs[:, t - 1]).sum())  # dJ/dU = sum_t dJ/ds_t x_t
        by_w += float((by_state * found[:, t - 1]).sum())  # dJ/dW = sum_t dJ/ds_t s_{t-1}
        by_state = by_state * w
    return by_u, by_w


def count_ones(
    inputs: Array, targets: Array, epochs: int = 150, learning_rate: float = 0.0005, clip: float = np.inf
) -> Training:
    """Teach the network with two weights to count by gradient descent, as the book's listings do.

    Args:
        inputs, targets: ``(n, time)`` of zeros and ones, and how many ones are in each ``(n,)``.
        clip: the most that the length of the gradient may be; a longer one is made that long.
    """
    require(clip > 0, "clip", clip, "use a positive number")
    u, w = START
    rows = []
    with np.errstate(over="ignore", invalid="ignore"):  # they explode, to be seen
        for _ in range(epochs):
            found = states(inputs, u, w)
            rows.append((float(((found[:, -1] - targets) ** 2).sum()), u, w))
            gradient = np.array(through_time(inputs, found, targets, w))
            length = np.hypot(*gradient)
            if length > clip:
                gradient *= clip / length
            u, w = (u, w) - learning_rate * gradient
    return Training(*np.array(rows).T)


class Layer:
    """What recurrent layers share: weights by name, and sums over time.

    Args:
        inputs, units: how many numbers come in at a step, and go out.
        gates: names of what has weights of its own: ``W (inputs, units)``, ``U (units, units)`` and ``b (units,)``.
        rng: draws the first weights, evenly up to 1 / sqrt(units), as torch does.
    """

    def __init__(self, inputs: int, units: int, gates: str, rng: np.random.Generator) -> None:
        bound = units**-0.5
        shapes = {"W": (inputs, units), "U": (units, units), "b": (units,)}
        self.units = units
        self.weights = {
            f"{kind}_{gate}": rng.uniform(-bound, bound, shape) for gate in gates for kind, shape in shapes.items()
        }

    def enters(self, gate: str, x: Array, h: Array) -> Array:
        """W x + U h + b of a gate ``(batch, units)``."""
        return x @ self.weights[f"W_{gate}"] + h @ self.weights[f"U_{gate}"] + self.weights[f"b_{gate}"]

    def _add(self, gradients: dict[str, Array], gate: str, delta: Array, x: Array, h: Array) -> tuple[Array, Array]:
        """Add a gate's gradients at a step, and return what goes on to x and h."""
        gradients[f"W_{gate}"] += x.T @ delta
        gradients[f"U_{gate}"] += h.T @ delta
        gradients[f"b_{gate}"] += delta.sum(0)
        return delta @ self.weights[f"W_{gate}"].T, delta @ self.weights[f"U_{gate}"].T

    def _zeros(self) -> dict[str, Array]:
        return {name: np.zeros_like(one) for name, one in self.weights.items()}


class RNN(Layer):
    """s_t = tanh(W x_t + U s_{t-1} + b). Layers on top of each other: one's states are the next one's inputs."""

    def __init__(self, inputs: int, units: int, rng: np.random.Generator) -> None:
        super().__init__(inputs, units, "s", rng)

    def forward(self, inputs: Array) -> Array:
        """States ``(time, batch, units)``, after zeros."""
        found = np.zeros((len(inputs) + 1, inputs.shape[1], self.units))
        for t, x in enumerate(inputs):
            found[t + 1] = np.tanh(self.enters("s", x, found[t]))
        self._inputs, self._states = inputs, found
        return found[1:]

    def backward(self, by_states: Array) -> tuple[dict[str, Array], Array]:
        """Gradients by name, and by the inputs, of dJ/ds_t ``(time, batch, units)`` as J has it of each state alone."""
        gradients, by_inputs = self._zeros(), np.zeros_like(self._inputs)
        later: Array = np.zeros_like(by_states[0])
        for t in reversed(range(len(by_states))):
            delta = (by_states[t] + later) * (1 - self._states[t + 1] ** 2)
            by_inputs[t], later = self._add(gradients, "s", delta, self._inputs[t], self._states[t])
        return gradients, by_inputs


class LSTM(Layer):
    """Long short-term memory (Hochreiter and Schmidhuber 1997; Gers et al. 2000 for the gate that forgets)."""

    def __init__(self, inputs: int, units: int, rng: np.random.Generator) -> None:
        super().__init__(inputs, units, "fico", rng)

    def step(self, x: Array, h: Array, c: Array) -> dict[str, Array]:
        """All that a step computes, ``(batch, units)`` each, of the input, the last output and the last cell."""
        f = sigmoid(self.enters("f", x, h))  # how much of the cell stays
        i = sigmoid(self.enters("i", x, h))  # how much of the candidate is added
        candidate = np.tanh(self.enters("c", x, h))
        cell = f * c + i * candidate
        o = sigmoid(self.enters("o", x, h))  # how much of the cell is put out
        return {"f": f, "i": i, "c": candidate, "cell": cell, "o": o, "h": o * np.tanh(cell)}

    def forward(self, inputs: Array) -> Array:
        """Outputs ``(time, batch, units)``, after zeros."""
        zeros: Array = np.zeros((inputs.shape[1], self.units))
        self._inputs, self._steps = inputs, [{"h": zeros, "cell": zeros}]
        for x in inputs:
            self._steps.append(self.step(x, self._steps[-1]["h"], self._steps[-1]["cell"]))
        return np.array([one["h"] for one in self._steps[1:]])

    def backward(self, by_outputs: Array) -> tuple[dict[str, Array], Array]:
        """As of `RNN`. Back to the last cell goes what comes, times f: nothing vanishes where nothing is forgotten."""
        gradients, by_inputs = self._zeros(), np.zeros_like(self._inputs)
        by_h: Array = np.zeros_like(by_outputs[0])
        by_cell: Array = np.zeros_like(by_h)
        for t in reversed(range(len(by_outputs))):
            last, now = self._steps[t], self._steps[t + 1]
            by_h = by_h + by_outputs[t]
            by_cell = by_cell + by_h * now["o"] * (1 - np.tanh(now["cell"]) ** 2)
            deltas = {
                "f": by_cell * last["cell"] * now["f"] * (1 - now["f"]),
                "i": by_cell * now["c"] * now["i"] * (1 - now["i"]),
                "c": by_cell * now["i"] * (1 - now["c"] ** 2),
                "o": by_h * np.tanh(now["cell"]) * now["o"] * (1 - now["o"]),
            }
            back = [self._add(gradients, gate, delta, self._inputs[t], last["h"]) for gate, delta in deltas.items()]
            by_inputs[t], by_h = (sum(parts) for parts in zip(*back, strict=True))
            by_cell = by_cell * now["f"]
        return gradients, by_inputs


class GRU(Layer):
    """Gated recurrent unit (Cho et al. 2014).

    Args:
        reset: "before" multiplies the state before its weights, U (r h), as the book and the paper do; "after" behind
            them, r (U h + b'), as torch does, with a further bias ``b_n``.
    """

    def __init__(self, inputs: int, units: int, rng: np.random.Generator, reset: str = "before") -> None:
        super().__init__(inputs, units, "zrh", rng)
        require(reset in ("before", "after"), "reset", reset, "use before or after")
        self.reset = reset
        if reset == "after":
            self.weights["b_n"] = np.zeros(units)

    def step(self, x: Array, h: Array) -> dict[str, Array]:
        """All that a step computes, ``(batch, units)`` each, of the input and the last state."""
        z = sigmoid(self.enters("z", x, h))  # how much is new
        r = sigmoid(self.enters("r", x, h))  # how much of the state the candidate sees
        inner: Array = np.zeros_like(h)
        if self.reset == "before":
            candidate = np.tanh(self.enters("h", x, r * h))
        else:
            inner = h @ self.weights["U_h"] + self.weights["b_n"]
            candidate = np.tanh(x @ self.weights["W_h"] + self.weights["b_h"] + r * inner)
        return {"z": z, "r": r, "c": candidate, "inner": inner, "h": (1 - z) * h + z * candidate}

    def forward(self, inputs: Array) -> Array:
        """States ``(time, batch, units)``, after zeros."""
        self._inputs, self._steps = inputs, [{"h": np.zeros((inputs.shape[1], self.units))}]
        for x in inputs:
            self._steps.append(self.step(x, self._steps[-1]["h"]))
        return np.array([one["h"] for one in self._steps[1:]])

    def backward(self, by_states: Array) -> tuple[dict[str, Array], Array]:
        """As of `RNN`."""
        gradients, by_inputs = self._zeros(), np.zeros_like(self._inputs)
        by_h: Array = np.zeros_like(by_states[0])
        for t in reversed(range(len(by_states))):
            x, h, now = self._inputs[t], self._steps[t]["h"], self._steps[t + 1]
            by_h = by_h + by_states[t]
            delta = by_h * now["z"] * (1 - now["c"] ** 2)  # of what enters the candidate
            if self.reset == "before":
                to_x, to_seen = self._add(gradients, "h", delta, x, now["r"] * h)
                by_r, to_h = to_seen * h, to_seen * now["r"]
            else:
                by_inner = delta * now["r"]
                gradients["W_h"] += x.T @ delta
                gradients["b_h"] += delta.sum(0)
                gradients["U_h"] += h.T @ by_inner
                gradients["b_n"] += by_inner.sum(0)
                to_x, to_h = delta @ self.weights["W_h"].T, by_inner @ self.weights["U_h"].T
                by_r = delta * now["inner"]
            by_z = by_h * (now["c"] - h)
            gates = [
                self._add(gradients, "r", by_r * now["r"] * (1 - now["r"]), x, h),
                self._add(gradients, "z", by_z * now["z"] * (1 - now["z"]), x, h),
            ]
            by_inputs[t] = to_x + gates[0][0] + gates[1][0]
            by_h = by_h * (1 - now["z"]) + to_h + gates[0][1] + gates[1][1]
        return gradients, by_inputs


def kept(value: float, steps: int) -> list[dict[str, float]]:
    """The book's unfolded cell: a value is stored, kept for so many steps, and put out.

    The gates are set by hand, and the value enters and leaves as it is, without tanh, which would squash it.

    Returns:
        gates, cell and output of every step.
    """
    cell, found = 0.0, []
    for step in range(steps + 2):
        f, i, o = float(step > 0), float(step == 0), float(step == steps + 1)
        cell = f * cell + i * value
        found.append({"f": f, "i": i, "o": o, "cell": cell, "output": o * cell})
    return found
