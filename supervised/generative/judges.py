"""By what forged images are judged: a classifier of the real ones, and the distance of what it sees in both."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from supervised.data import load
from supervised.training.doors import SMOKE
from supervised.vision import classification, networks
from supervised.vision.classifier import MLPConfig

Array = NDArray[Any]

SAMPLES = 200 if SMOKE else 10_000
COVERED = 0.01  # share of samples from which on a class counts as covered


class Judge:
    """A fully connected classifier, trained on the training part of a data set, always in the same way.

    Attributes:
        accuracy: on the test part.
    """

    def __init__(self, data: str) -> None:
        config = MLPConfig(data=data, epochs=1 if SMOKE else 5)
        with torch.inference_mode(False), torch.enable_grad():
            classifier = classification.train(config)
        self.accuracy = classification.judge(classifier, load(data).test)["accuracy"]
        head = [one for one in classifier.network.modules() if isinstance(one, torch.nn.Linear)][-1]
        networks.headless(classifier.network)
        self._seeing, self._head = classifier.eval(), head

    @torch.inference_mode()
    def __call__(self, images: Array) -> tuple[Array, Array]:
        """The class told of images ``(n,)``, and the features ``(n, features)`` float64 that tell."""
        features = torch.cat([self._seeing(torch.from_numpy(images[k : k + 500])) for k in range(0, len(images), 500)])
        return self._head(features).argmax(1).numpy(), features.double().numpy()


def frechet_distance(one: Array, other: Array) -> float:
    """Of normal distributions with the moments of two samples ``(n, features)`` (Heusel et al. 2017, FID).

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)); C1 C2 has the eigenvalues of the symmetric R C2 R with R = C1^(1/2).
    """
    (mean_1, covariance_1), (mean_2, covariance_2) = (
        (sample.mean(0), np.atleast_2d(np.cov(sample, rowvar=False))) for sample in (one, other)
    )
    values, vectors = np.linalg.eigh(covariance_1)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    mixed = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ covariance_2 @ root), 0)).sum()
    return float(((mean_1 - mean_2) ** 2).sum() + np.trace(covariance_1) + np.trace(covariance_2) - 2 * mixed)
