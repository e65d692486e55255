"""Chapter 7: recurrent networks, language and speech."""

from tools.book.rows import PROSE, Equation, Item, Sections, evaluated

PART = "language and speech"
MEMORY = "python -m agents.train ppo --preset memory"


def to_come(*rows: tuple[str, str] | tuple[str, str, str]) -> list[Item]:
    """Items of kind, what they are and the book's result, none of which is here yet."""
    return [Item(kind, what, "", book=result[0] if result else "-", part=PART) for kind, what, *result in rows]


def formulas(*states: str) -> list[Equation]:
    """Equations none of which is here yet."""
    return [Equation(one, part=PART) for one in states]


ITEMS: Sections[Item] = {
    "Recurrent neural networks": to_come(
        ("figure", "a recurrent network, folded and unfolded"),
        ("figure", "recurrent networks on top of each other"),
        ("figure", "one or many in, one or many out"),
    ),
    "RNN implementation and training": to_come(
        ("example", "counting the ones in a sequence", "3"),
        ("figure", "the network that counts: two weights"),
        ("listing", "the sequence, and its number of ones"),
        ("listing", "a step"),
    ),
    "Backpropagation through time": to_come(
        ("listing", "the forward pass"),
        ("listing", "the backward pass"),
        ("listing", "gradient descent"),
        ("listing", "drawing loss and weights"),
        ("listing", "150 epochs"),
        ("figure", "loss and weights by epoch"),
    ),
    "Vanishing and exploding gradients": [
        *to_come(
            ("listing", "a sequence of 41 with twelve ones"),
            ("result", "warnings of numbers that overflow", "three warnings"),
            ("figure", "loss and weights until they explode", "at epoch 23"),
        ),
        Item(
            "example",
            "powers: 1.5 to the 50th, 0.6 to the 20th",
            PROSE,
            lambda: f"{1.5**50:.1e}, {0.6**20:.1e}",
            book="6e8, 3e-5",
        ),
    ],
    "Long short-term memory": [
        Item(
            "figure",
            "a cell with three gates",
            (f"{MEMORY} --backbone lstm", "supervised/backbones.py:Recurrent"),
            "torch's, as memory of agents",
        ),
        *to_come(("example", "4.2 stored, kept for two steps and read", "4.2")),
    ],
    "Gated recurrent units": [
        Item(
            "figure",
            "a cell with two gates",
            (MEMORY, "supervised/backbones.py:Recurrent"),
            evaluated(
                "ppo-memory", "mean", ".1f", "torch's, as memory of agents: CartPole without velocities, of 500:"
            ),
        ),
    ],
    "N-grams": to_come(
        ("example", "n-grams of a phrase of four words", "4, 3, 2 and 1 of them"),
        ("example", "5-grams of 100 words", "10,000,000,000"),
    ),
    "Neural language models": to_come(
        ("figure", "words, one-hot, as vectors of four numbers"),
        ("figure", "a network that tells the next word"),
        ("steps", "continuous bags of words, and skip-grams"),
        ("figure", "both kinds of networks"),
        ("figure", "words in a plane, related ones near", "related words are near"),
        ("figure", "differences between words that mean the same", "woman - man = queen - king"),
    ),
    "Character-based models for generating new text": to_come(
        ("steps", "a novel cleaned and put into numbers", "98 characters"),
        ("figure", "batches of text, each going on where the last ended"),
        ("listing", "inputs and targets"),
        ("listing", "characters one-hot"),
        ("listing", "cells of two layers of 512"),
        ("listing", "the layers together"),
        ("listing", "the state between batches"),
        ("listing", "unfolding in time"),
        ("listing", "keeping the last state"),
        ("listing", "flat outputs"),
        ("listing", "logits and chances"),
        ("figure", "the network unfolded"),
        ("listing", "the loss"),
        ("listing", "a step with gradients clipped to 5"),
        ("listing", "the loop over batches"),
        ("listing", "drawing text, character by character"),
        ("result", "text after 500 batches", "nothing but look-alikes of words"),
        ("result", "text after 5,000 batches", "words and names, some made up"),
        ("result", "text after 50,000 batches", "a year, and short sense"),
        ("result", "text after 500,000 batches", "sentences and talk, without a thread"),
    ),
    "Sequence to sequence learning": to_come(
        ("figure", "encoder and decoder"),
        ("claim", "a sequence reversed is learnt better"),
        ("figure", "attention"),
    ),
    "Speech recognition": to_come(
        ("figure", "from sound to words"),
        ("figure", "a recording of two words", "about 50,000 samples"),
        ("figure", "its Mel spectrum", "118 x 40"),
        ("claim", "mixtures of Gaussians and hidden Markov models"),
        ("example", "CTC: what a path of labels and blanks says", "aab"),
        ("figure", "a lattice of words"),
        ("claim", "Viterbi's algorithm and beam search"),
    ),
}

EQUATIONS: Sections[Equation] = {
    "Recurrent neural networks": formulas(
        "a state from the last one and the input",
        "the same by two matrices",
        "the output",
        "of layers on top of each other",
    ),
    "Backpropagation through time": formulas(
        "the derivative by the state before",
        "by the input's weight, a sum over time",
        "by the state's weight, the same",
    ),
    "Vanishing and exploding gradients": formulas("the derivative across m steps, a power"),
    "Long short-term memory": formulas(
        "the gate that forgets", "the gate of input", "the candidate", "the cell", "the gate of output", "the output"
    ),
    "Gated recurrent units": formulas("the gate that updates", "the gate that resets", "the candidate", "the state"),
    "N-grams": formulas(
        "the chance of a text, word after word",
        "of a word",
        "of a word after another",
        "of a word after n - 1 others",
        "of a text by single words",
        "of a text by trigrams",
    ),
    "Sequence to sequence learning": formulas("the chance of an output sequence, a product", "the same, written out"),
    "Sequence to sequence with attention": formulas(
        "the decoder's state", "the context, a weighted sum", "its weights, a softmax", "the score of a place"
    ),
    "Speech recognition pipeline": formulas(
        "the likeliest words", "their chance by Bayes (E-11)", "the same with phonemes between"
    ),
    "Decoding": formulas("the chance of words, in three factors"),
}
