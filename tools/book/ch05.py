"""Chapter 5: transfer learning, deeper networks, capsules, detection, segmentation and style."""

from supervised.scratch.convolution import weight_count
from tools.book.rows import PROSE, Equation, Item, Reader, Sections, accuracy, both, evaluated, picture

TRAIN = "python -m supervised.train"
CLASSIFICATION = "supervised/vision/classification.py"
CLASSIFIER = "supervised/vision/classifier.py"
CAPSULES = "supervised/vision/capsules.py"
STYLE = "supervised/vision/style_transfer.py"
DETECTION = "supervised/vision/detection"
EXTRACT, TUNE = f"{TRAIN} mobilenet_v2 --preset extract", f"{TRAIN} mobilenet_v2 --preset fine-tune"
YOLO = f"{TRAIN} tiny-yolo"
DETECT = "python -m supervised.detect"
NETWORKS = "supervised/vision/networks"


def separable() -> str:
    """Weights of a layer of 32 slices by 3 x 3, and of a depthwise separable one."""
    common = weight_count(32, 32, (3, 3), bias=False)
    depthwise = weight_count(32, 32, (3, 3), groups=32, bias=False) + weight_count(32, 32, (1, 1), bias=False)
    return f"{common:,} and {depthwise:,} of all slices (E-7)"


def shares(kernel: tuple[int, ...], *parts: tuple[int, ...]) -> Reader:
    """Weights of layers of 64 slices in parts, and in one."""

    def read() -> str:
        whole = weight_count(64, 64, kernel, bias=False)
        return f"{sum(weight_count(64, 64, part, bias=False) for part in parts) / whole:.2f} of the weights"

    return read


def output_length(cells: int, classes: int, anchors: int = 1) -> str:
    """Numbers that a head of YOLO says of ``cells x cells`` cells."""
    return f"{cells * cells * anchors * (5 + classes)}"


ITEMS: Sections[Item] = {
    "Transfer learning": [
        Item("figure", "a new last layer on a trained network", f"{CLASSIFIER}:last_layer", "`--weights`"),
        Item("steps", "the rest frozen, or learning on", (EXTRACT, TUNE), "`--frozen`"),
    ],
    "Transfer learning example with PyTorch": [
        Item("listing", "imports", CLASSIFICATION),
        Item("listing", "batches of 50", TUNE, "`--batch-size 50`"),
        Item(
            "listing",
            "CIFAR-10 enlarged, mirrored and scaled as ImageNet",
            f"{CLASSIFIER}:Inputs",
            "`--inputs imagenet`",
        ),
        Item("listing", "the same of the test part", f"{CLASSIFICATION}:judgement"),
        Item("listing", "choosing a device", "supervised/training/precision.py:require_device", "`--device`"),
        Item(
            "listing",
            "an epoch of training",
            f"{CLASSIFICATION}:learn",
            "frozen layers judge, where the listing trains all",
        ),
        Item("listing", "testing", f"{CLASSIFICATION}:judge"),
        Item("listing", "ResNet-18 as extractor of features", EXTRACT, "each image passes the frozen layers once"),
        Item("listing", "ResNet-18 fine-tuned", TUNE),
        Item(
            "result",
            "accuracy with the network as extractor",
            EXTRACT,
            both(accuracy("mobilenet_v2", "extract", "MobileNet v2, 4,000 images of 96 pixels:")),
            book="about 76%",
        ),
        Item(
            "result",
            "accuracy by fine-tuning",
            (TUNE, f"{TRAIN} mobilenet_v2 --preset scratch"),
            both(
                accuracy("mobilenet_v2", "fine-tune", "of the same images:"),
                accuracy("mobilenet_v2", "scratch", "all weights new:"),
            ),
            book="87%",
        ),
    ],
    "VGG": [
        Item(
            "example",
            "two layers of 3 x 3 in place of one of 5 x 5",
            "supervised/scratch/convolution.py:weight_count",
            shares((5, 5), (3, 3), (3, 3)),
            book="0.72 of the weights",
        ),
        Item(
            "table",
            "layers of VGG16 and VGG19",
            ("supervised/vision/networks/vgg.py:STAGES", f"{TRAIN} vgg16", f"{TRAIN} vgg19"),
        ),
        Item("listing", "VGG16 and VGG19 in Keras", f"{TRAIN} vgg19", "torchvision's files fit: `--weights`"),
        Item("listing", "VGG16 in PyTorch", f"{TRAIN} vgg16", "torchvision's files fit: `--weights`"),
    ],
    "Residual networks": [
        Item(
            "figure",
            "three residual blocks",
            (f"{NETWORKS}/resnet.py:Basic", f"{NETWORKS}/resnet.py:Bottleneck", f"{NETWORKS}/preact_resnet.py:Block"),
        ),
        Item(
            "table",
            "residual networks of 18 to 152 layers",
            [f"{TRAIN} resnet{n}" for n in (18, 34, 50, 101, 152)],
            "weights have torchvision's names",
        ),
    ],
    "Inception networks": [
        Item(
            "figure",
            "block of version 1: four paths",
            f"{TRAIN} googlenet",
            "its 5 x 5 filters are of 3 x 3, as in torchvision",
        ),
        Item("figure", "block A of versions 2 and 3", f"{TRAIN} inception_v2"),
        Item(
            "example",
            "1 x 3 and 3 x 1 in place of 3 x 3",
            "supervised/scratch/convolution.py:weight_count",
            shares((3, 3), (1, 3), (3, 1)),
            book="33% fewer weights",
        ),
        Item("figure", "3 x 3 in two parts", f"{NETWORKS}/inception.py:block_c"),
        Item("figure", "block B: 1 x n and n x 1 in a row", f"{TRAIN} inception_v3"),
        Item("figure", "block C: both side by side", f"{TRAIN} inception_v3"),
        Item("figure", "a block with a shortcut, of Inception-ResNet", f"{TRAIN} inception_resnet_v2"),
    ],
    "Xception and MobileNets": [
        Item("figure", "a depthwise separable convolution", "supervised/vision/networks/mobilenet.py"),
        Item(
            "example",
            "weights of 32 slices by 3 x 3: of one that comes out",
            ("supervised/scratch/convolution.py:weight_count", "tests/supervised/scratch/test_convolution.py"),
            separable,
            book="288 and 41",
        ),
        Item("claim", "Xception", f"{TRAIN} xception"),
        Item("claim", "MobileNets", [f"{TRAIN} mobilenet_{v}" for v in ("v1", "v2")]),
    ],
    "DenseNets": [
        Item("figure", "a dense block", f"{TRAIN} densenet121"),
    ],
    "Capsule networks": [
        Item("figure", "a face, and its parts in disorder", "python -m supervised.figures picasso", picture("picasso")),
        Item("figure", "a capsule", f"{CAPSULES}:DynamicRouting"),
        Item("figure", "votes that agree, and others", "python -m supervised.figures picasso", picture("picasso")),
        Item("steps", "dynamic routing", f"{CAPSULES}:DynamicRouting", "`--routing dynamic`"),
        Item(
            "claim",
            "routing by expectation maximization",
            f"{TRAIN} capsules --preset em",
            accuracy("capsules", "em", "MNIST:"),
        ),
        Item(
            "steps",
            "the network for MNIST, with a decoder",
            (f"{TRAIN} capsules", f"{TRAIN} capsules --preset paper"),
            accuracy("capsules", what="1,152 primary capsules in the paper, not 36; a narrower network, three epochs:"),
        ),
    ],
    "Object detection": [
        Item(
            "figure",
            "boxes on a photograph, one of them wrong",
            (DETECT, YOLO),
            "with the published network's files; scenes of MNIST and CarRacing with one of ours",
            book="one vehicle taken for a person, all else right",
        ),
        Item("figure", "a sliding window, and a pyramid of images", f"{DETECTION}/sliding_window.py:sliding_window"),
        Item(
            "steps",
            "detection in two stages",
            f"{TRAIN} two-stage",
            evaluated("supervised-two-stage-default", "map50", ".1%", "mean average precision at 50 % overlap"),
        ),
        Item(
            "steps",
            "detection in one stage",
            YOLO,
            evaluated("supervised-tiny-yolo-default", "map50", ".1%", "mean average precision at 50 % overlap"),
        ),
    ],
    "Object detection with YOLOv3": [
        Item(
            "figure",
            "a grid of 3 x 3 cells with two objects",
            f"{DETECTION}/yolo.py:yolo_losses",
            "an object is its centre's",
        ),
        Item(
            "steps", "what a cell says: box, objectness, class", f"{DETECTION}/darknet.py:Head", "b is a centre (E-8)"
        ),
        Item(
            "example",
            "numbers for 3 x 3 cells and four classes",
            f"{DETECTION}/darknet.py:Head",
            lambda: output_length(3, 4),
            book="81",
        ),
        Item("figure", "a cell with two anchor boxes", f"{DETECTION}/anchors.py:grid"),
        Item(
            "example",
            "the same with two anchors a cell",
            f"{DETECTION}/darknet.py:Head",
            lambda: output_length(3, 4, 2),
            book="162",
        ),
        Item("figure", "intersection over union", f"{DETECTION}/boxes.py:iou"),
        Item("steps", "non-maximum suppression", f"{DETECTION}/boxes.py:nms", "within each class"),
    ],
    "A code example of YOLOv3 with OpenCV": [
        Item("listing", "imports", "supervised/detect.py"),
        Item(
            "listing",
            "fetching structure, weights, classes and a photograph",
            DETECT,
            "files of one's own: `--cfg`, `--weights`, `--names`",
        ),
        Item("listing", "making the network", f"{DETECTION}/darknet.py:read_cfg"),
        Item("listing", "passing the photograph", "supervised/detect.py:detect"),
        Item(
            "listing",
            "boxes, classes and confidences",
            f"{DETECTION}/yolo.py:candidates",
            "times the class's chance (E-12)",
        ),
        Item("listing", "non-maximum suppression", f"{DETECTION}/detector.py:best"),
        Item("listing", "drawing the boxes", (DETECT, f"{DETECTION}/judging.py:draw_boxes")),
    ],
    "Semantic segmentation": [
        Item(
            "figure",
            "a street with the class of every pixel",
            (f"{TRAIN} unet", "python -m tools.make_dataset"),
            both(
                evaluated("supervised-unet-default", "mean_iou", ".1%", "CarRacing, mean IoU"), picture("segmentation")
            ),
        ),
        Item(
            "steps",
            "a classifier slid over the image",
            f"{TRAIN} sliding-window",
            evaluated("supervised-sliding-window-default", "mean_iou", ".1%", "mean IoU"),
        ),
        Item(
            "steps",
            "encoder and decoder, with unpooling and transposed convolutions",
            f"{TRAIN} fcn",
            evaluated("supervised-fcn-default", "mean_iou", ".1%", "mean IoU"),
        ),
    ],
    "Artistic style transfer": [
        Item(
            "figure",
            "a picture in the style of another",
            "python -m supervised.style astronaut immunohistochemistry",
            picture("style-transfer"),
        ),
        Item(
            "steps",
            "changing a picture until content and style fit",
            f"{STYLE}:repaint",
            "begins with the content, or `--noise`",
        ),
        Item(
            "claim",
            "a network that does it in one pass, a thousand times as fast",
            f"{TRAIN} fast-style",
            evaluated("supervised-fast-style-default", "style_loss", ".3f", "style loss"),
        ),
        Item("claim", "an official tutorial", PROSE),
    ],
}

EQUATIONS: Sections[Equation] = {
    "Capsules": [
        Equation("the length of a vector", CAPSULES, "lengths", "poses.square().sum(-1)"),
        Equation("the sum of votes", CAPSULES, "DynamicRouting.forward", "s_j = sum_i c_ij u_j|i"),
        Equation("squashing", CAPSULES, "squash", "|s|^2 / (1 + |s|^2) s / |s|"),
    ],
    "Dynamic routing": [
        Equation("coupling, a softmax", CAPSULES, "DynamicRouting.forward", "c_i = softmax b_i"),
        Equation("agreement, added to b", CAPSULES, "DynamicRouting.forward", "b_ij <- b_ij + u_j|i . v_j"),
    ],
    "Artistic style transfer": [
        Equation("the content's loss", STYLE, "Objective.parts", '"content_loss"'),
        Equation("the sum of both losses", STYLE, "Losses", "J = content J_C + style J_S"),
        Equation("a step of the picture", STYLE, "OPTIMIZERS", "torch.optim.Adam([image]"),
    ],
}
