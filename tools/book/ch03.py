"""Chapter 3: what deep learning is, and fully connected classifiers of digits and objects."""

from tools.book.rows import PROSE, Equation, Item, Sections, accuracy, both, measured, picture

TRAIN = "python -m supervised.train"
DRAW = "python -m supervised.figures"
CLASSIFICATION = "supervised/vision/classification.py"
CLASSIFIER = "supervised/vision/classifier.py"
OPTIMIZERS = "supervised/scratch/optimizers.py"
MLP = "supervised/vision/book.py:mlp"
PICTURES = "supervised/vision/pictures.py:draw_weights"
MNIST, CIFAR = f"{TRAIN} mlp --preset book-mnist", f"{TRAIN} mlp --preset book-cifar"

ITEMS: Sections[Item] = {
    "Introduction to deep learning": [
        Item(
            "figure",
            "weights of two layers of a convolutional network of beliefs",
            (f"{DRAW} rbm", f"{TRAIN} cnn"),
            both("Boltzmann machines on digits", picture("mnist-weights")),
            book="edges, then parts of objects",
        ),
        Item(
            "figure",
            "weights learnt of faces, cars, airplanes and motorbikes",
            f"{TRAIN} deep-cnn --preset book-3",
            both("what layers make of an image", picture("cifar-features")),
            book="parts, then whole objects",
        ),
    ],
    "A brief history of contemporary deep learning": [
        Item("claim", "Boltzmann machines, contrastive divergence", f"{DRAW} rbm", "as the first edition has them"),
        Item(
            "claim",
            "networks of beliefs, stacked and fine-tuned",
            "supervised/scratch/boltzmann.py:DBN",
            "stacked greedily",
        ),
        Item("figure", "the logistic function and its derivative", f"{DRAW} activations", "with five others"),
    ],
    "Training deep networks": [
        Item(
            "figure",
            "descent with and without momentum",
            f"{DRAW} optimizers",
            "six ways down one valley",
            book="it gets there sooner",
        ),
        Item("claim", "Nesterov's momentum, ADADELTA, RMSProp, Adam", OPTIMIZERS, "each equal to torch's"),
    ],
    "The reasons for deep learning's popularity": [
        Item(
            "example",
            "a layer of a mini-batch as a product of matrices",
            "supervised/scratch/network.py:Network._forward",
        ),
    ],
    "Introducing popular open source libraries": [
        Item("example", "shapes of tensors: XOR, and 32 images", PROSE),
        Item("listing", "choosing a device in TensorFlow", PROSE),
        Item("listing", "choosing a device in Keras", PROSE),
        Item(
            "listing",
            "choosing a device in PyTorch",
            "supervised/training/precision.py:require_device",
            "`--device cuda`",
        ),
    ],
    "Using Keras to classify handwritten digits": [
        Item("figure", "digits of MNIST", "supervised/data/sets.py:load"),
        Item("listing", "importing the data set", "supervised/data/sources.py"),
        Item("listing", "importing layers", "supervised/vision/book.py"),
        Item("listing", "loading training and test part", "supervised/data/sets.py:load"),
        Item("listing", "images as rows of 784", MLP),
        Item("listing", "labels one-hot", f"{CLASSIFICATION}:learn", "cross-entropy takes the class itself"),
        Item("listing", "100 hidden units, 100 epochs, batches of 100", MNIST, "the same"),
        Item("listing", "the network", MLP),
        Item("listing", "cross-entropy and stochastic gradient descent", f"{CLASSIFIER}:OPTIMIZERS"),
        Item("listing", "training", f"{CLASSIFICATION}:learn"),
        Item("listing", "evaluating", "python -m supervised.evaluate runs/mnist-mlp"),
        Item("result", "test accuracy", MNIST, accuracy("mlp", "book-mnist"), book="about 96%"),
        Item(
            "claim",
            "how long it takes",
            MNIST,
            measured("supervised-mlp-book-mnist-s0.json", lambda one: f"{one['training']['seconds']:.0f}, on one core"),
            book="less than 30 seconds",
        ),
        Item("listing", "the weights of the hidden layer", PICTURES),
        Item("listing", "drawing them", PICTURES),
        Item(
            "figure",
            "weights of all hidden neurons",
            MNIST,
            picture("mnist-weights"),
            book="each neuron learns another shape",
        ),
    ],
    "Using Keras to classify images of objects": [
        Item("listing", "imports", "supervised/data/sets.py"),
        Item("listing", "loading CIFAR-10 as rows of 3,072", CIFAR, "scaled to 0 to 1"),
        Item("listing", "a network of 1,024, 512 and 512 hidden units", CIFAR, "the same"),
        Item("listing", "training for 100 epochs", CIFAR, "the same"),
        Item("listing", "drawing the weights of 100 neurons", PICTURES),
        Item(
            "figure",
            "weights of 100 neurons",
            f"{TRAIN} mlp --preset cifar",
            "drawn by `supervised.evaluate`",
            book="no clear pattern",
        ),
        Item(
            "result",
            "test accuracy",
            (CIFAR, f"{TRAIN} mlp --preset cifar"),
            both(
                accuracy("mlp", "book-cifar", "as the book:"),
                accuracy("mlp", "cifar", "in 10 epochs, with other means:"),
            ),
            book="about 60% in training, 51% on the test",
        ),
    ],
}

EQUATIONS: Sections[Equation] = {
    "Training deep networks": [
        Equation("momentum: the change of weights", OPTIMIZERS, "Momentum", "v <- mu v + g"),
        Equation("and the weights", OPTIMIZERS, "Momentum", "w <- w - eta v"),
    ],
    "Softmax and cross-entropy": [
        Equation("softmax", "supervised/scratch/activations.py", "softmax", "exp(a_i) / sum_j exp(a_j)"),
        Equation("cross-entropy", "supervised/scratch/network.py", "Network.cost", "targets * np.log"),
    ],
}
