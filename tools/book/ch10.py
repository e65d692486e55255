"""Chapter 10: deep learning in autonomous vehicles."""

from typing import Any

from agents.imitation.behavioral_cloning import PRESETS
from tools.book.rows import PROSE, Equation, Item, Sections, both, evaluated, measured, picture

TRAIN = "python -m agents.train"
RECORD = "python -m tools.record --env skidpad/CarRacing-v0"
CLONING = "agents/imitation/behavioral_cloning.py"
CLONE = "Behavioral cloning with PyTorch"
CHAUFFEUR = "Driving policy with ChauffeurNet"
CHAUFFEUR_NET = "ChauffeurNet"


def laps(one: dict[str, Any]) -> str:
    """How often a clone of recordings by a person came round, and how it drove."""
    return f"round on {one['laps']:.0%} of {len(one['seeds'])} tracks, {one['visited']:.0%} of their tiles visited"


def equal_steps(rows: list[dict[str, Any]]) -> str:
    """How many steps of all ways to drive are as Gymnasium's."""
    counted = [row for row in rows if row["unit"] == "steps"]
    same, steps = (sum(row[who] for row in counted) for who in ("ours", "peer"))
    return f"{same:,} of {steps:,} steps are Gymnasium's bit for bit"


ITEMS: Sections[Item] = {
    "Brief history of AV research": [
        Item(
            "figure",
            "ALVINN: camera and range finder, 29 units, 45 curvatures",
            (
                f"{TRAIN} bc --preset alvinn --demonstrations demos/calm",
                "supervised/backbones.py:Alvinn",
                "agents/heads.py:Curvature",
            ),
            evaluated("clone-bc-alvinn", "mean", ".1f", "mean return"),
        ),
        Item(
            "claim",
            "ALVINN was trained on 1,200 images for 40 epochs",
            f"{TRAIN} bc --preset alvinn --demonstrations demos/calm",
            lambda: f"{PRESETS['alvinn'].epochs} epochs",
        ),
    ],
    "AV introduction": [
        Item("table", "levels of automation, 0 to 5", PROSE),
    ],
    "Components of an AV system": [
        Item("figure", "what a lidar sees", PROSE),
    ],
    "Imitation driving policy": [
        Item(
            "figure",
            "behavioral cloning: a network learns what a driver does",
            (f"{RECORD} --out demos/calm --driver calm", CLONING),
            picture("recorder"),
        ),
        Item(
            "claim",
            "a CNN of five convolutions steers (Bojarski et al. 2016)",
            (f"{TRAIN} bc --preset pilotnet --demonstrations demos/driver",),
            both(
                evaluated("clone-bc-pilotnet", "mean", ".1f", "mean return"),
                measured("driving-human.json", lambda one: f"autonomy of a person's clone: {one['autonomy']:.0%}"),
                picture("driver-camera"),
            ),
            book="98 % autonomous",
        ),
    ],
    CLONE: [
        Item(
            "figure",
            "CarRacing-v0",
            "envs/car_racing/env.py:CarRacing",
            measured("bench-car-racing-parity.json", equal_steps),
        ),
        Item(
            "steps",
            "recording episodes at the keyboard",
            f"{RECORD} --out demos/mine",
            "every kept episode is stored when it ends (D-38, D-39)",
        ),
        Item(
            "steps",
            "the book's recording, data.gzip",
            ("python -m tools.record import data.gzip --out demos/book", "tools/importers.py"),
            "nothing in it is run",
        ),
        Item(
            "steps",
            "seven classes of keys, balanced",
            ("agents/imitation/demonstrations.py:book_classes", "agents/imitation/examples.py:book_rows"),
            "-1 steers left (D-41)",
        ),
        Item(
            "listing",
            "frames to train on, and to validate",
            "agents/imitation/examples.py:split",
            "whole episodes are held out before balancing (D-40)",
        ),
        Item(
            "listing",
            "gray, cropped and scaled pictures",
            "agents/transforms.py:Transforms",
            measured("bench-imitation.json", lambda rows: f"{rows[0]['ratio']:.0f} times as fast as the book's"),
        ),
        Item(
            "listing",
            "three convolutions with batch normalization and dropout, 120 units, 7 classes",
            "supervised/backbones.py:BookBC",
            "the book's model.pt loads into it",
        ),
        Item("listing", "training for some epochs", f"{CLONING}:train"),
        Item("listing", "an epoch", f"{CLONING}:Learner.epoch"),
        Item(
            "listing",
            "letting the network drive",
            ("python -m tools.play runs/clone", "python -m agents.evaluate runs/clone"),
            "one transform in training and driving (D-42), one table of brakes (D-44)",
        ),
        Item(
            "listing", "building, restoring, training, driving", f"{TRAIN} bc --preset book --demonstrations demos/book"
        ),
        Item(
            "result",
            "the clone's driving",
            (
                f"{TRAIN} bc --demonstrations demos/human",
                "python -m tools.bench driving-test runs/human --episodes 50",
            ),
            measured("driving-human.json", laps),
            book="full laps, often but not always",
        ),
        Item(
            "claim",
            "cloning learns to drive in little time, and RL would take longer",
            (f"{TRAIN} bc --preset frame --demonstrations demos/calm --seeds 5", f"{TRAIN} ppo --preset car-racing"),
            both(
                evaluated("clone-bc-frame", "mean", ".1f", "mean return"),
                measured("clone-bc-frame-s0.json", lambda one: f"in {one['training']['seconds'] / 60:.1f} minutes"),
                evaluated("ppo-car-racing", "mean", ".1f", "PPO"),
                measured("ppo-car-racing-s0.json", lambda one: f"in {one['training']['seconds'] / 60:.1f} minutes"),
            ),
        ),
    ],
    CHAUFFEUR: [
        Item("figure", "what ChauffeurNet sees and puts out: pictures of the road from above", "", part=CHAUFFEUR_NET),
        Item("figure", "FeatureNet, AgentRNN and the memory of places", "", part=CHAUFFEUR_NET),
        Item("figure", "the parts of its training: two more networks, and the losses", "", part=CHAUFFEUR_NET),
    ],
    "DL in the Cloud": [
        Item("listing", "fetching the book's code on a rented machine", PROSE),
        Item("listing", "entering the folder of an example", PROSE),
        Item("listing", "training there", f"{TRAIN} bc --preset book --demonstrations demos/book", "`--device cuda`"),
    ],
}

EQUATIONS: Sections[Equation] = {
    CHAUFFEUR: [
        Equation("the next place of the agent from the pictures", part=CHAUFFEUR_NET),
        Equation("AgentRNN: place and box from the memory (D-49)", part=CHAUFFEUR_NET),
    ],
}
