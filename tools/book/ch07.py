"""Chapter 7: recurrent networks, language and speech."""

import numpy as np

from supervised.data.spoken import RATE
from supervised.language.ngrams import NGrams
from supervised.scratch import recurrent
from supervised.speech import features
from supervised.speech.ctc import said
from tools import language_results
from tools.book.rows import NOT_MEASURED, PROSE, Equation, Item, Reader, Sections, both, evaluated, picture

MEMORY = "python -m agents.train ppo --preset memory"

RECURRENT = "supervised/scratch/recurrent.py"
COUNTING = "python -m supervised.figures counting"
SPEECH = "supervised/speech"
HEARING = "python -m supervised.figures hearing"
NGRAMS = "supervised/language/ngrams.py"
CHARACTERS, CHARACTER_LM = "supervised/language/characters.py", "python -m supervised.train char-lm --preset book"
NEURAL_LM, WORD2VEC = "supervised/language/neural_lm.py", "supervised/language/word2vec.py"
VECTORS = "supervised/language/word_vectors.py"
SEQ2SEQ = "python -m supervised.train seq2seq"
RECURRENT_MODELS = "supervised/language/recurrent.py"


def answered(preset: str, what: str) -> Reader:
    """Of a preset of sequence to sequence models, the share of unseen inputs that it answers right."""
    return evaluated(f"supervised-seq2seq-{preset}", "exact", ".2%", what)


def phrase() -> str:
    """How many different n-grams of each length the book's phrase has."""
    numbers = np.arange(1, 5)
    found = NGrams.counted(numbers, ("<unk>", *"the quick brown fox".split()), order=4)
    *counts, last = (len(found.arrays[f"keys_{n}"]) for n in range(1, 5))
    return f"{', '.join(map(str, counts))} and {last}"


def counted() -> str:
    """What the network with two weights says of the book's short sequence after 150 epochs."""
    found = recurrent.count_ones(recurrent.SHORT, recurrent.SHORT.sum(1))
    last = recurrent.states(recurrent.SHORT, found.inputs_weights[-1], found.state_weights[-1])[0, -1]
    return f"{last:.2f}"


def exploded() -> str:
    """When the longer sequence's loss leaves all bounds, by which steps."""
    found = recurrent.count_ones(recurrent.LONG, recurrent.LONG.sum(1), learning_rate=recurrent.EXPLODING)
    return f"at epoch {np.flatnonzero(found.losses > 1e3)[0]}, with steps of {recurrent.EXPLODING}"


def printed() -> str:
    """The loss after 150 epochs by the steps that the book prints."""
    found = recurrent.count_ones(recurrent.LONG, recurrent.LONG.sum(1))
    return f"none: a loss of {found.losses[-1]:.0f} after 150 epochs, with the printed steps of 0.0005"


def heard() -> str:
    """The size of the Mel spectrum of a recording as long as the book's."""
    return "{} x {} of as many seconds".format(*features.mel(np.zeros(int(1.2 * RATE))).shape)


def path() -> str:
    """What the book's path of labels and blanks says."""
    return "".join("-ab"[label] for label in said(np.array([0, 1, 1, 0, 1, 2, 0, 0])))


def stored() -> str:
    """What the unfolded cell puts out in the end."""
    return f"{recurrent.kept(4.2, steps=2)[-1]['output']}"


def written(epoch: int) -> Reader:
    """What the model of the book's size made up after so many epochs."""

    def read() -> str:
        texts = language_results.texts_by_epoch()
        return f"after {epoch} of {len(texts)} epochs: {texts[str(epoch)]}" if texts else NOT_MEASURED

    return read


ITEMS: Sections[Item] = {
    "Recurrent neural networks": [
        Item("figure", "a recurrent network, folded and unfolded", f"{RECURRENT}:RNN"),
        Item("figure", "recurrent networks on top of each other", f"{RECURRENT}:RNN"),
        Item(
            "figure",
            "one or many in, one or many out",
            [f"python -m supervised.train {name}" for name in ("cnn", "captioning", "sentiment", "seq2seq", "char-lm")],
            "[all five run](../sequences.md)",
        ),
    ],
    "RNN implementation and training": [
        Item("example", "counting the ones in a sequence", COUNTING, counted, book="3"),
        Item("figure", "the network that counts: two weights", f"{RECURRENT}:states"),
        Item("listing", "the sequence, and its number of ones", f"{RECURRENT}:SHORT"),
        Item("listing", "a step", f"{RECURRENT}:states"),
    ],
    "Backpropagation through time": [
        Item("listing", "the forward pass", f"{RECURRENT}:states"),
        Item("listing", "the backward pass", f"{RECURRENT}:through_time"),
        Item("listing", "gradient descent", f"{RECURRENT}:count_ones"),
        Item("listing", "drawing loss and weights", COUNTING),
        Item("listing", "150 epochs", COUNTING),
        Item("figure", "loss and weights by epoch", COUNTING),
    ],
    "Vanishing and exploding gradients": [
        Item("listing", "a sequence of 41 with twelve ones", f"{RECURRENT}:LONG"),
        Item("result", "warnings of numbers that overflow", COUNTING, printed, book="three warnings"),
        Item("figure", "loss and weights until they explode", COUNTING, exploded, book="at epoch 23"),
        Item(
            "example",
            "powers: 1.5 to the 50th, 0.6 to the 20th",
            COUNTING,
            lambda: f"{1.5**50:.1e}, {0.6**20:.1e}",
            book="6e8, 3e-5",
        ),
    ],
    "Long short-term memory": [
        Item(
            "figure",
            "a cell with three gates",
            (f"{MEMORY} --backbone lstm", f"{RECURRENT}:LSTM"),
            "as memory of agents torch's",
        ),
        Item("example", "4.2 stored, kept for two steps and read", f"{RECURRENT}:kept", stored, book="4.2"),
    ],
    "Gated recurrent units": [
        Item(
            "figure",
            "a cell with two gates",
            (MEMORY, f"{RECURRENT}:GRU"),
            evaluated(
                "ppo-memory", "mean", ".1f", "torch's, as memory of agents: CartPole without velocities, of 500:"
            ),
        ),
    ],
    "N-grams": [
        Item(
            "example",
            "n-grams of a phrase of four words",
            (f"{NGRAMS}:NGrams", "tests/supervised/language/test_ngrams.py"),
            phrase,
            book="4, 3, 2 and 1 of them",
        ),
        Item("example", "5-grams of 100 words", PROSE, lambda: f"{100**5:,}", book="10,000,000,000"),
    ],
    "Neural language models": [
        Item("figure", "words, one-hot, as vectors of four numbers", f"{NEURAL_LM}:NeuralLM"),
        Item(
            "figure",
            "a network that tells the next word",
            ("python -m supervised.train neural-lm", f"{NEURAL_LM}:NeuralLM"),
            both(
                evaluated("supervised-neural-lm-default", "perplexity", ".1f", "perplexity"),
                evaluated("supervised-ngrams-default", "perplexity", ".1f", "of trigrams"),
                evaluated("supervised-neural-lm-default", "with_trigrams", ".1f", "of both together"),
            ),
        ),
        Item("steps", "continuous bags of words, and skip-grams", f"{WORD2VEC}:examples"),
        Item(
            "figure",
            "both kinds of networks",
            ("python -m supervised.train word2vec", "python -m supervised.train word2vec --preset cbow"),
            both(
                evaluated("supervised-word2vec-default", "loss", ".3f", "loss of skip-gram"),
                evaluated("supervised-word2vec-default", "baseline", ".3f", "without looking at what is near"),
                evaluated("supervised-word2vec-cbow", "loss", ".3f", "CBOW"),
                evaluated("supervised-word2vec-cbow", "baseline", ".3f", "without looking"),
            ),
        ),
        Item(
            "figure",
            "words in a plane, related ones near",
            "supervised/language/related.py:draw",
            both(picture("words"), evaluated("supervised-word2vec-cbow", "related", ".0%", "pairs near, by CBOW:")),
            book="related words are near",
        ),
        Item(
            "figure",
            "differences between words that mean the same",
            ("python -m supervised.words RUN analogy man woman king", "supervised/language/related.py:draw"),
            both(
                picture("analogies"),
                "the novel has hardly a queen",
                evaluated("supervised-word2vec-subwords", "analogies", ".0%", "answered right, by subwords:"),
            ),
            book="woman - man = queen - king",
        ),
    ],
    "Character-based models for generating new text": [
        Item(
            "steps",
            "a novel cleaned and put into numbers",
            ("supervised/data/text.py:unwrapped", "supervised/data/text.py:corpus"),
            "98 with the one for all others",
            book="98 characters",
        ),
        Item("figure", "batches of text, each going on where the last ended", f"{CHARACTERS}:lanes"),
        Item("listing", "inputs and targets", f"{CHARACTERS}:batches"),
        Item("listing", "characters one-hot", f"{CHARACTERS}:Recurrent"),
        Item("listing", "cells of two layers of 512", f"{CHARACTERS}:PRESETS"),
        Item("listing", "the layers together", f"{CHARACTERS}:Recurrent"),
        Item("listing", "the state between batches", f"{CHARACTERS}:learn"),
        Item("listing", "unfolding in time", f"{CHARACTERS}:Recurrent.forward"),
        Item("listing", "keeping the last state", f"{CHARACTERS}:learn"),
        Item("listing", "flat outputs", f"{CHARACTERS}:Recurrent.forward"),
        Item("listing", "logits and chances", f"{CHARACTERS}:Recurrent.forward"),
        Item("figure", "the network unfolded", f"{CHARACTERS}:Recurrent"),
        Item("listing", "the loss", f"{CHARACTERS}:learn"),
        Item("listing", "a step with gradients clipped to 5", f"{CHARACTERS}:learn"),
        Item("listing", "the loop over batches", f"{CHARACTERS}:learn"),
        Item("listing", "drawing text, character by character", f"{CHARACTERS}:CharacterModel.write"),
        *(
            Item("result", f"text after {batches} batches", CHARACTER_LM, written(epoch), book=what)
            for batches, epoch, what in (
                ("500", 1, "nothing but look-alikes of words"),
                ("5,000", 6, "words and names, some made up"),
                ("50,000", 10, "a year, and short sense"),
                ("500,000", 14, "sentences and talk, without a thread"),
            )
        ),
    ],
    "Sequence to sequence learning": [
        Item(
            "figure",
            "encoder and decoder",
            (f"{SEQ2SEQ} --preset book", f"{RECURRENT_MODELS}:Encoder", f"{RECURRENT_MODELS}:Decoder"),
            answered("book", "number words without attention, unseen ones right:"),
        ),
        Item(
            "claim",
            "a sequence reversed is learnt better",
            (f"{SEQ2SEQ} --preset book", f"{SEQ2SEQ} --preset book-forward"),
            both(answered("book", "reversed"), answered("book-forward", "as it is")),
            book="better",
        ),
        Item(
            "figure",
            "attention",
            (SEQ2SEQ, f"{RECURRENT_MODELS}:Decoder"),
            both(picture("attention"), answered("default", "number words with attention, unseen ones right:")),
        ),
    ],
    "Speech recognition": [
        Item("figure", "from sound to words", ("python -m supervised.train ctc", f"{SPEECH}/recognizer.py:Decoder")),
        Item("figure", "a recording of two words", HEARING, picture("hearing"), book="about 50,000 samples"),
        Item("figure", "its Mel spectrum", (HEARING, f"{SPEECH}/features.py:mel"), heard, book="118 x 40"),
        Item(
            "claim",
            "mixtures of Gaussians and hidden Markov models",
            ("python -m supervised.train gmm-hmm", "python -m supervised.train hybrid-hmm"),
            evaluated("supervised-gmm-hmm-default", "digit_error_rate", ".1%", "digits wrong:"),
        ),
        Item("example", "CTC: what a path of labels and blanks says", f"{SPEECH}/ctc.py:said", path, book="aab"),
        Item("figure", "a lattice of words", f"{SPEECH}/decoding.py:lattice", picture("speech-lattice")),
        Item(
            "claim",
            "Viterbi's algorithm and beam search",
            (f"{SPEECH}/viterbi.py:viterbi", f"{SPEECH}/decoding.py:beam_search"),
            evaluated("supervised-ctc-default", "digit_error_rate", ".1%", "digits wrong by beam search:"),
        ),
    ],
}

EQUATIONS: Sections[Equation] = {
    "Recurrent neural networks": [
        Equation("a state from the last one and the input", RECURRENT, "states", "found[:, t + 1] ="),
        Equation("the same by two matrices", RECURRENT, "RNN.forward", "np.tanh(self.enters"),
        Equation("the output", CHARACTERS, "Recurrent.forward", "self.out(self.dropout(hidden))"),
        Equation("of layers on top of each other", RECURRENT, "RNN", "one's states are the next one's inputs"),
    ],
    "Backpropagation through time": [
        Equation("the derivative by the state before", RECURRENT, "through_time", "by_state = by_state * w"),
        Equation("by the input's weight, a sum over time", RECURRENT, "through_time", "by_u +="),
        Equation("by the state's weight, the same", RECURRENT, "through_time", "by_w +="),
    ],
    "Vanishing and exploding gradients": [
        Equation("the derivative across m steps, a power", RECURRENT, "through_time", "multiplied by W^m"),
    ],
    "Long short-term memory": [
        Equation("the gate that forgets", RECURRENT, "LSTM.step", "f = sigmoid"),
        Equation("the gate of input", RECURRENT, "LSTM.step", "i = sigmoid"),
        Equation("the candidate", RECURRENT, "LSTM.step", "candidate ="),
        Equation("the cell", RECURRENT, "LSTM.step", "cell = f"),
        Equation("the gate of output", RECURRENT, "LSTM.step", "o = sigmoid"),
        Equation("the output", RECURRENT, "LSTM.step", "o * np.tanh(cell)"),
    ],
    "Gated recurrent units": [
        Equation("the gate that updates", RECURRENT, "GRU.step", "z = sigmoid"),
        Equation("the gate that resets", RECURRENT, "GRU.step", "r = sigmoid"),
        Equation("the candidate", RECURRENT, "GRU.step", "r * h))"),
        Equation("the state", RECURRENT, "GRU.step", "(1 - z) * h + z * candidate"),
    ],
    "N-grams": [
        Equation("the chance of a text, word after word", NGRAMS, "", "P(w_1 ... w_m)"),
        Equation("of a word", NGRAMS, "", "maximum likelihood"),
        Equation("of a word after another", NGRAMS, "NGrams.probabilities", "np.divide(times + added, total"),
        Equation("of a word after n - 1 others", NGRAMS, "", "c(h w) / c(h)"),
        Equation("of a text by single words", NGRAMS, "", "P(w_1 ... w_m)"),
        Equation("of a text by trigrams", NGRAMS, "", "P(w_1 ... w_m)"),
    ],
    "Neural probabilistic language model": [
        Equation("the hidden layer", NEURAL_LM, "NeuralLM.forward", "torch.tanh(self.hidden"),
        Equation("the chances of all words, a softmax", NEURAL_LM, "NeuralLM.forward", "self.output(self.dropout(z))"),
    ],
    "Visualizing word embedding vectors": [
        Equation("woman - man is about aunt - uncle", VECTORS, "WordVectors.analogy", "self.direction(b) -"),
        Equation("woman - man is about queen - king", VECTORS, "WordVectors.analogy", "self.direction(b) -"),
    ],
    "Sequence to sequence learning": [
        Equation("the chance of an output sequence, a product", RECURRENT_MODELS, "Decoder.loss", "-log P(y_t | v,"),
        Equation("the same, written out", "supervised/language/seq2seq.py", "", "P(y_1 | v) P(y_2 | v, y_1)"),
    ],
    "Sequence to sequence with attention": [
        Equation("the decoder's state", RECURRENT_MODELS, "Decoder.forward", "s_t = f(s_{t-1}, y_{t-1}, c_t)"),
        Equation("the context, a weighted sum", RECURRENT_MODELS, "Decoder._look", "c_t = sum_i"),
        Equation("its weights, a softmax", RECURRENT_MODELS, "Decoder._look", "alpha_{t,i} ="),
        Equation("the score of a place", RECURRENT_MODELS, "Decoder.forward", "e_{t,k} = a(s_{t-1}, h_k)"),
    ],
    "Speech recognition pipeline": [
        Equation("the likeliest words", f"{SPEECH}/decoding.py", "", "argmax over words"),
        Equation("their chance by Bayes (E-11)", f"{SPEECH}/decoding.py", "", "is proportional to"),
        Equation("the same with phonemes between", f"{SPEECH}/decoding.py", "", "P(sound | labels) P(labels"),
    ],
    "Decoding": [
        Equation("the chance of words, in three factors", f"{SPEECH}/decoding.py", "", "P(sound | labels) P(labels"),
    ],
}
