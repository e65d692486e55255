"""Chapter 4: computer vision with convolutional networks."""

from supervised.scratch.convolution import output_size, receptive_field, weight_count
from supervised.vision import book
from tools.book.rows import Equation, Item, Sections, accuracy, both, picture

TRAIN = "python -m supervised.train"
CONVOLUTION = "supervised/scratch/convolution.py"
OPTIMIZERS = "supervised/scratch/optimizers.py"
FILTERS = "supervised/scratch/filters.py"
CLASSIFICATION = "supervised/vision/classification.py"
CLASSIFIER = "supervised/vision/classifier.py"
AUGMENTATION = "supervised/data/augmentation.py"
MNIST, CIFAR = f"{TRAIN} cnn --preset book", f"{TRAIN} deep-cnn --preset book"


def summary() -> str:
    """Weights of the layers of the network for MNIST, and of all."""
    network = book.cnn((1, 28, 28), 10)
    layers = [sum(one.numel() for one in layer.parameters()) for layer in network.children()]
    return f"{', '.join(f'{one:,}' for one in layers if one)}: {sum(layers):,}"


def field() -> str:
    """How many pixels a side are seen by a convolution, a square of its outputs, and another one after pooling."""
    convolved, pooled = (3, 1), (2, 2)
    seen = ((convolved,), (convolved, pooled), (convolved, pooled, convolved))
    return ", ".join(str(receptive_field(one)) for one in seen) + ", as windows of pooled neurons overlap"


ITEMS: Sections[Item] = {
    "Intuition and justification for CNN": [
        Item(
            "example",
            "weights of a fully connected layer of 1,024 on CIFAR-10",
            f"{CONVOLUTION}:weight_count",
            lambda: f"{weight_count(3 * 32 * 32, 1024, (), bias=False):,}",
            book="3,145,728",
        ),
    ],
    "Convolutional layers": [
        Item("figure", "a filter of 3 x 3 slides over an image", f"{CONVOLUTION}:Convolution.forward"),
        Item(
            "example",
            "2 x 2 over 4 x 4",
            f"{CONVOLUTION}:output_size",
            lambda: f"{output_size(4, 2)} x {output_size(4, 2)}",
            book="3 x 3",
        ),
        Item(
            "example",
            "weights of a filter of 3 x 3 over three colours",
            f"{CONVOLUTION}:weight_count",
            lambda: f"{weight_count(3, 1, (3, 3))}",
            book="28",
        ),
        Item(
            "example",
            "weights of four filters of 5 x 5 over three slices, and of one",
            f"{CONVOLUTION}:weight_count",
            lambda: f"{weight_count(3, 4, (5, 5))}, {weight_count(3, 1, (5, 5))}",
            book="304, 76",
        ),
        Item("claim", "depthwise convolution, with a multiplier", f"{CONVOLUTION}:Convolution", "`groups`"),
    ],
    "A coding example of convolution operation": [
        Item("listing", "importing NumPy", CONVOLUTION),
        Item(
            "listing",
            "a convolution in loops",
            f"{CONVOLUTION}:Convolution.forward",
            "for kernels that are no squares, too",
        ),
        Item("listing", "loading the portrait of an astronaut", f"{FILTERS}:astronaut", "without the network"),
        Item("listing", "blur, and Sobel's filters", (f"{FILTERS}:gaussian", f"{FILTERS}:SOBEL_X")),
        Item(
            "figure",
            "the portrait gray, blurred, and its edges",
            "python -m supervised.figures astronaut",
            "blurred by a bell in place of a box, edges of both directions in one",
        ),
    ],
    "Stride and padding in convolutional layers": [
        Item(
            "example",
            "3 x 3 over 28 x 28, with stride 1 and 2",
            f"{CONVOLUTION}:output_size",
            lambda: f"{output_size(28, 3)}, {output_size(28, 3, 2)}",
            book="26, 13",
        ),
        Item(
            "figure",
            "padding of 1 keeps the size",
            f"{CONVOLUTION}:output_size",
            lambda: f"{output_size(28, 3, 1, 1)} of 28",
            book="the same size",
        ),
    ],
    "1D, 2D, and 3D convolutions": [
        Item(
            "figure",
            "convolution in one dimension",
            f"{CONVOLUTION}:Convolution",
            "kernels `(filters, channels, width)`",
        ),
        Item(
            "figure",
            "convolution in three dimensions",
            f"{CONVOLUTION}:Convolution",
            "kernels with three axes of space",
        ),
    ],
    "1x1 convolutions": [
        Item("claim", "they change the depth alone", f"{CONVOLUTION}:Convolution"),
    ],
    "Backpropagation in convolutional layers": [
        Item("figure", "the backward pass is a convolution, too", f"{CONVOLUTION}:Convolution.backward"),
        Item("claim", "transposed convolution", f"{CONVOLUTION}:TransposedConvolution"),
    ],
    "Pooling layers": [
        Item("figure", "max pooling", f"{CONVOLUTION}:MaxPooling"),
        Item("claim", "its gradient goes to the largest alone", f"{CONVOLUTION}:MaxPooling.backward"),
        Item("figure", "average pooling", f"{CONVOLUTION}:AveragePooling"),
    ],
    "The structure of a convolutional network": [
        Item("figure", "convolutions, pooling, and full layers in turn", "supervised/vision/book.py:cnn"),
        Item(
            "example",
            "pixels a side that are seen: 3 x 3, pooling 2 x 2, 3 x 3",
            f"{CONVOLUTION}:receptive_field",
            field,
            book="3, 4, 12",
        ),
    ],
    "Classifying handwritten digits with a convolutional network": [
        Item("listing", "seeds", "supervised/training/seeding.py:generators", "`--seed`"),
        Item("listing", "imports", "supervised/vision/book.py"),
        Item("listing", "MNIST as images with one colour", f"{CLASSIFIER}:Inputs"),
        Item("listing", "the network", "supervised/vision/book.py:cnn"),
        Item(
            "table",
            "its layers and their weights",
            "supervised/vision/book.py:cnn",
            summary,
            book="320, 9,248, 294,976, 650: 305,194",
        ),
        Item("listing", "ADADELTA", (f"{OPTIMIZERS}:AdaDelta", f"{CLASSIFIER}:OPTIMIZERS")),
        Item("listing", "five epochs", MNIST, "of all rows, where the listing holds a tenth out"),
        Item("listing", "testing", "python -m supervised.evaluate runs/mnist-cnn"),
        Item(
            "result",
            "test accuracy",
            (MNIST, f"{TRAIN} cnn"),
            both(accuracy("cnn", "book", "as the book:"), accuracy("cnn", "default", "by Adam, standardized:")),
            book="98.5%",
        ),
    ],
    "Improving the performance of CNNs": [
        Item("example", "a pixel of 125, scaled", f"{CLASSIFIER}:Inputs", lambda: f"{125 / 255:.2f}", book="0.5"),
        Item("figure", "dropout", "supervised/scratch/regularization.py:Dropout"),
        Item("figure", "an image turned, cropped and leaned", f"{AUGMENTATION}:augment", "all of the book's six"),
        Item("claim", "batch normalization", "supervised/scratch/regularization.py:BatchNorm"),
    ],
    "A CNN example with Keras and CIFAR-10": [
        Item("listing", "imports", "supervised/vision/book.py"),
        Item("listing", "batches of 50", CIFAR, "the same"),
        Item("listing", "CIFAR-10, scaled to 0 to 1", f"{CLASSIFIER}:Inputs"),
        Item("listing", "turned, moved, mirrored and standardized", f"{AUGMENTATION}:PRESETS", "`--augmentation book`"),
        Item(
            "listing",
            "six convolutions with batch normalization, ELU and dropout",
            "supervised/vision/book.py:deep_cnn",
        ),
        Item("listing", "Adam", f"{CLASSIFIER}:OPTIMIZERS"),
        Item("listing", "training", CIFAR),
        Item("result", "accuracy after 3 epochs", f"{CIFAR}-3", accuracy("deep-cnn", "book-3"), book="47%"),
        Item("result", "accuracy after 5 epochs", f"{CIFAR}-5", accuracy("deep-cnn", "book-5"), book="59%"),
        Item(
            "result",
            "accuracy after about 100 epochs",
            (CIFAR, f"{CIFAR}-falling", f"{CIFAR}-sharp"),
            both(
                accuracy("deep-cnn", "book"),
                accuracy("deep-cnn", "book-falling", "with steps that fall to 0:"),
                accuracy("deep-cnn", "book-sharp", "and images that turning does not smooth:"),
            ),
            book="80%",
        ),
        Item("claim", "layers and what they make of an image", f"{CIFAR}-3", picture("cifar-features")),
    ],
}

EQUATIONS: Sections[Equation] = {
    "Convolutional layers": [
        Equation("weights of a convolutional layer", CONVOLUTION, "weight_count", "(D F_1 F_2 ... + 1) M"),
    ],
    "Stride and padding in convolutional layers": [
        Equation("width of the output", CONVOLUTION, "output_size", "O = (I + 2 P - F) / S + 1"),
        Equation("height of the output", CONVOLUTION, "output_size", "O = (I + 2 P - F) / S + 1"),
    ],
    "Pooling layers": [
        Equation("width of the output", CONVOLUTION, "output_size", "(size + 2 * padding - kernel) // stride + 1"),
        Equation("height of the output", CONVOLUTION, "output_size", "(size + 2 * padding - kernel) // stride + 1"),
    ],
    "Improving the performance of CNNs": [
        Equation("a step of gradient descent", OPTIMIZERS, "Optimizer", "w <- w - eta g"),
        Equation("the same with weight decay (E-6)", OPTIMIZERS, "Optimizer", "g becomes g + lambda w"),
    ],
}
