"""Networks that tell the class of every pixel (book, chapter 5, "Semantic segmentation").

They take images ``(batch, channels, height, width)`` and give logits ``(batch, classes, height, width)``, but for
`WindowClassifier`, which needs ``margin`` more pixels on every side than it tells.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PixelClassifier(nn.Sequential):
    """Filters of 1 x 1 alone: every pixel is told by its own colour. What this cannot do takes neighbours."""

    margin = 0

    def __init__(self, channels: int, classes: int, width: int) -> None:
        hidden = [nn.Conv2d(channels, width, 1), nn.ReLU(), nn.Conv2d(width, width, 1), nn.ReLU()]
        super().__init__(*hidden, nn.Conv2d(width, classes, 1))


class WindowClassifier(nn.Sequential):
    """The class of the pixel in the middle of a window, by a small network without pooling.

    Its fully connected layers are convolutions of the size of what is left of a window: on a larger image it slides by
    itself, with stride 1, and shares what overlapping windows have in common.

    Args:
        side: of a window, px; odd, at least 11.
    """

    def __init__(self, channels: int, classes: int, width: int, side: int) -> None:
        self.margin = side // 2
        left = side - 8  # after two convolutions
        maps = [nn.Conv2d(channels, width, 5), nn.ReLU(), nn.Conv2d(width, width, 5), nn.ReLU()]
        dense = [nn.Conv2d(width, 4 * width, left), nn.ReLU(), nn.Conv2d(4 * width, classes, 1)]
        super().__init__(*maps, *dense)


def _layer(convolution: type[nn.Conv2d] | type[nn.ConvTranspose2d], inputs: int, outputs: int) -> nn.Sequential:
    """3 x 3, as large as its input, batch normalization and a ReLU that leaks.

    The papers' ReLU may let nothing pass where something rare is seen: then no gradient comes from there, and a class
    of a few pixels in a thousand is not learnt for many epochs, or ever.
    """
    rectifier = nn.LeakyReLU(0.1, inplace=True)
    return nn.Sequential(convolution(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), rectifier)


class FCN(nn.Module):
    """A fully convolutional network of encoder and decoder (Long et al. 2015; the decoder is Noh et al.'s 2015).

    Every stage of the encoder ends in max pooling, which remembers where the largest were. The decoder mirrors it:
    unpooling puts values back to those places, among zeros, and transposed convolutions fill in the rest.

    Args:
        width: channels of the first stage; each later one has twice as many as the one before.
        depth: stages.
    """

    margin = 0

    def __init__(self, channels: int, classes: int, width: int, depth: int) -> None:
        super().__init__()
        widths = [width * 2**stage for stage in range(depth)]
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        for inputs, outputs in zip([channels, *widths], widths, strict=False):
            self.encoder.append(nn.Sequential(_layer(nn.Conv2d, inputs, outputs), _layer(nn.Conv2d, outputs, outputs)))
        for inputs, outputs in zip(widths[::-1], [*widths[-2::-1], width], strict=True):
            parts = (_layer(nn.ConvTranspose2d, inputs, inputs), _layer(nn.ConvTranspose2d, inputs, outputs))
            self.decoder.append(nn.Sequential(*parts))
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        found, remembered = images, []
        for stage in self.encoder:
            before = stage(found)
            found, places = F.max_pool2d(before, 2, return_indices=True)
            remembered.append((places, before.shape[2:]))
        for stage, (places, size) in zip(self.decoder, reversed(remembered), strict=True):
            found = stage(F.max_unpool2d(found, places, [2, 2], output_size=size))
        return self.head(found)


class UNet(nn.Module):
    """U-Net (Ronneberger et al. 2015): what the encoder saw at every size is handed to the decoder at that size.

    Unlike in the paper, convolutions are padded, so that what is told is as large as the image, and followed by batch
    normalization. Images whose sides no 2^depth divides are extended by their last pixels, and cut again.

    Args:
        width: channels of the first stage; each later one has twice as many as the one before.
        depth: how often the size is halved.
    """

    margin = 0

    def __init__(self, channels: int, classes: int, width: int, depth: int) -> None:
        super().__init__()

        def stage(inputs: int, outputs: int) -> nn.Sequential:
            return nn.Sequential(_layer(nn.Conv2d, inputs, outputs), _layer(nn.Conv2d, outputs, outputs))

        widths = [width * 2**k for k in range(depth + 1)]
        self.down = nn.ModuleList(stage(i, o) for i, o in zip([channels, *widths], widths, strict=False))
        pairs = list(zip(widths[:0:-1], widths[-2::-1], strict=True))  # from the smallest size on
        self.grow = nn.ModuleList(nn.ConvTranspose2d(inputs, outputs, 2, stride=2) for inputs, outputs in pairs)
        self.up = nn.ModuleList(stage(2 * outputs, outputs) for _, outputs in pairs)
        self.head = nn.Conv2d(width, classes, 1)
        self._multiple = 2**depth

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        extra = -width % self._multiple, -height % self._multiple
        found = F.pad(images, (0, extra[0], 0, extra[1]), "replicate") if any(extra) else images
        seen: list[Tensor] = []
        for stage in self.down:
            found = stage(F.max_pool2d(found, 2) if seen else found)
            seen.append(found)
        for grow, stage, skipped in zip(self.grow, self.up, seen[-2::-1], strict=True):
            found = stage(torch.cat([skipped, grow(found)], 1))
        return self.head(found)[..., :height, :width]
