"""Chapter 6: generating images."""

from supervised.scratch.convolution import transposed_size
from tools.book.rows import Equation, Item, Sections, both, evaluated, picture

TRAIN = "python -m supervised.train"
VARIATIONAL = "supervised/generative/variational.py"
ADVERSARIAL = "supervised/generative/adversarial.py"
VAE, GAN = f"{TRAIN} vae --preset book", f"{TRAIN} gan"

ITEMS: Sections[Item] = {
    "Variational autoencoders": [
        Item(
            "figure",
            "an autoencoder",
            f"{TRAIN} autoencoder",
            evaluated("supervised-autoencoder-default", "error", ".4f", "mean squared error"),
        ),
        Item(
            "figure",
            "digits with noise, and without",
            f"{TRAIN} autoencoder --preset denoising",
            evaluated("supervised-autoencoder-denoising", "error", ".4f", "mean squared error"),
        ),
        Item("figure", "codes that are distributions", f"{VARIATIONAL}:VAE.encode"),
        Item("figure", "drawing a code by mean, variance and noise", f"{VARIATIONAL}:VAE.terms"),
    ],
    "Generating new MNIST digits with VAE": [
        Item("listing", "imports", VARIATIONAL),
        Item("listing", "MNIST, scaled", "supervised/generative/images.py:unit"),
        Item(
            "listing",
            "encoder and decoder of 512 units, two numbers a code",
            (VAE, f"{VARIATIONAL}:DenseConfig.networks"),
            "the same",
        ),
        Item("listing", "drawing codes", f"{VARIATIONAL}:VAE.terms"),
        Item("listing", "drawing the codes of test images", f"{VARIATIONAL}:draw_latent"),
        Item("listing", "drawing images of a plane of codes", f"{VARIATIONAL}:draw"),
        Item("listing", "50 epochs", VAE, "the same"),
        Item(
            "figure",
            "codes of the test images by digit",
            VAE,
            both(
                evaluated("supervised-vae-book", "negative_elbo", ".1f", "negative ELBO (nat)"), picture("vae-latent")
            ),
            book="a picture",
        ),
        Item("figure", "images from a plane of codes", VAE, picture("vae-manifold"), book="a picture"),
    ],
    "Generative Adversarial networks": [
        Item("figure", "generator and discriminator", f"{ADVERSARIAL}:Adversaries"),
        Item("figure", "the same in symbols", f"{ADVERSARIAL}:Adversaries"),
        Item("steps", "training the discriminator", f"{ADVERSARIAL}:discriminator_loss"),
        Item("steps", "training the generator", f"{ADVERSARIAL}:generator_loss"),
        Item(
            "figure",
            "slopes of two losses of the generator",
            "python -m supervised.figures forgers",
            both("by the logit, too (E-10)", picture("forgers")),
        ),
        Item("steps", "both in turn", (f"{ADVERSARIAL}:learn", GAN), "`--discriminator-steps`"),
    ],
    "Types of GANs": [
        Item(
            "claim",
            "DCGAN: convolutions with strides, batch normalization, leaking ReLU",
            f"{TRAIN} dcgan",
            evaluated("supervised-dcgan-default", "frechet", ".1f", "Frechet distance"),
        ),
        Item("figure", "a generator of transposed convolutions", f"{ADVERSARIAL}:ConvolutionalConfig.networks"),
        Item(
            "figure",
            "transposed convolution with stride 1 and 2",
            "supervised/scratch/convolution.py:TransposedConvolution",
        ),
        Item(
            "example",
            "their sizes, of 2 by a filter of 3",
            "supervised/scratch/convolution.py:transposed_size",
            lambda: f"{transposed_size(2, 3)}, {transposed_size(2, 3, 2)}",
            book="4, 5",
        ),
        Item(
            "figure",
            "a conditional GAN",
            f"{TRAIN} conditional-gan",
            evaluated("supervised-conditional-gan-default", "recognised", ".1%", "of the class asked for"),
        ),
        Item(
            "claim",
            "a conditional GAN makes the digit that one asks for",
            f"{TRAIN} conditional-gan",
            "a class a row in `samples.png`",
        ),
    ],
    "Generating new MNIST images with GANs and Keras": [
        Item("listing", "imports", ADVERSARIAL),
        Item("listing", "the generator: 128, 256 and 512 units", f"{ADVERSARIAL}:Config.networks", "the same"),
        Item("listing", "the discriminator: 256 and 128 units", f"{ADVERSARIAL}:Config.networks", "the same"),
        Item("listing", "training in turn", f"{ADVERSARIAL}:learn"),
        Item("listing", "drawing new images", "supervised/generative/images.py:draw_grid"),
        Item("listing", "15,000 steps of batches of 128", GAN, "32 epochs are as many"),
        Item(
            "figure",
            "new digits",
            GAN,
            both(
                evaluated("supervised-gan-default", "modes", ".0f", "digits of 10 that are made:"),
                evaluated("supervised-gan-default", "frechet", ".1f", "Frechet distance"),
            ),
            book="a picture",
        ),
    ],
}

EQUATIONS: Sections[Equation] = {
    "Variational autoencoders": [
        Equation("the bound to be raised, less a divergence (E-9)", VARIATIONAL, "VAE.terms", "-E[log p(x|z)]"),
        Equation("drawing a code so that gradients pass", VARIATIONAL, "VAE.terms", "z = m + sqrt(v) epsilon"),
    ],
    "Training GANs": [
        Equation("the losses add up to 0", ADVERSARIAL, "", "the negative of"),
        Equation("a game of minimum and maximum", ADVERSARIAL, "", 'which is "saturating"'),
    ],
    "Training the discriminator": [
        Equation("cross-entropy", "supervised/scratch/network.py", "Network.cost", "targets * np.log"),
        Equation("of two classes", "supervised/scratch/regression.py", "cross_entropy", "J(w) = -1/n sum_i"),
        Equation("its mean over a mini-batch", "supervised/scratch/regression.py", "cross_entropy", "loss.mean()"),
        Equation("the discriminator's loss", ADVERSARIAL, "discriminator_loss", "J_D = -1/2 E[log D(x)]"),
    ],
    "Training the generator": [
        Equation("the generator's loss, saturating (E-10)", ADVERSARIAL, "generator_loss", "E[log(1 - D(G(z)))]"),
        Equation("the generator's loss, not saturating", ADVERSARIAL, "generator_loss", "-E[log D(G(z))]"),
    ],
    "Putting it all together": [
        Equation("the game in full", ADVERSARIAL, "", "J_D = -1/2 E[log D(x)] - 1/2 E[log(1 - D(G(z)))]"),
        Equation("the discriminator's step", ADVERSARIAL, "learn", 'optimizers["discriminator"]'),
        Equation("the generator's step", ADVERSARIAL, "learn", 'optimizers["generator"]'),
    ],
    "The generator in DCGAN": [
        Equation(
            "size after a transposed convolution",
            "supervised/scratch/convolution.py",
            "transposed_size",
            "O = S (I - 1) + F - 2 P",
        ),
    ],
}
