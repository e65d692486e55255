"""What is learnt from examples, by name."""

from supervised.judgement import Model
from supervised.training.registry import Registry

CLASSIC = "supervised.classic.models"
CLASSIFICATION = "supervised.vision.classification"
VARIATIONAL, ADVERSARIAL = "supervised.generative.variational", "supervised.generative.adversarial"
SEGMENTATION = "supervised.vision.segmentation"

#: name -> (module, what it is in one line)
CATALOGUE: dict[str, tuple[str, str]] = {
    "mlp": (CLASSIFICATION, "fully connected classifier"),
    "cnn": (CLASSIFICATION, "two convolutions and a hidden layer, the book's for MNIST"),
    "deep-cnn": (CLASSIFICATION, "six convolutions with batch normalization, the book's for CIFAR-10"),
    "svm": (CLASSIC, "support vector machine, linear or with a kernel"),
    "decision-tree": (CLASSIC, "decision tree"),
    "random-forest": (CLASSIC, "random forest: the mean of many trees"),
    "gradient-boosting": (CLASSIC, "trees one after the other, each on what is left"),
    "capsules": ("supervised.vision.capsules", "capsule network: vectors that votes agree on"),
    "fast-style": ("supervised.vision.fast_style", "network that paints pictures in the style of one"),
    **{
        f"densenet{n}": (CLASSIFICATION, f"DenseNet of {n} layers: each sees all before it")
        for n in (121, 161, 169, 201)
    },
    "densenet40": (CLASSIFICATION, "DenseNet of 40 layers, for small images"),
    "densenet40_b": (CLASSIFICATION, "DenseNet of 40 layers, each narrowed first, for small images"),
    "densenet40_c": (CLASSIFICATION, "DenseNet of 40 layers, half the channels after each block, for small images"),
    "densenet100_bc": (CLASSIFICATION, "DenseNet of 100 layers with both, for small images"),
    "googlenet": (CLASSIFICATION, "the first Inception network, with classifiers in the middle"),
    "inception_v2": (CLASSIFICATION, "Inception with batch normalization, 3 x 3 twice for 5 x 5"),
    "inception_v3": (CLASSIFICATION, "Inception with filters of 1 x 7 and 7 x 1"),
    "inception_v4": (CLASSIFICATION, "Inception, deeper and more regular"),
    "inception_resnet_v2": (CLASSIFICATION, "Inception blocks with shortcuts"),
    "mobilenet_v1": (CLASSIFICATION, "MobileNet v1: depthwise separable convolutions, for small machines"),
    "mobilenet_v2": (CLASSIFICATION, "MobileNet v2: inverted residuals, for small machines"),
    **{
        f"preact_resnet{n}": (CLASSIFICATION, f"residual network of {n} layers, version 2: activations first")
        for n in (18, 34, 50, 101, 152)
    },
    **{f"resnet{n}": (CLASSIFICATION, f"residual network of {n} layers") for n in (18, 34, 50, 101, 152)},
    **{f"vgg{n}": (CLASSIFICATION, f"VGG of {n} layers") for n in (11, 13, 16, 19)},
    **{f"vgg{n}_bn": (CLASSIFICATION, f"VGG of {n} layers with batch normalization") for n in (11, 13, 16, 19)},
    "xception": (CLASSIFICATION, "Xception: depthwise separable convolutions with shortcuts"),
    "ngrams": ("supervised.language.ngrams", "n-grams of words or characters, counted and smoothed"),
    "gmm-hmm": ("supervised.speech.gaussian", "spoken digits by hidden Markov models that emit mixtures of Gaussians"),
    "hybrid-hmm": ("supervised.speech.hybrid", "spoken digits by hidden Markov models whose states a network tells"),
    "ctc": ("supervised.speech.recognizer", "spoken digits by a bidirectional LSTM and CTC"),
    "listen-attend": ("supervised.speech.attention", "spoken digits by an encoder, and a decoder with attention"),
    "char-lm": ("supervised.language.characters", "text character by character: LSTM, GRU or Transformer"),
    "seq2seq": ("supervised.language.seq2seq", "sequence to sequence: encoder and decoder, with attention or without"),
    "sentiment": (
        "supervised.language.sentiment",
        "whether a text says good or bad, by a recurrent network",
    ),
    "captioning": ("supervised.language.captioning", "captions of pictures: convolutions, and a recurrent decoder"),
    "neural-lm": ("supervised.language.neural_lm", "the next word by a network over vectors of the last ones"),
    "word2vec": ("supervised.language.word2vec", "vectors of words by what stands near: CBOW, skip-gram, subwords"),
    "autoencoder": ("supervised.generative.autoencoder", "images through few numbers and back; or noise taken away"),
    "vae": (VARIATIONAL, "variational autoencoder, the book's; also conditional, or with beta"),
    "conv-vae": (VARIATIONAL, "convolutional variational autoencoder, for larger and coloured images"),
    "gan": (ADVERSARIAL, "adversarial networks of fully connected layers, the book's"),
    "dcgan": (ADVERSARIAL, "convolutional adversarial networks"),
    "conditional-gan": (ADVERSARIAL, "adversarial networks that are told the class"),
    "pixel-classifier": (SEGMENTATION, "segmentation, every pixel by its own colour"),
    "sliding-window": (SEGMENTATION, "segmentation, every pixel by the window around it"),
    "fcn": (SEGMENTATION, "segmentation by encoder and decoder, with unpooling and transposed convolutions"),
    "unet": (SEGMENTATION, "segmentation by U-Net: encoder, decoder, and shortcuts between them"),
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
