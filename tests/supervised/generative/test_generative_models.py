"""Generative models: known divergences and distances, learning on bars, exact resuming, and what is refused."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from supervised import evaluate as evaluate_door
from supervised import train as train_door
from supervised.data import DataSet, Split, sets
from supervised.generative import adversarial, autoencoder, variational
from supervised.generative.adversarial import discriminator_loss, generator_loss
from supervised.generative.images import unit
from supervised.generative.judges import Judge, frechet_distance
from supervised.generative.variational import VAE, DenseConfig, divergence
from supervised.registry import find
from supervised.training.configuration import to_json
from supervised.training.run import Run


@pytest.fixture(autouse=True)
def bars(monkeypatch: pytest.MonkeyPatch) -> DataSet:
    """The data set "bars": one bright bar of 16 x 16 pixels, upright or level, at one of four places."""
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=250)
    images = np.zeros((250, 16, 16), np.uint8)
    for image, label, place in zip(images, labels, rng.integers(4, size=250), strict=True):
        (image if label else image.T)[:, 4 * place : 4 * place + 3] = 230
    data = DataSet(Split(images[:200], labels[:200]), Split(images[200:], labels[200:]), ("level", "upright"))
    monkeypatch.setitem(sets.SETS, "bars", lambda: data)
    return data


def state(part: torch.nn.Module) -> dict[str, Any]:
    return {"model": part.state_dict()}


def test_images_are_from_0_to_1_with_colours_in_front() -> None:
    gray, coloured = torch.tensor([[[0, 255]]], dtype=torch.uint8), torch.zeros(2, 4, 5, 3, dtype=torch.uint8)
    assert unit(gray).tolist() == [[[[0.0, 1.0]]]] and unit(coloured).shape == (2, 3, 4, 5)


def test_divergence_of_codes() -> None:
    """The closed form by hand, and as the mean of log q(z) - log p(z) over drawn codes."""
    assert divergence(torch.zeros(1, 3), torch.zeros(1, 3)).item() == 0
    by_hand = 0.5 * (4 + 0.25 - 1 - np.log(0.25))  # mean 2, deviation 1/2
    mean, log_variance = torch.tensor([[2.0]]), torch.tensor([[np.log(0.25)]], dtype=torch.float32)
    assert divergence(mean, log_variance).item() == pytest.approx(by_hand)
    codes = 2 + 0.5 * torch.randn(400_000, generator=torch.Generator().manual_seed(0))
    drawn = torch.distributions.Normal(2.0, 0.5).log_prob(codes) - torch.distributions.Normal(0.0, 1.0).log_prob(codes)
    assert drawn.mean().item() == pytest.approx(by_hand, rel=0.01)


def test_the_books_network() -> None:
    """784-512-2: 784 x 512 + 512, 512 x 4 + 4, and back 2 x 512 + 512, 512 x 784 + 784."""
    vae = VAE(variational.PRESETS["book"], (1, 28, 28), 10)
    sizes = [parameter.numel() for parameter in vae.parameters()]
    assert sizes == [401_408, 512, 2_048, 4, 1_024, 512, 401_408, 784]


def test_losses_of_the_players_by_hand() -> None:
    """D gives 0.8 to a real image and 0.3 to a forged one."""
    real, forged = torch.logit(torch.tensor([0.8, 0.3]))[:, None]
    assert discriminator_loss(real, forged).item() == pytest.approx(-0.5 * np.log(0.8) - 0.5 * np.log(0.7))
    assert generator_loss(forged, "non-saturating").item() == pytest.approx(-np.log(0.3))
    assert generator_loss(forged, "saturating").item() == pytest.approx(np.log(0.7))


def test_the_saturating_loss_has_no_gradient_where_forgeries_are_seen_through() -> None:
    """Through the sigmoid it is -D, and 1 - D of the other (erratum E-10)."""
    gradients = {}
    for kind in adversarial.LOSSES:
        logits = torch.logit(torch.tensor([0.001, 0.5], dtype=torch.float64)).requires_grad_()
        (len(logits) * generator_loss(logits, kind)).backward()
        assert logits.grad is not None
        gradients[kind] = logits.grad.tolist()
    assert gradients["saturating"] == pytest.approx([-0.001, -0.5])
    assert gradients["non-saturating"] == pytest.approx([-0.999, -0.5])


def test_frechet_distance_of_known_distributions() -> None:
    rng = np.random.default_rng(0)
    one = rng.normal(size=(20_000, 3))
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-8)
    assert frechet_distance(one, one + [3.0, 0, 4.0]) == pytest.approx(25)
    assert frechet_distance(one, 3 * one) == pytest.approx(4 * np.trace(np.cov(one.T)) + 4 * (one.mean(0) ** 2).sum())
    other = one @ rng.normal(size=(3, 3)) + rng.normal(size=(20_000, 3))
    c1, c2 = np.cov(one.T), np.cov(other.T)
    expected = ((one.mean(0) - other.mean(0)) ** 2).sum() + np.trace(c1 + c2 - 2 * np.real(sqrtm(c1 @ c2)))
    assert frechet_distance(one, other) == pytest.approx(expected)


def test_a_judge_tells_the_classes(bars: DataSet) -> None:
    judge = Judge("bars")
    told, features = judge(bars.test.inputs)
    assert (told == bars.test.labels).mean() == judge.accuracy == 1 and features.shape == (50, 128)


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_an_autoencoder_gives_back_what_it_is_shown(noise: float) -> None:
    config = autoencoder.Config(data="bars", epochs=60, batch_size=20, hidden=64, latent=8, noise=noise)
    before = autoencoder.judge(config, state(autoencoder.Autoencoder(config, (1, 16, 16))), "bars").measures
    after = autoencoder.judge(config, state(autoencoder.train(config)), "bars").measures
    assert after["error"] < 0.1 < 0.3 < before["error"] and after["loss"] < before["loss"]


@pytest.mark.parametrize(
    "config",
    [
        DenseConfig(data="bars", epochs=60, batch_size=20, hidden=64, latent=2),
        DenseConfig(data="bars", epochs=60, batch_size=20, hidden=64, latent=2, conditional=True),
        variational.ConvolutionalConfig(data="bars", epochs=40, batch_size=20, width=4, latent=3, learning_rate=3e-3),
    ],
    ids=["dense", "conditional", "convolutional"],
)
def test_the_bound_rises(config: variational.Config, bars: DataSet) -> None:
    """Of eight pictures: the best is the entropy of their gray pixels and log 8, log 4 where the class is told; a model
    of each pixel by itself is far worse."""
    found = variational.judge(config, state(variational.train(config)), "bars").measures
    images = bars.test.inputs / 255

    def entropy(p: Any) -> float:
        return float(-(p * np.log(p + 1e-12) + (1 - p) * np.log(1 - p + 1e-12)).sum())

    best = entropy(images) / len(images) + np.log(4 if getattr(config, "conditional", False) else 8)
    assert best - 0.5 < found["negative_elbo"] < 0.7 * entropy(images.mean(0))
    assert found["negative_elbo"] == pytest.approx(found["reconstruction"] + found["divergence"])


def test_beta_presses_codes_together() -> None:
    config = DenseConfig(data="bars", epochs=10, batch_size=20, hidden=32, latent=4)
    loose, tight = (
        variational.judge(one, state(variational.train(one)), "bars").measures["divergence"]
        for one in (config, dataclasses.replace(config, beta=30.0))
    )
    assert tight < 0.5 * loose


def test_forgers_are_told_what_to_forge(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nearly all they forge is recognised; without being told they make both kinds."""
    monkeypatch.setattr(adversarial, "SAMPLES", 400)
    config = adversarial.ConditionalConfig(data="bars", epochs=200, batch_size=25, latent=8, learning_rate=3e-4)
    found = adversarial.judge(config, state(adversarial.train(config)), "bars")
    assert found.measures["recognised"] > 0.9 and found.measures["modes"] == 2
    assert sum(found.details["shares"]) == pytest.approx(1)
    untrained = adversarial.judge(config, state(adversarial.Adversaries(config, (1, 16, 16), 2)), "bars").measures
    assert found.measures["frechet"] < 0.5 * untrained["frechet"]


def test_convolutional_forgers_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three steps of the discriminator for one of the generator; all of both networks learns."""
    config = adversarial.ConvolutionalConfig(
        data="bars", epochs=1, batch_size=100, latent=4, width=2, discriminator_steps=3
    )
    before = adversarial.Adversaries(config, (1, 16, 16), 2)
    after = adversarial.train(config)
    for name, parameter in after.named_parameters():
        assert not torch.equal(parameter, before.get_parameter(name)), name
    calls = []

    def counted(real: torch.Tensor, forged: torch.Tensor) -> torch.Tensor:
        calls.append(len(real))
        return discriminator_loss(real, forged)

    monkeypatch.setattr(adversarial, "discriminator_loss", counted)
    adversarial.train(config)
    assert calls == [100] * 3 * 2


@pytest.mark.parametrize(
    ("name", "module", "config"),
    [
        ("vae", variational, DenseConfig(data="bars", epochs=3, hidden=8)),
        ("gan", adversarial, adversarial.Config(data="bars", epochs=3)),
        ("autoencoder", autoencoder, autoencoder.Config(data="bars", epochs=3, hidden=8, noise=0.1)),
    ],
    ids=["vae", "gan", "autoencoder"],
)
def test_a_run_that_is_cut_ends_in_the_same_bits(name: str, module: Any, config: Any, tmp_path: Path) -> None:
    class Cut(Exception):
        pass

    def create(folder: str) -> Run:
        record = {"algorithm": name, "preset": "x", "config": to_json(config), "total": 3, "unit": "epochs"}
        return Run.create(tmp_path / folder, **record, progress=False)

    with create("whole") as run:
        whole = module.train(config, run).state_dict()
    with pytest.raises(Cut), create("cut") as run:
        progress = run.progress

        def stop(step: int) -> None:
            progress(step)
            if step == 3:
                raise Cut

        run.progress = stop  # type: ignore[method-assign]
        module.train(config, run)
    with Run.resume(tmp_path / "cut", progress=False) as run:
        resumed = module.train(config, run).state_dict()
    assert whole.keys() == resumed.keys() and all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adversarial, "SAMPLES", 200)
    for name, arguments, drawn in (
        ("vae", ["--latent", "2"], {"latent.png", "manifold.png", "reconstructions.png", "samples.png"}),
        ("conditional-gan", [], {"samples.png"}),
        ("autoencoder", ["--noise", "0.2"], {"reconstructions.png"}),
    ):
        folder = tmp_path / name
        options = ["--data", "bars", "--epochs", "2", "--run-dir", str(folder), "--quiet"]
        train_door.main([name, *options, *arguments])
        measure = next(iter(find(name).measures))
        evaluate_door.main([str(folder), "--require", f"{measure}>=0"])
        assert f"{measure}" in capsys.readouterr().out
        assert {path.name for path in folder.glob("*.png")} == drawn | {"curve.png"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["conv-vae", "--data", "odd"], "image='10 x 12': this network halves images four times: use multiples of 16"),
        (["dcgan", "--data", "odd"], "image='10 x 12': this network doubles images twice: use multiples of 4"),
        (["vae", "--data", "flat"], "data='flat': it holds no images, and this model makes some"),
        (["vae", "--beta", "-1"], "beta=-1.0: use 0 or more"),
        (["gan", "--loss", "wasserstein"], "loss='wasserstein': use one of non-saturating, saturating"),
        (["gan", "--discriminator-steps", "0"], "discriminator_steps=0: use at least 1"),
        (["autoencoder", "--noise", "-0.1"], "noise=-0.1: use 0 or more"),
    ],
)
def test_mistakes_are_named(
    arguments: list[str], message: str, tmp_path: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, shape, dtype in (("odd", (10, 12), np.uint8), ("flat", (5,), np.float32)):
        part = Split(np.zeros((10, *shape), dtype), np.arange(10) % 2)
        monkeypatch.setitem(sets.SETS, name, lambda part=part: DataSet(part, part, ("a", "b")))
    assert message in refused(train_door.main, *arguments, "--run-dir", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_a_code_sees(bars: DataSet) -> None:
    config = DenseConfig(data="bars", latent=3, hidden=8)
    model = VAE(config, (1, 16, 16), 2)
    seen = find("vae").perceive(config, state(model))(torch.from_numpy(bars.test.inputs))
    torch.testing.assert_close(seen, model.encode(unit(torch.from_numpy(bars.test.inputs)), torch.zeros(50))[0])
