"""What is learnt from examples, by name."""

from supervised.training.registry import Registry

CLASSIFICATION = "supervised.vision.classification"

#: name -> (module, what it is in one line)
CATALOGUE: dict[str, tuple[str, str]] = {
    "mlp": (CLASSIFICATION, "fully connected classifier"),
    "cnn": (CLASSIFICATION, "two convolutions and a hidden layer, the book's for MNIST"),
    "deep-cnn": (CLASSIFICATION, "six convolutions with batch normalization, the book's for CIFAR-10"),
}

REGISTRY = Registry(CATALOGUE, "model")
find, preset = REGISTRY.find, REGISTRY.preset
