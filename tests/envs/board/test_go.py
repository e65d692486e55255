"""Go: known positions, a slow and plain copy of the rules, and OpenSpiel's Go."""

from collections.abc import Iterator

import checks
import numpy as np
import pytest

from envs.board.game import DRAW, LOSS, WIN, Game, State
from envs.board.go import go
from envs.rng import from_generator

KO_PLANE, SECOND_PLANE, PASSED_PLANE = 2, 3, 4

Cells = tuple[int, ...]  # a board, row by row: 0 empty, 1 x, 2 o


class PlainGo:
    """The rules on tuples, with the set of all boards for superko."""

    def __init__(self, size: int, cells: Cells | None = None, plies: int = 0) -> None:
        self.size, self.plies, self.passes = size, plies, 0
        self.cells = cells or (0,) * (size * size)
        self.boards = [self.cells]

    def near(self, cell: int) -> list[int]:
        row, column = divmod(cell, self.size)
        sides = ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1))
        return [r * self.size + c for r, c in sides if 0 <= r < self.size and 0 <= c < self.size]

    def region(self, cells: Cells, cell: int) -> tuple[set[int], set[int]]:
        """The cells of one colour that hang together, and all next to them."""
        inside, todo, edge = {cell}, [cell], set()
        while todo:
            for other in self.near(todo.pop()):
                if cells[other] != cells[cell]:
                    edge.add(other)
                elif other not in inside:
                    inside.add(other)
                    todo.append(other)
        return inside, edge

    def stone(self, cell: int) -> Cells | None:
        """The board after the mover's stone; None when that is suicide or the cell is taken."""
        if self.cells[cell]:
            return None
        own = 1 + self.plies % 2
        cells = list(self.cells)
        cells[cell] = own
        for other in self.near(cell):
            if cells[other] == 3 - own:
                chain, edge = self.region(tuple(cells), other)
                if all(cells[one] for one in edge):
                    for one in chain:
                        cells[one] = 0
        after = tuple(cells)
        return after if any(after[one] == 0 for one in self.region(after, cell)[1]) else None

    def over(self) -> bool:
        return self.passes == 2 or self.plies == 2 * self.size**2

    def legal(self) -> list[int]:
        if self.over():
            return []
        after = [self.stone(cell) for cell in range(self.size**2)]
        return [cell for cell, one in enumerate(after) if one and one not in self.boards] + [self.size**2]

    def play(self, action: int) -> None:
        if action == self.size**2:
            self.passes += 1
        else:
            after = self.stone(action)
            assert after
            self.cells, self.passes = after, 0
            self.boards.append(after)
        self.plies += 1

    def margin(self) -> int:
        """Area of x less that of o."""
        area = 0
        for cell, stone in enumerate(self.cells):
            owners = {stone} if stone else {self.cells[one] for one in self.region(self.cells, cell)[1]}
            area += (owners == {1}) - (owners == {2})
        return area

    def left_for_rollout(self) -> list[int]:
        """Cells that neither are suicide, nor take back in a ko, nor fill an eye."""
        own, left = 1 + self.plies % 2, []
        for cell in range(self.size**2):
            row, column = divmod(cell, self.size)
            corners = [
                self.cells[r * self.size + c]
                for r in (row - 1, row + 1)
                for c in (column - 1, column + 1)
                if 0 <= r < self.size and 0 <= c < self.size
            ]
            surrounded = all(self.cells[one] == own for one in self.near(cell))
            eye = surrounded and corners.count(3 - own) < (2 if len(corners) == 4 else 1)
            after = self.stone(cell)
            if after and after not in self.boards[-2:] and not eye:
                left.append(cell)
        return left


def cells_of(game: Game, state: State) -> Cells:
    return tuple(".xo".index(letter) for letter in game.show(state).replace("\n", ""))


def played(game: Game, state: State, moves: str) -> State:
    for move in moves.split():
        state = game.after(state, game.action(move))
    return state


def can(game: Game, state: State, move: str) -> bool:
    return bool(game.legal(state)[game.action(move)])


def random_game(game: Game, seed: int, passes: float = 0.02) -> Iterator[tuple[State, int]]:
    """Positions of a game of random legal moves, each with the action that is played there."""
    rng, state = np.random.default_rng(seed), game.start.copy()
    while game.outcome(state) is None:
        actions = np.flatnonzero(game.legal(state))
        action = int(actions[-1] if len(actions) == 1 or rng.random() < passes else rng.choice(actions[:-1]))
        yield state, action
        state = game.after(state, action)
    yield state, -1


def rollout(game: Game, state: State, seed: int) -> tuple[State, list[int]]:
    """The end of a random game and its actions."""
    end, actions = state.copy(), np.zeros(game.longest, np.int64)
    plies = game.rules.rollout(end, from_generator(np.random.default_rng(seed)), actions)
    return end, actions[:plies].tolist()


@pytest.mark.parametrize(
    ("before", "moves", "after"),
    [
        ("5/5/2x2/1xo2/2x2 x 0 -", "d2", "5/5/2x2/1x1x1/2x2 o 0 -"),  # in the middle
        ("5/5/5/xx3/oo3 x 0 -", "c1", "5/5/5/xx3/2x2 o 0 -"),  # two at the edge
        ("5/5/ox3/x4/5 x 0 -", "a4", "5/x4/1x3/x4/5 o 0 -"),
        ("5/5/oxo2/xo3/x4 x 0 -", "b1", "5/5/oxo2/xo3/xx3 o 0 -"),  # stones at a corner do not count as a side
        ("1ox/ox1/xx1 x 0 -", "a3", "x1x/1x1/xx1 o 0 -"),  # two chains, by a stone that has no liberty else
        ("5/2o2/1oxo1/1oxo1/2x2 o 0 -", "b1 e5 d1", "4x/2o2/1o1o1/1o1o1/1o1o1 x 0 -"),  # three in a row
        ("5/5/xx3/oox2/2o2 x 0 -", "b1 a1", "5/5/xx3/oox2/o1o2 x 0 -"),  # snapback: one is thrown in
        ("5/5/xx3/oox2/2o2 x 0 -", "b1 a1 b1", "5/5/xx3/2x2/1xo2 o 0 -"),  # and three are taken
    ],
)
def test_captures(before: str, moves: str, after: str) -> None:
    game = go(5 if before.count("/") == 4 else 3)
    assert game.write(played(game, game.read(before), moves)) == after


def test_ko() -> None:
    game = go(5)
    state = played(game, game.read("5/1xo2/xo1o1/1xo2/5 x 0 -"), "c3")
    assert game.write(state) == "5/1xo2/x1xo1/1xo2/5 o 0 b3"
    assert not can(game, state, "b3")
    assert np.argwhere(game.observe(state)[KO_PLANE]).tolist() == [[2, 1]]
    threat = played(game, state, "e5 e1")
    assert can(game, threat, "b3")
    assert not game.observe(threat)[KO_PLANE].any()
    assert game.write(played(game, threat, "b3")) == "4o/1xo2/xo1o1/1xo2/4x x 0 c3"
    passed = played(game, state, "pass")
    assert game.write(passed) == "5/1xo2/x1xo1/1xo2/5 x 1 -"


def test_superko_sending_two_returning_one() -> None:
    game = go(4)
    state = played(game, game.read("4/4/oox1/1x1x x 0 -"), "a1 c1")  # x sends two, o takes them with one stone
    assert game.write(state) == "4/4/oox1/2ox x 0 -"  # no simple ko: two were taken
    assert not can(game, state, "b1")  # to take it is to make the first board again, though now o were to move
    assert np.argwhere(game.observe(state)[KO_PLANE]).tolist() == [[3, 1]]
    assert not can(game, played(game, state, "pass"), "c1")
    assert can(game, played(game, state, "d4 a4"), "b1")
    assert can(game, game.read(game.write(state)), "b1")  # text does not tell the boards before


@pytest.mark.parametrize(
    ("text", "move", "legal"),
    [
        ("1x1/x2/3 o 0 -", "a3", False),
        ("1x1/x2/3 x 0 -", "a3", True),
        ("1xo/xx1/oo1 o 0 -", "a3", False),  # what it touches has another liberty
        ("o1x/oox/xx1 o 0 -", "b3", False),  # a chain of four
        ("o1x/oox/xxx o 0 -", "b3", True),  # the same, but it takes all the others
    ],
)
def test_suicide(text: str, move: str, legal: bool) -> None:
    game = go(3)
    assert can(game, game.read(text), move) == legal


@pytest.mark.parametrize(
    ("text", "komi", "result"),
    [
        ("5/5/5/5/5 x 2 -", 0.5, LOSS),
        ("5/5/5/5/5 x 2 -", 0, DRAW),  # a region that touches no colour is nobody's
        ("5/5/5/5/2x2 o 2 -", 24.5, LOSS),  # all 25 are x's
        ("5/5/5/5/2x2 o 2 -", 25, DRAW),
        ("5/5/5/5/2x2 o 2 -", -25, LOSS),
        ("1xo2/1xo2/1xo2/1xo2/1xo2 x 2 -", 0, LOSS),  # 10 : 15
        ("1xo2/1xo2/1xo2/1xo2/1xo2 x 2 -", -5, DRAW),
        ("1xo2/1xo2/1xo2/1xo2/1xo2 o 2 -", -4.5, WIN),
        ("1x1o1/1x1o1/1x1o1/1x1o1/1x1o1 o 2 -", 0.5, WIN),  # 10 : 10, both touch the column between
        ("xxxxx/xo1ox/x1o1x/xo1ox/xxxxx x 2 -", 11, DRAW),  # 16 : 5, and four that both touch
    ],
)
def test_score(text: str, komi: float, result: int) -> None:
    game = go(5, komi)
    state = game.read(text)
    assert game.outcome(state) == result
    assert not game.legal(state).any()


def test_two_passes_in_a_row_end_the_game() -> None:
    game = go(3, 0.5)
    assert not game.observe(game.start)[PASSED_PLANE:].any()
    state = played(game, game.start, "pass a1 b2 pass")
    assert game.outcome(state) is None
    assert game.observe(state)[[SECOND_PLANE, PASSED_PLANE]].sum(axis=(1, 2)).tolist() == [0, 9]
    state = played(game, state, "pass")
    assert game.outcome(state) == WIN


@pytest.mark.parametrize(("size", "games"), [(2, 300), (3, 200), (4, 60), (5, 30)])
def test_equals_plain_rules(size: int, games: int) -> None:
    game, forbidden = go(size, 0), 0
    for seed in range(games):
        plain = PlainGo(size)
        for state, action in random_game(game, seed):
            assert cells_of(game, state) == plain.cells
            assert np.flatnonzero(game.legal(state)).tolist() == plain.legal()
            if not plain.over():
                shown = np.flatnonzero(game.observe(state)[KO_PLANE]).tolist()
                assert shown == [cell for cell in range(size**2) if plain.stone(cell) in plain.boards]
                forbidden += len(shown) - (game.write(state).split()[-1] != "-")  # by superko alone
                plain.play(action)
        assert game.outcome(state) == np.sign(plain.margin()) * (-1) ** plain.plies
    assert forbidden > 0 or size > 3


@pytest.mark.parametrize(
    ("size", "known", "depth"),
    [
        # by hand: 4 * 4 + 5 = 21; 12 pairs of stones with 3 plies each, 8 of a stone and a pass with 4, two passes 0
        (2, [5, 21, 68], 8),
        (3, [10, 9 * 9 + 10], 5),
    ],
)
def test_perft(size: int, known: list[int], depth: int) -> None:
    """As many sequences of plies as by the plain rules: on the board of 2 x 2 up to the end of all games."""

    def plain_lines(plain: PlainGo, depth: int) -> int:
        if depth == 1:
            return len(plain.legal())
        count = 0
        for action in plain.legal():
            after = PlainGo(size, plain.cells, plain.plies)
            after.boards, after.passes = list(plain.boards), plain.passes
            after.play(action)
            count += plain_lines(after, depth - 1)
        return count

    counts, _ = checks.count(go(size), depth)
    assert counts[: len(known)] == known
    assert counts[-1] == plain_lines(PlainGo(size), depth)


def test_plies_end_the_game() -> None:
    game = go(2, 0.5)
    ends = {int(state[0]) for seed in range(100) for state, action in random_game(game, seed, 0.1) if action < 0}
    assert max(ends) == game.longest == 8
    assert min(ends) < 8


def test_symmetries() -> None:
    game = go(5, 0.5)
    for seed in range(3):
        for view in range(8):
            seen = game.start.copy()
            inverse = np.argsort(game.actions[view])
            for state, action in random_game(game, seed):
                there = game.observe(state).reshape(len(game.planes), -1)[:, game.cells[view]]
                assert np.array_equal(game.observe(seen).reshape(there.shape), there)
                assert np.array_equal(game.legal(seen), game.legal(state)[game.actions[view]])
                assert game.outcome(seen) == game.outcome(state)
                if action >= 0:
                    seen = game.after(seen, int(inverse[action]))


@pytest.mark.parametrize("size", [2, 5, 9, 19])
def test_text_round_trip(size: int) -> None:
    game = go(size)
    for state, _ in random_game(game, 1):
        text = game.write(state)
        again = game.read(text)
        assert game.write(again) == text
        assert again[0] == state[0] % 2
        stones = [0, 1, 3, 4]
        assert np.array_equal(game.observe(again)[stones], game.observe(state)[stones])


def test_read_positions_play_on_by_the_rules() -> None:
    """What is kept of chains is the same however the stones came there."""
    game = go(5, 0)
    for seed in range(20):
        middle = [state for state, _ in random_game(game, seed)][25]
        state = game.read(game.write(middle))
        plain = PlainGo(5, cells_of(game, state), int(state[0]))
        rng = np.random.default_rng(seed)
        for _ in range(25):
            ko = game.write(state).split()[-1]
            known = [game.action(ko)] if ko != "-" and plain.plies < 2 else []  # the first ko is known by text only
            assert np.flatnonzero(game.legal(state)).tolist() == [one for one in plain.legal() if one not in known]
            action = int(rng.choice(np.flatnonzero(game.legal(state))))
            plain.play(action)
            state = game.after(state, action)
            if game.outcome(state) is not None:
                break


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("3/3/3 x 0", "3 fields"),
        ("3/3/3 x 3 -", "'3' passes in a row"),
        ("3/3/3 x 0 d1", "ko at 'd1'"),
        ("1x1/3/3 x 0 b3", "ko at 'b3'"),
        ("3/3/3 x 0 a1", "no stone has just been taken"),
        ("1ox/ox1/xx1 x 0 a3", "no stone has just been taken"),  # two would be taken back
        ("xo1/1xo/xo1 o 1 a2", "after a pass"),
        ("xxx/xxx/xxx x 0 -", "the chain at a3 has no liberties"),
        ("ox1/xo1/1x1 x 0 -", "the chain at a3 has no liberties"),
        ("2x/1xo/1xo o 0 -", "the chain at c2 has no liberties"),
    ],
)
def test_bad_text(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        go(3).read(text)


@pytest.mark.parametrize("options", [{"size": 1}, {"size": 20}, {"komi": 0.3}, {"komi": float("nan")}, {"komi": 362}])
def test_bad_options(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} .*: use"):
        go(**options)  # type: ignore[arg-type]


def test_moves() -> None:
    game = go(19)
    assert " ".join(map(game.move, (0, 7, 8, 18, 19, 360, 361))) == "a19 h19 j19 t19 a18 t1 pass"
    assert game.action("d4") == 15 * 19 + 3


@pytest.mark.parametrize("size", [2, 5, 7])
def test_rollouts_follow_their_rules(size: int) -> None:
    game = go(size, 0)
    for seed in range(6):
        plain, state = PlainGo(size), game.start.copy()
        end, actions = rollout(game, state, seed)
        for action in actions:
            left = plain.left_for_rollout()
            assert action in left or (action == size**2 and not left)
            plain.play(action)
            game.rules.play(state, action)
        assert plain.over()
        assert cells_of(game, end) == plain.cells
        assert game.outcome(end) == np.sign(plain.margin()) * (-1) ** plain.plies
        assert game.write(end) == game.write(state)


def test_rollouts_choose_evenly() -> None:
    game = go(5)
    state = game.read("1xxxx/xxxxx/x1xx1/oooo1/1o1o1 x 0 -")
    counts = np.zeros(game.n_actions, int)
    for seed in range(3000):
        counts[rollout(game, state, seed)[1][0]] += 1
    plain = PlainGo(5, cells_of(game, state))
    expected = np.flatnonzero(counts)
    assert expected.tolist() == plain.left_for_rollout()
    assert 0 < len(expected) < 7  # of seven empty points, eyes are left out
    share = 3000 / len(expected)
    assert (np.abs(counts[expected] - share) < 5 * np.sqrt(share)).all()


def test_rollout_goes_on_from_a_ko_and_from_a_pass() -> None:
    game = go(5)
    ko = played(game, game.read("5/1xo2/xo1o1/1xo2/5 x 0 -"), "c3")
    firsts = {rollout(game, ko, seed)[1][0] for seed in range(200)}
    assert game.action("b3") not in firsts
    assert len(firsts) == 25 - 7 - 1  # all empty points but the ko
    quiet = "1x1xx/xxxxx/xxxxx/ooooo/o1o1o x"  # eyes only
    assert [rollout(game, game.read(f"{quiet} {passes} -"), 0)[1] for passes in range(3)] == [[25, 25], [25], []]


@pytest.mark.parametrize(("size", "games"), [(2, 300), (3, 300), (4, 300), (5, 300), (7, 50), (9, 40)])
def test_equals_open_spiel(size: int, games: int) -> None:
    """State by state. OpenSpiel allows a stone that brings back a board, but ends the game there, as a draw: these
    stones are just those that are not legal here.
    """
    pyspiel = pytest.importorskip("pyspiel")
    theirs, game = pyspiel.load_game("go", {"board_size": size, "komi": 7.5}), go(size)
    flipped = np.append(np.arange(size**2).reshape(size, size)[::-1].ravel(), size**2)  # their rows count from below
    repeats = 0
    for seed in range(games):
        peer = theirs.new_initial_state()
        for state, action in random_game(game, seed):
            rows = [
                line.split()[1] for line in str(peer).splitlines() if line.split()[:1] and line.split()[0].isdecimal()
            ]
            assert "\n".join(rows).replace("+", ".").lower() == game.show(state)
            assert peer.is_terminal() == (game.outcome(state) is not None)
            if peer.is_terminal():
                assert peer.returns()[peer.move_number() % 2] == game.outcome(state)
                break
            legal = np.flatnonzero(game.legal(state))
            more = set(flipped[peer.legal_actions()].tolist()) - set(legal.tolist())
            assert len(peer.legal_actions()) == len(legal) + len(more)
            for repeat in more:
                after = peer.child(flipped[repeat])
                assert after.is_terminal()
                assert after.returns() == [0, 0]
            repeats += len(more)
            peer.apply_action(flipped[action])
    assert repeats > 0 or size > 5
