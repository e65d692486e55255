"""Tasks with one right answer: known pairs, answers by other means, and parts that have nothing in common."""

import datetime

import numpy as np
import pytest

from supervised.language import reviews, shapes
from supervised.language.tasks import FORMS, ONES, TASKS, TENS, in_words, ordinal, pairs, part_of, suffixed
from supervised.training.errors import UserError


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (13, "thirteen"),
        (20, "twenty"),
        (99, "ninety-nine"),
        (100, "one hundred"),
        (312, "three hundred and twelve"),
        (1_000, "one thousand"),
        (2_005, "two thousand and five"),
        (1_100, "one thousand one hundred"),
        (40_018, "forty thousand and eighteen"),
        (7_000_340, "seven million three hundred and forty"),
        (999_999_999, "nine hundred and ninety-nine million nine hundred and ninety-nine thousand "
                      "nine hundred and ninety-nine"),
    ],
)  # fmt: skip
def test_numbers_in_words(number: int, words: str) -> None:
    assert in_words(number) == words


def spoken(words: list[str]) -> int:
    """The number that words say, added up from left to right."""
    total = group = 0
    for word in words:
        if word == "hundred":
            group *= 100
        elif word in ("thousand", "million"):
            total, group = total + group * {"thousand": 1_000, "million": 1_000_000}[word], 0
        elif word != "and":
            group += ONES.index(word) if word in ONES else 10 * TENS.index(word)
    return total + group


def test_answers_are_right() -> None:
    rng = np.random.default_rng(0)
    for text, answer in pairs(TASKS["number-words"], "train", 300, rng, 17):
        assert spoken(TASKS["number-words"].read(text)) == int(answer)
    for text, answer in pairs(TASKS["sorting"], "train", 100, rng, 8):
        assert sorted(map(int, text.split())) == [int(one) for one in answer.split()]
    for text, answer in pairs(TASKS["reversed-copy"], "train", 100, rng, 12):
        assert "".join(reversed(text)) == answer


def test_dates_are_written_in_ten_ways() -> None:
    date = datetime.date(2019, 3, 3)
    assert [form(date, "March", "Sunday") for form in FORMS] == [
        *("3 March 2019", "March 3, 2019", "3 Mar 2019", "Mar 3rd 2019", "3.3.2019", "Sun 3 Mar 2019"),
        *("the 3rd of March, 2019", "Sunday, 3 March 2019", "March the third, 2019"),
        "Sunday the third of March 2019",
    ]
    assert [suffixed(day) for day in (1, 2, 3, 4, 11, 12, 13, 21, 22, 23, 30)] == [
        *("1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "22nd", "23rd", "30th")
    ]
    assert [ordinal(day) for day in (1, 5, 12, 14, 20, 21, 28, 30, 31)] == [
        *("first", "fifth", "twelfth", "fourteenth", "twentieth", "twenty-first", "twenty-eighth", "thirtieth"),
        "thirty-first",
    ]
    plain = 0
    for text, answer in pairs(TASKS["dates"], "train", 300, np.random.default_rng(0), 50):
        for form in ("%d %B %Y", "%A, %d %B %Y", "%a %d %b %Y", "%d.%m.%Y", "%B %d, %Y"):
            try:
                assert datetime.datetime.strptime(text, form).date().isoformat() == answer
            except ValueError:
                continue
            plain += 1
    assert plain > 100


@pytest.mark.parametrize("name", TASKS)
def test_no_answer_is_in_two_parts(name: str) -> None:
    task, rng = TASKS[name], np.random.default_rng(1)
    found = {part: dict(pairs(task, part, 400, rng, task.longest)) for part in ("train", "validation", "test")}
    answers = {part: set(some.values()) for part, some in found.items()}
    assert not answers["train"] & answers["test"] and not answers["train"] & answers["validation"]
    assert not answers["test"] & answers["validation"] and not found["train"].keys() & found["test"].keys()
    assert all(part_of(answer) == part for part, some in answers.items() for answer in some)
    assert max(len(task.read(text)) for some in found.values() for text in some) <= task.longest
    longer = list(pairs(task, "test", 50, rng, 2 * task.longest, task.longest + 1))
    assert task.most is None or all(len(task.read(task.draw(rng, 100)[0])) <= task.most for _ in range(3_000))
    assert all(task.longest < len(task.read(text)) <= 2 * task.longest for text, _ in longer)
    again = list(pairs(task, "train", 20, np.random.default_rng(5), 12))
    assert again == list(pairs(task, "train", 20, np.random.default_rng(5), 12))


def test_lengths_that_a_task_lacks() -> None:
    with pytest.raises(UserError, match="longest=3: the task has no inputs of 1 to 3 characters"):
        next(pairs(TASKS["dates"], "train", 1, np.random.default_rng(0), 3))


def test_reviews() -> None:
    """No review is in both parts; no unseen negation is learnt from, but its words are."""
    data = reviews.load_reviews("reviews")
    learnt, asked = data.train.inputs.tolist(), data.test.inputs.tolist()
    assert len(set(learnt)) == reviews.TRAIN and len(set(asked)) == 2 * reviews.TEST
    assert not set(learnt) & set(asked)
    assert not any(map(reviews.unseen, learnt))
    assert [reviews.unseen(text) for text in asked] == [True] * reviews.TEST + [False] * reviews.TEST
    words = {word for text in learnt for word in text.split()}
    assert words >= {word for text in asked for word in text.split()}
    assert 10 < len(reviews.UNSEEN) < 40
    assert 0.45 < data.train.labels.mean() < 0.55
    with pytest.raises(UserError, match="unknown data 'review'; did you mean reviews"):
        reviews.load_reviews("review")


def test_clauses_say_what_they_should() -> None:
    rng = np.random.default_rng(3)
    for good in (True, False):
        for _ in range(50):
            text = reviews.clause(good, rng)
            praised = any(text.endswith(word) for word in reviews.WORDS[1])
            negated = any(f" {negation} " in text for negation in reviews.NEGATIONS)
            assert good == (praised != negated), text


def test_scenes_are_what_their_captions_say() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        caption, found = shapes.draw_scene(rng)
        assert all(one.name in caption for one in found)
        picture = shapes.paint(found, rng).astype(int)
        assert picture.shape == (32, 32, 3)
        centres = []
        for one in found:
            covers = one.covers()
            assert 20 < covers.sum() < 200
            assert np.abs(picture[covers].mean(0) - shapes.COLOURS[one.name.split()[0]]).max() < 12
            y, x = np.argwhere(covers).mean(0)
            centres.append((x, y))
        if len(found) == 2:
            assert not (found[0].covers() & found[1].covers()).any()
            (x, y), (other_x, other_y) = centres
            assert (other_y - y > abs(other_x - x)) if "above" in caption else (other_x - x > abs(other_y - y))
        else:
            assert caption == f"a {found[0].name}"
