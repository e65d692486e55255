"""What is learnt from examples, by name."""

from supervised.judgement import Model
from supervised.training.registry import Registry

CLASSIFICATION = "supervised.vision.classification"

#: name -> (module, what it is in one line)
CATALOGUE: dict[str, tuple[str, str]] = {
    "mlp": (CLASSIFICATION, "fully connected classifier"),
    "cnn": (CLASSIFICATION, "two convolutions and a hidden layer, the book's for MNIST"),
    "deep-cnn": (CLASSIFICATION, "six convolutions with batch normalization, the book's for CIFAR-10"),
    "mobilenet_v2": (CLASSIFICATION, "MobileNet v2: inverted residuals, for small machines"),
    **{f"resnet{n}": (CLASSIFICATION, f"residual network of {n} layers") for n in (18, 34, 50, 101, 152)},
    **{f"vgg{n}": (CLASSIFICATION, f"VGG of {n} layers") for n in (11, 13, 16, 19)},
    **{f"vgg{n}_bn": (CLASSIFICATION, f"VGG of {n} layers with batch normalization") for n in (11, 13, 16, 19)},
    "tiny-yolo": ("supervised.vision.detection.yolo", "object detection in one look, a small YOLOv3"),
    "two-stage": (
        "supervised.vision.detection.two_stage",
        "object detection from proposed regions, a small Faster R-CNN",
    ),
}

REGISTRY = Registry(CATALOGUE, "model")


def find(name: str) -> Model:
    """The model of that name; raises `UserError` where there is none."""
    found = REGISTRY.find(name)
    assert isinstance(found, Model)
    return found
