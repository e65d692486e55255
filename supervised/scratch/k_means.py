"""k-means clustering (book, chapter 1; Lloyd 1982)."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Clusters(NamedTuple):
    """Centres, and which of them each point belongs to."""

    centroids: Array  # (k, dimensions)
    labels: Array  # (n,) int64
    distance: float  # sum of squared distances of points to their centres


def k_means(points: Array, k: int, rng: np.random.Generator, tries: int = 10, most_steps: int = 300) -> Clusters:
    """The best of several clusterings, as each depends on where its centres begin: at ``k`` of the points.

    A centre that no point is nearest to stays where it is.

    Args:
        points: ``(n, dimensions)``, at least ``k`` of them.

    Raises:
        ValueError: there are fewer points than centres.
    """
    if not 1 <= k <= len(points):
        raise ValueError(f"k={k}: use 1 to {len(points)}, the number of points")
    found = [_cluster(points, points[rng.choice(len(points), k, replace=False)], most_steps) for _ in range(tries)]
    return min(found, key=lambda one: one.distance)


def _cluster(points: Array, centroids: Array, most_steps: int) -> Clusters:
    centroids, labels = centroids.astype(np.float64), np.full(len(points), -1)
    for _ in range(most_steps):
        before = labels
        distances = ((points[:, None] - centroids) ** 2).sum(2)  # (n, k)
        labels = distances.argmin(1)
        if (labels == before).all():
            break
        for one in np.unique(labels):
            centroids[one] = points[labels == one].mean(0)
    return Clusters(centroids, labels, float(((points - centroids[labels]) ** 2).sum()))
