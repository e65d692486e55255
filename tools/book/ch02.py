"""Chapter 2: neural networks, trained by back-propagation from scratch."""

import numpy as np

from supervised.scratch.activations import boxcar
from tools.book.rows import PROSE, Equation, Item, Sections, picture

DRAW = "python -m supervised.figures"
REGRESSION = "supervised/scratch/regression.py"
ACTIVATIONS = "supervised/scratch/activations.py"
NETWORK = "supervised/scratch/network.py"
OPTIMIZERS = "supervised/scratch/optimizers.py"


def box() -> str:
    """Where the box of two logistic units begins and ends."""
    x = np.linspace(-10, 10, 20_001)
    high = x[boxcar(x, -5, 5, 7) > 3.5]
    return f"from {high[0]:.1f} to {high[-1]:.1f}, {boxcar(np.zeros(1), -5, 5, 7)[0]:g} high"


ITEMS: Sections[Item] = {
    "An introduction to neurons": [
        Item("figure", "lines with and without a bias", f"{REGRESSION}:with_bias"),
    ],
    "Multi-layer neural networks": [
        Item("claim", "layers may form any graph without loops", PROSE, "acyclic, not cyclic as printed (E-2)"),
    ],
    "Different types of activation function": [
        Item(
            "table",
            "six activation functions and their derivatives",
            (f"{DRAW} activations", f"{ACTIVATIONS}:ACTIVATIONS"),
        ),
    ],
    "Putting it all together with an example": [
        Item("figure", "a function made of steps, and a single box", f"{DRAW} boxcar", "a sine of 12 boxes"),
        Item(
            "figure",
            "a sigmoid of weight 1, of weight 10, and moved by its bias",
            f"{ACTIVATIONS}:boxcar",
            "t = -b / w",
        ),
        Item(
            "listing",
            "a box of two logistic units",
            (f"{DRAW} boxcar", f"{ACTIVATIONS}:boxcar"),
            "without overflow, where the listing warns",
        ),
        Item("result", "where the box begins and ends", f"{ACTIVATIONS}:boxcar", box, book="from -5.0 to 5.0, 7 high"),
    ],
    "Linear regression": [
        Item("steps", "gradient descent on squared errors", f"{REGRESSION}:descend"),
        Item("figure", "the error by the weight, a bowl", f"{DRAW} descents", "its contours, and ways down"),
        Item("claim", "all samples, one, or some of them a step", f"{DRAW} descents", "the three ways drawn"),
    ],
    "Code example of a neural network for the XOR function": [
        Item("listing", "imports", NETWORK),
        Item("listing", "tanh and its derivative", f"{ACTIVATIONS}:ACTIVATIONS", "of the activation value (E-4)"),
        Item("listing", "the head of the class", f"{NETWORK}:Network"),
        Item("listing", "first weights from -1 to 1", f"{NETWORK}:Network.__init__"),
        Item("listing", "training: biases and progress", f"{NETWORK}:Network.fit"),
        Item("listing", "training: forward", f"{NETWORK}:Network._forward"),
        Item("listing", "training: backward", f"{NETWORK}:Network.gradients", "for layers of any sizes (E-5)"),
        Item("listing", "what the network answers", f"{NETWORK}:Network.predict"),
        Item("listing", "drawing the regions", "supervised/figures.py:xor"),
        Item("listing", "a network of 2, 2 and 1 that learns XOR", f"{DRAW} xor"),
        Item(
            "figure",
            "its regions, from far and from near",
            f"{DRAW} xor",
            picture("xor"),
            book="a band holds the two that are true",
        ),
        Item(
            "figure", "regions of [2, 4, 3, 1]", f"{DRAW} xor", picture("xor"), book="the classes are parted, by curves"
        ),
        Item("figure", "regions of [2, 4, 1]", f"{DRAW} xor", picture("xor"), book="the classes are parted, by curves"),
    ],
}

EQUATIONS: Sections[Equation] = {
    "An introduction to neurons": [
        Equation("a neuron: f of a weighted sum and a bias", NETWORK, "", "y_j = f(a_j)"),
    ],
    "Different types of activation function": [
        Equation("the logistic function's derivative", ACTIVATIONS, "ACTIVATIONS", "f' = f (1 - f)"),
    ],
    "Linear regression": [
        Equation("mean squared error", REGRESSION, "mean_squared_error", "J(w) = 1/n sum_i"),
        Equation("a step against the gradient", REGRESSION, "descend", "w <- w - learning_rate dJ/dw"),
        Equation("the partial derivative by a weight", REGRESSION, "mean_squared_error", "its gradient 2/n sum_i"),
        Equation("the same, by the chain rule", REGRESSION, "mean_squared_error", "its gradient 2/n sum_i"),
        Equation("the same, of inputs and errors", REGRESSION, "mean_squared_error", "2 / len(targets) * errors"),
        Equation("the update of a weight", REGRESSION, "descend", "weights - learning_rate * cost"),
        Equation("the update of all weights", REGRESSION, "descend", "weights - learning_rate * cost"),
    ],
    "Logistic regression": [
        Equation("chances of both classes (E-3)", REGRESSION, "cross_entropy", "P(t | x, w) is s(a)"),
        Equation("the same in one", REGRESSION, "cross_entropy", "t_i log s(a_i)"),
        Equation("of all samples, a product", REGRESSION, "cross_entropy", "t_i log s(a_i)"),
        Equation("its logarithm, a sum", REGRESSION, "cross_entropy", "np.logaddexp(0, -activation)"),
        Equation("the sum's derivative", REGRESSION, "cross_entropy", "The gradient is 1/n sum_i"),
        Equation("the chain rule", NETWORK, "", "delta_j = dJ/dy_j f'(a_j)"),
        Equation("of the logistic function by its own sample", ACTIVATIONS, "ACTIVATIONS", "f' = f (1 - f)"),
        Equation("and by another, which is 0", REGRESSION, "cross_entropy", "sigmoid(activation) - targets"),
        Equation(
            "of the activation value by a weight",
            REGRESSION,
            "cross_entropy",
            "(sigmoid(activation) - targets) @ inputs",
        ),
        Equation("of log s", REGRESSION, "cross_entropy", "log s(a) = -log(1 + exp(-a))"),
        Equation("of log(1 - s)", REGRESSION, "cross_entropy", "log(1 - s(a)) = log s(-a)"),
    ],
    "Backpropagation": [
        Equation("the chain rule again", NETWORK, "", "delta_j = dJ/dy_j f'(a_j)"),
        Equation("by a weight of the last layer", NETWORK, "", "dJ/dw_ij = delta_j y_i"),
        Equation("the same with y_i in it", NETWORK, "", "dJ/dw_ij = delta_j y_i"),
        Equation("of hidden layers, the same", NETWORK, "Network.gradients", "outputs[layer].T @ delta"),
        Equation("by an output, summed over all it feeds", NETWORK, "", "sum_j delta_j w_ij"),
        Equation("a sequence of layers", NETWORK, "Network._forward", "outputs[-1] @ weights[1:] + weights[0]"),
        Equation("by a weight, in such a sequence", NETWORK, "Network.gradients", "outputs[layer].T @ delta"),
        Equation("by an output, in such a sequence", NETWORK, "Network.gradients", "delta @ self.weights[layer][1:].T"),
        Equation("by an output, in errors delta", NETWORK, "", "sum_j delta_j w_ij"),
        Equation("the error of an output", NETWORK, "", "delta_j = dJ/dy_j f'(a_j)"),
        Equation("the error of a hidden neuron", NETWORK, "", "delta_i = (sum_j delta_j w_ij) f'(a_i)"),
        Equation("by a weight, in errors", NETWORK, "", "dJ/dw_ij = delta_j y_i"),
        Equation("the update", OPTIMIZERS, "Optimizer", "w <- w - eta g"),
    ],
}
