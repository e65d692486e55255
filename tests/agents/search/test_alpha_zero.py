"""AlphaZero: its losses by hand, its data, its learning, its exactness, and what it refuses."""

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from agents import evaluate, train
from agents.opponents import resolve
from agents.search import alpha_zero, judging
from agents.search.matches import Tally, play_match, random_position
from agents.search.network import PolicyValueNetwork, evaluator
from agents.search.self_play import Playing, Positions, Searching, SelfPlay, draw
from agents.search.solver import perfect
from envs.board import game
from envs.board.env import BoardGame
from supervised.training import memory
from supervised.training.errors import UserError
from supervised.training.run import Interrupted, Run

TIC_TAC_TOE, CONNECT_FOUR = game("tic_tac_toe"), game("connect_four")
SMALL = alpha_zero.Config(
    env="skidpad/TicTacToe-v0",
    total_steps=640,
    lanes=16,
    simulations=6,
    considered=4,
    round_steps=8,
    batch_size=32,
    window=500,
    blocks=1,
    filters=8,
    play_simulations=4,
    evaluate_every=300,
    evaluate_episodes=4,
    log_every=128,
)
CALM = Playing(
    noise_alpha=1.0,
    noise_fraction=0.0,
    random_plies=0,
    temperature_plies=0,
    resign_below=-1.0,
    resign_checked=0.0,
)


def evenly(planes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((len(planes), 9), np.float32), np.zeros(len(planes), np.float32)


# Network.


def test_the_fused_network_is_the_network() -> None:
    torch.manual_seed(0)
    network = PolicyValueNetwork(CONNECT_FOUR, 2, 8)
    planes = torch.randint(0, 2, (64, 2, 6, 7), dtype=torch.int8)
    for _ in range(20):  # moves the statistics of normalization
        network(planes)
    logits, values = network.eval()(planes)
    assert logits.shape == (64, 7) and values.shape == (64,)
    assert values.abs().max() <= 1
    fused_logits, fused_values = evaluator(network.fused(torch.float32))(planes.numpy())
    np.testing.assert_allclose(fused_logits, logits.detach(), atol=1e-5)
    np.testing.assert_allclose(fused_values, values.detach(), atol=1e-5)
    half_logits, _ = evaluator(network.fused(torch.bfloat16))(planes.numpy())
    np.testing.assert_allclose(half_logits, logits.detach(), atol=0.1)


# Self-play.


def play_games(self_play: SelfPlay, evaluate: Any = evenly, steps: int = 12) -> list[Positions]:
    return [positions for _ in range(steps) for positions in self_play.step(evaluate)]


def test_results_are_those_of_the_mover() -> None:
    rng = np.random.default_rng(0)
    games = play_games(SelfPlay(TIC_TAC_TOE, 8, Searching(8, considered=2), CALM, rng))
    assert games
    for one in games:
        assert [state[0] for state in one.states] == list(range(len(one.states)))
        last = TIC_TAC_TOE.after(one.states[-1], int(one.policies[-1].argmax()))
        outcome = TIC_TAC_TOE.outcome(last)
        assert outcome is not None
        ends = -outcome * (-1.0) ** np.arange(len(one.results))[::-1]
        assert one.results.tolist() == ends.tolist()
        for state, policy in zip(one.states, one.policies, strict=True):
            assert policy.sum() == pytest.approx(1)
            assert not policy[~TIC_TAC_TOE.legal(state)].any()


def test_games_begin_with_random_actions_that_are_not_learnt_from() -> None:
    rng = np.random.default_rng(0)
    playing = dataclasses.replace(CALM, random_plies=4)
    games = play_games(SelfPlay(TIC_TAC_TOE, 64, Searching(2), playing, rng))
    firsts = {int(one.states[0][0]) for one in games}
    assert firsts == {0, 1, 2, 3, 4}


def test_games_are_given_up_but_for_those_that_check() -> None:
    """A network that thinks all is lost: every game is given up at once, but those to be checked are played on."""

    def hopeless(planes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return evenly(planes)[0], np.full(len(planes), -0.9, np.float32)

    playing = dataclasses.replace(CALM, resign_below=-0.5, resign_checked=0.25, temperature_plies=9)
    self_play = SelfPlay(TIC_TAC_TOE, 64, Searching(1), playing, np.random.default_rng(0))
    counts = self_play.counts
    # one simulation: the root's own value -0.9 and its child's, 0.9 for the root's mover, are 0 on average
    games = play_games(self_play, hopeless)
    assert counts["given_up"] == 0 and counts["games"] == len(games)

    def mover_loses(planes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        even = planes.sum((1, 2, 3)) % 2 == 0
        return evenly(planes)[0], np.where(even, -0.9, 0.9).astype(np.float32)

    self_play = SelfPlay(TIC_TAC_TOE, 64, Searching(1), playing, np.random.default_rng(0))
    games = play_games(self_play, mover_loses)
    counts = self_play.counts
    short = [one for one in games if len(one.states) == 1]
    assert len(short) == counts["given_up"] > 100
    assert all(one.results.tolist() == [-1] for one in short)
    played_on = [one for one in games if len(one.states) > 1]
    assert len(played_on) == counts["checked"] > 10
    assert counts["wrongly"] == sum(one.results[0] != -1 for one in played_on)


def test_first_actions_are_drawn_and_later_ones_the_best() -> None:
    rng = np.random.default_rng(0)
    playing = dataclasses.replace(CALM, temperature_plies=1)
    games = play_games(SelfPlay(TIC_TAC_TOE, 64, Searching(16), playing, rng))
    seconds = {tuple(one.states[1][1:3]) for one in games}
    assert len(seconds) > 4
    for one in games:
        for state, policy, after in zip(one.states[1:], one.policies[1:], one.states[2:], strict=False):
            assert policy[[TIC_TAC_TOE.legal(state) & ~TIC_TAC_TOE.legal(after)][0]].max() == policy.max()


# Learning.


def test_losses_by_hand() -> None:
    agent = alpha_zero.Agent.of(SMALL, TIC_TAC_TOE)
    learner = alpha_zero.Learner(SMALL, agent)
    logits = torch.tensor([[0.0, math.log(3.0), *[-1e9] * 7], [0.0] * 9])
    agent.network = lambda planes: (logits, torch.tensor([0.5, -1.0]))  # type: ignore
    policies = torch.tensor([[0.5, 0.5, *[0.0] * 7], [1.0, *[0.0] * 8]])
    policy_loss, value_loss = learner._losses(torch.zeros(2), policies, torch.tensor([1.0, -1.0]))
    by_hand = [-(0.5 * math.log(0.25) + 0.5 * math.log(0.75)), math.log(9)]
    assert policy_loss.item() == pytest.approx(np.mean(by_hand))
    assert value_loss.item() == pytest.approx(0.5**2 / 2)


def test_a_position_and_its_policy_are_turned_together() -> None:
    """In every batch the policy is all on one cell, and that cell is where the board has its only stone."""
    learner = alpha_zero.Learner(SMALL, alpha_zero.Agent.of(SMALL, TIC_TAC_TOE))
    state = TIC_TAC_TOE.after(TIC_TAC_TOE.start, 1)
    window = alpha_zero.Window(SMALL, TIC_TAC_TOE)
    window.add([Positions(state[None], np.eye(9, dtype=np.float32)[[1]], np.ones(1, np.float32))])
    planes, policies, _ = learner._batch(window)
    stones = planes[:, 1].flatten(1).argmax(1)
    assert (planes.sum((1, 2, 3)) == 1).all()
    assert stones.tolist() == policies.argmax(1).tolist()
    assert set(stones.tolist()) == {1, 3, 5, 7}


def test_symmetries_of_a_game_without_are_refused() -> None:
    one_view = dataclasses.replace(TIC_TAC_TOE, cells=TIC_TAC_TOE.cells[:1], actions=TIC_TAC_TOE.actions[:1])
    agent = alpha_zero.Agent.of(SMALL, TIC_TAC_TOE)
    agent.game = one_view
    alpha_zero.Learner(SMALL, agent)
    with pytest.raises(UserError, match="symmetries=True: tic_tac_toe has none, leave it out"):
        alpha_zero.Learner(dataclasses.replace(SMALL, symmetries=True), agent)


def test_actions_are_drawn_from_the_policy_alone() -> None:
    policies = np.repeat([[0.0, 0.25, 0.0, 0.7499999, 0.0]], 4_000, axis=0).astype(np.float32)
    drawn = np.bincount(draw(policies, np.random.default_rng(0)), minlength=5) / 4_000
    np.testing.assert_allclose(drawn, [0, 0.25, 0, 0.75, 0], atol=0.03)


def test_the_window_forgets_the_oldest() -> None:
    window = alpha_zero.Window(dataclasses.replace(SMALL, window=3, batch_size=2), TIC_TAC_TOE)
    for number in range(5):
        window.add([Positions(TIC_TAC_TOE.start[None], np.zeros((1, 9), np.float32), np.full(1, number, np.float32))])
    assert len(window) == 3
    _, _, results = window.draw(100, np.random.default_rng(0))
    assert set(results.tolist()) == {2, 3, 4}


def test_a_window_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: 2**30)
    config = dataclasses.replace(SMALL, window=100_000_000, total_steps=100_000_000)
    told = r"^window=100000000: its positions take \d+\.\d GiB, and 1.0 GiB are free; use at most \d+$"
    with pytest.raises(UserError, match=told):
        alpha_zero.Window(config, TIC_TAC_TOE)


def test_learns_tic_tac_toe() -> None:
    config = dataclasses.replace(
        SMALL, total_steps=6_000, lanes=32, simulations=16, considered=9, random_plies=4, filters=16, evaluate_every=0
    )
    agent = alpha_zero.train(dataclasses.replace(config, temperature_plies=9, window=6_000))
    agent.simulations = 0
    solver = perfect(TIC_TAC_TOE)
    states = judging.positions(solver, 0, 0)
    assert len(states) == 4520
    fresh = alpha_zero.Agent.of(dataclasses.replace(config, play_simulations=0), TIC_TAC_TOE)
    before, after = (judging.kept(lambda some, by=by: by.act(some, True), solver, states) for by in (fresh, agent))
    assert before < 0.75
    assert after > 0.88


# Exactness.


def create(folder: Path, config: alpha_zero.Config) -> Run:
    total = config.total_steps
    return Run.create(folder, algorithm="alpha-zero", preset="", config={}, total=total, progress=False)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_resumed_run_ends_with_the_same_bits(threads: int, tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, threads=threads, checkpoint_every=100)
    with create(tmp_path / "whole", config) as run:
        whole = alpha_zero.train(config, run)
    with create(tmp_path / "cut", config) as run, pytest.raises(Interrupted):
        log = run.log

        def stop(step: int, metrics: Any, counts: Any) -> None:
            log(step, metrics, counts)
            if step > 300:
                run._receive(15, None)

        run.log = stop  # type: ignore[method-assign]
        alpha_zero.train(config, run)
    with Run.resume(tmp_path / "cut", progress=False) as run:
        resumed = alpha_zero.train(config, run)
    for name, weight in whole.network.state_dict().items():
        assert torch.equal(weight, resumed.network.state_dict()[name]), name
    logs = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "cut")]
    assert logs[0] == logs[1]
    assert '"elo"' in logs[0] and '"value_loss"' in logs[0]


# Matches.


def test_tallies_by_hand() -> None:
    tally = Tally.of(np.array([1, 1, 1, 0, -1.0]))
    assert (tally.wins, tally.draws, tally.losses, tally.games) == (3, 1, 1, 5)
    assert tally.score == 0.7
    assert tally.elo() == pytest.approx(400 * math.log10(4 / 2))  # 3.5 and half a point of 6
    low, high = tally.elo_interval()
    assert low < tally.elo() < high
    lowest, highest = Tally(100, 0, 0).elo_interval()
    assert lowest == pytest.approx(400 * math.log10(0.963 / 0.037), abs=3)  # Wilson's 0.963 of 100 of 100
    assert highest == Tally(100, 0, 0).elo()
    assert Tally(10, 0, 0).elo() == pytest.approx(-Tally(0, 0, 10).elo()) and Tally(10, 0, 0).elo() < math.inf


def test_a_match_is_played_from_both_sides() -> None:
    """The perfect player against one that takes the first free cell: from no opening does it lose."""
    solver = perfect(TIC_TAC_TOE)
    rng = np.random.default_rng(0)

    def best(states: np.ndarray) -> np.ndarray:
        return np.array([solver(state, TIC_TAC_TOE.legal(state), rng) for state in states])

    def first(states: np.ndarray) -> np.ndarray:
        return np.array([TIC_TAC_TOE.legal(state).argmax() for state in states])

    tally = play_match(TIC_TAC_TOE, best, first, 40, 0, rng)
    assert tally.games == 40 and tally.losses == 0 and tally.wins >= 20
    assert play_match(TIC_TAC_TOE, first, best, 40, 0, rng).wins == 0
    short = [random_position(TIC_TAC_TOE, 9, rng) for _ in range(50)]
    assert all(TIC_TAC_TOE.outcome(state) is None for state in short)
    openings = {random_position(TIC_TAC_TOE, 3, rng).tobytes() for _ in range(50)}
    assert len(openings) > 30


def test_the_perfect_player_judges_itself() -> None:
    """It keeps every value and wins what is won; one that plays its worst moves does neither."""
    solver, rng = perfect(CONNECT_FOUR), np.random.default_rng(0)

    def best(states: np.ndarray) -> np.ndarray:
        return np.array([solver(state, CONNECT_FOUR.legal(state), rng) for state in states])

    def worst(states: np.ndarray) -> np.ndarray:
        return np.array([np.where(CONNECT_FOUR.legal(state), solver.values(state), 9).argmin() for state in states])

    states = judging.positions(solver, 12, 0)
    assert all(12 <= state[0] <= 24 for state in states)
    shares = [judging.keeping(solver, state).sum() / CONNECT_FOUR.legal(state).sum() for state in states]
    assert max(shares) <= 0.5
    assert judging.kept(best, solver, states) == 1
    assert judging.kept(worst, solver, states) == 0


def test_won_openings_are_won_by_the_perfect_player(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "OPENING", 3)
    solver, rng = perfect(TIC_TAC_TOE), np.random.default_rng(0)

    def best(states: np.ndarray) -> np.ndarray:
        return np.array([solver(state, TIC_TAC_TOE.legal(state), rng) for state in states])

    assert judging.converted(best, solver, 10, 0) == 10
    first = lambda states: np.array([TIC_TAC_TOE.legal(state).argmax() for state in states])  # noqa: E731
    assert judging.converted(first, solver, 10, 0) < 10


# The doors.


def test_a_run_leaves_a_curve_and_a_game(trained: Path) -> None:
    for name in ("curve.png", "game.png"):
        with Image.open(trained / name) as picture:
            assert min(picture.size) > 200


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alpha-zero") / "run"
    flags = "--lanes 16 --simulations 4 --blocks 1 --filters 8 --round-steps 8 --batch-size 32"
    flags += " --total-steps 300 --log-every 100"
    train.main(["alpha-zero", "--env", "skidpad/TicTacToe-v0", *flags.split(), "--run-dir", str(folder), "--quiet"])
    return folder


def test_evaluation_tells_games_elo_and_moves(trained: Path, capsys: pytest.CaptureFixture) -> None:
    command = [str(trained), "--opponent", "mcts:20", "--episodes", "20", "--simulations", "8", "--positions", "1"]
    evaluate.main(command)
    text = capsys.readouterr().out
    assert "8 simulations a move; against mcts:20" in text
    assert "won" in text and "Elo" in text and "keep the game's value, in 4520 positions" in text
    result = (trained / "evaluation.json").read_bytes()
    evaluate.main(command)
    again = (trained / "evaluation.json").read_bytes()
    first, second = (text.split(b'"seconds"')[0] for text in (result, again))
    assert first == second


def test_requirements_of_games(trained: Path, capsys: pytest.CaptureFixture) -> None:
    command = [str(trained), "--opponent", "random", "--episodes", "4", "--simulations", "0", "--require"]
    evaluate.main([*command, "score>=0", "losses<=4"])
    with pytest.raises(SystemExit) as stop:
        evaluate.main([*command, "kept>=0"])  # which nobody asked for
    assert stop.value.code == 1


def test_games_a_second_are_told(trained: Path) -> None:
    """And the last network is matched, whatever the steps."""
    timing = [json.loads(line) for line in (trained / "timing.jsonl").read_text().splitlines()]
    metrics = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert timing[-1]["games_per_second"] == pytest.approx(metrics[-1]["games"] / timing[-1]["seconds"], rel=1e-4)
    assert "elo" in metrics[-1] and metrics[-1]["step"] == 288


def test_a_run_is_an_opponent(trained: Path, capsys: pytest.CaptureFixture) -> None:
    command = [str(trained), "--opponent", str(trained), "--episodes", "8", "--simulations", "0"]
    different = []
    for opening in ("0", "3"):
        evaluate.main([*command, "--opening", opening])
        assert f"against {trained}" in capsys.readouterr().out
        result = json.loads((trained / "evaluation.json").read_text())
        different.append(len(set(zip(result["lengths"], result["returns"], strict=True))))
    assert different[0] <= 2 < different[1]  # two players that draw nothing: a game from each side


def test_players_by_name_are_evaluated_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, refused: Callable[..., str]
) -> None:
    monkeypatch.chdir(tmp_path)
    evaluate.main(["mcts:200", "--env", "skidpad/TicTacToe-v0", "--episodes", "10", "--positions", "1"])
    assert "mcts:200 on skidpad/TicTacToe-v0, 10 episodes" in capsys.readouterr().out
    result = json.loads((tmp_path / "runs" / "mcts-200" / "evaluation.json").read_text())
    assert result["algorithm"] == "mcts:200" and result["losses"] == 0 and result["kept"] > 0.8
    keywords = ["--env-kwargs", '{"size": 5, "line": 4}']
    evaluate.main(["mcts:20", "--env", "skidpad/Gomoku-v0", *keywords, "--episodes", "2"])
    message = "error: perfect plays board games: name one, as --env skidpad/ConnectFour-v0"
    assert refused(evaluate.main, "perfect") == message
    message = "error: mcts:5 plays board games, and CartPole-v1 is none: use such as skidpad/ConnectFour-v0"
    assert refused(evaluate.main, "mcts:5", "--env", "CartPole-v1") == message
    assert "Nope" in refused(evaluate.main, "mcts:5", "--env", "skidpad/Nope-v0")
    assert "leave out --opponent" in refused(evaluate.main, "zoo:cart-pole-ppo", "--positions", "3")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--opponent", "mcts:many"], "opponent 'mcts:many': write the simulations of a move, as mcts:2000"),
        (["--opponent", "mcts:0"], "simulations=0: a search needs at least 1"),
        (["--opponent", "nobody"], "unknown opponent 'nobody': use random, mcts:2000, perfect, or a run's folder"),
        (["--simulations", "-1"], "simulations=-1: use 0 to 100,000"),
        (["--episodes", "1", "--positions", "-1"], "positions=-1: use 0 or more"),
        (["--env", "skidpad/ConnectFour-v0"], "tic_tac_toe"),
        (["--env", "CartPole-v1"], "plays board games, and CartPole-v1 is none: leave --env out"),
        (["--opponent", "mcts:99999999999999999999"], "use at most 1,000,000,000"),
        (["--simulations", "99999999999"], "simulations=99999999999: use 0 to 100,000"),
    ],
)
def test_evaluation_mistakes(arguments: list[str], message: str, trained: Path, refused: Callable[..., str]) -> None:
    assert message in refused(evaluate.main, trained, *arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"simulations": 0}, "simulations=0: use at least 1"),
        ({"considered": -1}, "considered=-1: use 0 or more"),
        ({"resign_below": 1.0}, "resign_below=1.0: use a number from -1 to below 1"),
        ({"lanes": 15, "threads": 2}, "lanes=15: use a multiple of threads (2)"),
        ({"total_steps": 3}, "total_steps=3: use at least one position of every game (16)"),
        ({"window": 20}, "window=20: use at least a batch (32)"),
        ({"play_simulations": 10**6}, "play_simulations=1000000: use at most 100,000"),
        ({"dtype": "int8"}, "dtype='int8': use one of float32, bfloat16"),
    ],
)
def test_settings_out_of_range_are_named(change: dict, message: str) -> None:
    with pytest.raises(UserError) as caught:
        dataclasses.replace(SMALL, **change)
    assert str(caught.value) == message


def test_other_environments_are_refused(tmp_path: Path, refused: Callable[..., str]) -> None:
    message = refused(train.main, "alpha-zero", "--env", "skidpad/CartPole-v1", "--run-dir", tmp_path / "run")
    assert "alpha-zero plays board games, and skidpad/CartPole-v1 is none: use one of skidpad/" in message
    assert not (tmp_path / "run").exists()
    misspelt = ["--env", "skidpad/Othello-v0", "--env-kwargs", '{"siz": 6}', "--run-dir", tmp_path / "run"]
    assert "siz" in refused(train.main, "alpha-zero", *misspelt)
    assert not (tmp_path / "run").exists()


def test_an_agent_of_another_board_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "othello"
    flags = "--lanes 4 --simulations 2 --blocks 1 --filters 8 --round-steps 2 --total-steps 8"
    kwargs = ["--env-kwargs", '{"size": 6}']
    train.main(
        ["alpha-zero", "--env", "skidpad/Othello-v0", *kwargs, *flags.split(), "--run-dir", str(other), "--quiet"]
    )
    with pytest.raises(UserError) as caught:
        resolve(str(other), game("othello"))
    assert str(caught.value) == f"opponent {other}: it plays othello {{'size': 6}}, not othello {{'size': 8}}"
    agent = evaluate.load(other)[0]
    for simulations in (0, 2):
        agent.simulations = simulations
        with pytest.raises(ValueError, match=r"^position int64 \(1, 4\) of another game: this is othello, size 6$"):
            agent.act(game("othello").start[None])
    large = alpha_zero.Agent.of(dataclasses.replace(agent.config, env_kwargs={"size": 8}), game("othello"))
    with pytest.raises(UserError, match="^the weights do not fit othello, size 8 with 1 blocks of 8 filters: give"):
        large.load_state_dict(agent.state_dict())


def test_an_opponent_of_another_board_is_refused() -> None:
    """Compiled rules would write past a smaller board's arrays."""
    env = BoardGame(4, game="gomoku", opponent=resolve("mcts:5", game("gomoku", size=9)), side="second")
    with pytest.raises(ValueError, match=r"^position int64 \(\d+,\) of another game: this is gomoku, size 9, line 5$"):
        env.reset(seed=0)
