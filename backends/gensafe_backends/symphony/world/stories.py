"""Text about the world: short stories from a grammar with many free choices, and plain questions with plain answers."""

from __future__ import annotations

import numpy as np

from gensafe_backends.symphony.world.captions import NUMBERS, pick
from gensafe_backends.symphony.world.scene import COLOURS, SHAPES

NAMES = ("Mira", "Tom", "Ada", "Nils", "Ruth", "Omar", "Lena", "Hugo", "Iris", "Paul", "Zoe", "Finn")
HEROINES = ("Mira", "Ada", "Ruth", "Lena", "Iris", "Zoe")
_ROLES = (
    "painter",
    "sailor",
    "teacher",
    "baker",
    "gardener",
    "doctor",
    "farmer",
    "singer",
    "pilot",
    "tailor",
    "miller",
    "clockmaker",
)
_PLACES = (
    "village",
    "harbour",
    "forest",
    "valley",
    "garden",
    "market",
    "castle",
    "island",
    "library",
    "mountain",
    "river",
    "meadow",
)
_TIMES = (
    "One morning",
    "One evening",
    "Long ago",
    "Last winter",
    "In spring",
    "At noon",
    "On a quiet day",
    "After the rain",
)
_WEATHER = ("cold", "warm", "windy", "clear", "grey", "bright", "misty", "calm")
_MOODS = ("happy", "curious", "tired", "brave", "quiet", "proud", "careful", "gentle", "patient", "merry")
THINGS = (
    "lamp",
    "box",
    "key",
    "letter",
    "bell",
    "boat",
    "basket",
    "book",
    "map",
    "coin",
    "ring",
    "kite",
    "stone",
    "clock",
)
_ANIMALS = ("fox", "owl", "cat", "horse", "goat", "crow", "dog", "hare", "duck", "mouse")
_LOOKS = ("old", "small", "heavy", "strange", "shiny", "round", "broken", "dusty", "little", "painted")
_HOW = (
    "slowly",
    "softly",
    "quickly",
    "at once",
    "with care",
    "without a word",
    "again and again",
    "in the end",
    "with a smile",
    "all day",
)
_DID = ("walked", "ran", "rode", "went", "climbed", "wandered", "hurried", "travelled")
_SAW = ("saw", "found", "noticed", "met", "heard", "followed", "greeted", "remembered")
_SAID = ("said", "whispered", "called", "answered", "sang", "explained", "asked", "laughed")

_MIDDLES = (
    "{P} {did} to the {place} {how}.",
    "The air was {weather} and the {place} lay {weather2} in the light.",
    "There {p} {saw} {a_look} {animal} beside {a_look2} {thing}.",
    '"Where is my {thing}?" {said} the {animal}.',
    '"It is under the {colour} {shape}," {said} {N} {how}.',
    "{N} was {mood}, for the {thing} was {look} and {colour}.",
    "They looked for it in the {place} and in the {place2}, but found only {a_look} {thing}.",
    "A {colour} {shape} was painted on the door of the {place}.",
    "{N} counted {number} {colour} {shape}s on the wall and {said} something {how}.",
    "The {animal} was {mood} too, and {did} after {N} {how}.",
    "Then {a_look} {animal2} came out of the {place} with {a_look2} {thing2}.",
    "{P} took the {thing} and gave it to the {animal} {how}.",
    "For {number} days the {weather} wind blew over the {place}.",
    "Everyone in the {place} was {mood}, only the {animal} was {mood2}.",
    '"Take this {thing}," {said} the {role2}, "and be {mood}."',
    "{N} thanked the {role2} and {did} on {how}.",
    "In the {place} a bell rang {number} times, {how}.",
    "The {look} {thing} began to shine {colour} like a {shape}.",
    "{P} had never {seen} such {a_look} {thing} before.",
    "At last {p} sat down by the {place} and thought of the {animal} {how}.",
)
_SEEN = ("seen", "held", "wanted", "touched", "imagined", "painted")
_ENDS = (
    "And so {N} and the {animal} stayed friends.",
    "From that day on the {thing} hung in the {place}, and everyone was {mood}.",
    "{N} went home, {mood} and {mood2}, and slept well.",
    "That is the story of {N} and the {look} {thing}.",
    "And if the {thing} is not lost, it shines there still.",
    "In the evening they all sang, and the {animal} danced {how}.",
)
STORY_PROMPTS = ("tell me a story", "write a story", "a short story", "tell a story", "please tell me a story", "story")
SENTENCES = (18, 21)  # the fewest and the most of a story, by eye; not measured


def _article(word: str) -> str:
    return ("an " if word[0] in "aeiou" else "a ") + word


def story(rng: np.random.Generator, name: str = "", animal: str = "") -> str:
    """A story of about 200 to 260 words. Name, pronoun, animal and thing stay the same throughout."""
    name = name or pick(rng, NAMES)
    she = name in HEROINES
    animal, thing, role = animal or pick(rng, _ANIMALS), pick(rng, THINGS), pick(rng, _ROLES)

    def fill(template: str) -> str:
        return template.format(
            N=name,
            P="She" if she else "He",
            p="she" if she else "he",
            animal=animal,
            thing=thing,
            animal2=pick(rng, _ANIMALS),
            thing2=pick(rng, THINGS),
            role2=pick(rng, _ROLES),
            place=pick(rng, _PLACES),
            place2=pick(rng, _PLACES),
            weather=pick(rng, _WEATHER),
            weather2=pick(rng, _WEATHER),
            mood=pick(rng, _MOODS),
            mood2=pick(rng, _MOODS),
            look=pick(rng, _LOOKS),
            a_look=_article(pick(rng, _LOOKS)),
            a_look2=_article(pick(rng, _LOOKS)),
            how=pick(rng, _HOW),
            did=pick(rng, _DID),
            saw=pick(rng, _SAW),
            said=pick(rng, _SAID),
            seen=pick(rng, _SEEN),
            colour=pick(rng, tuple(COLOURS)),
            shape=pick(rng, SHAPES),
            number=NUMBERS[int(rng.integers(2, 10))],
        )

    opening = f"{pick(rng, _TIMES)} {name}, {_article(pick(rng, _MOODS))} {role} from the {pick(rng, _PLACES)}, {{}}"
    lines = [opening.format(fill("{saw} {a_look} {animal} with {a_look2} {thing}."))]
    count = int(rng.integers(SENTENCES[0], SENTENCES[1] + 1))
    previous = -1
    for _ in range(count):
        index = int(rng.integers(len(_MIDDLES)))
        if index == previous:
            index = (index + 1) % len(_MIDDLES)
        lines.append(fill(_MIDDLES[index]))
        previous = index
    lines.append(fill(_ENDS[int(rng.integers(len(_ENDS)))]))
    return " ".join(lines)


def story_exchange(rng: np.random.Generator) -> tuple[str, str]:
    """A prompt and a story; the prompt may name who it is about."""
    kind = rng.random()
    if kind < 0.5:
        return pick(rng, STORY_PROMPTS), story(rng)
    name, animal = pick(rng, NAMES), pick(rng, _ANIMALS)
    if kind < 0.7:
        return f"{pick(rng, STORY_PROMPTS)} about {name.lower()}", story(rng, name=name)
    if kind < 0.85:
        return f"{pick(rng, STORY_PROMPTS)} about {_article(animal)}", story(rng, animal=animal)
    return f"{pick(rng, STORY_PROMPTS)} about {name.lower()} and {_article(animal)}", story(
        rng, name=name, animal=animal
    )


QUESTIONS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (
        ("what can you do", "help", "how can you help me", "what do you know"),
        (
            "I can draw shapes, numbers, short words and bar charts, say words, play notes and beeps, "
            "film moving shapes, and tell stories.",
            "I draw simple pictures, speak a few words, play melodies, make short films of moving shapes, "
            "and write stories.",
        ),
    ),
    (
        ("what can you draw", "what pictures can you make", "what can you paint"),
        (
            "I can draw circles, squares, triangles and stars in six colours, numbers, short words and bar charts.",
            "I draw circles, squares, triangles and stars in red, orange, yellow, green, blue and purple.",
        ),
    ),
    (
        ("what can you say", "what sounds can you make", "what can you play"),
        (
            "I can say numbers and a few words, play notes from do to ti, dial numbers and beep.",
            "I speak the numbers from zero to nine and some words, and I play melodies and beeps.",
        ),
    ),
    (
        ("what can you film", "what videos can you make"),
        (
            "I can film one shape that moves or bounces, with a knock at every bounce.",
            "I make short films of a shape moving left, right, up or down, or bouncing.",
        ),
    ),
    (
        ("who are you", "what are you", "what is your name"),
        (
            "I am Symphony, a small model of a small world.",
            "My name is Symphony. I know a small world of shapes and sounds.",
        ),
    ),
    (
        ("hello", "hi", "good morning", "good evening"),
        ("Hello! Ask me for a picture, a sound, a film or a story.", "Hello! What shall I draw, say or tell?"),
    ),
    (("thank you", "thanks"), ("You are welcome.", "My pleasure.")),
    (
        ("which colours do you know", "what colours do you know", "name the colours"),
        ("Red, orange, yellow, green, blue and purple.", "I know red, orange, yellow, green, blue and purple."),
    ),
    (
        ("which shapes do you know", "what shapes do you know", "name the shapes"),
        ("Circles, squares, triangles and stars.", "I know circles, squares, triangles and stars."),
    ),
)


def question_exchange(rng: np.random.Generator) -> tuple[str, str]:
    """A question and its answer, or a small sum."""
    if rng.random() < 0.35:
        a = int(rng.integers(0, 10))
        b = int(rng.integers(0, 10 - a))
        ask = pick(rng, ("what is {} plus {}", "how much is {} plus {}", "{} plus {}"))
        words = NUMBERS[a], NUMBERS[b], NUMBERS[a + b]
        return ask.format(words[0], words[1]), f"{words[0].capitalize()} plus {words[1]} is {words[2]}."
    ask_options, answers = QUESTIONS[int(rng.integers(len(QUESTIONS)))]
    return pick(rng, ask_options), pick(rng, answers)


REMEMBERED = "noted"


def fact(name: str, thing: str) -> str:
    """A sentence to be remembered."""
    return f"remember {name.lower()} has the {thing}"


def recall(name: str) -> str:
    """The question about it; the thing alone is its answer."""
    return f"what has {name.lower()}"


def sample_facts(rng: np.random.Generator, count: int) -> list[tuple[str, str]]:
    """``count`` (name, thing) facts about different names, at most twelve."""
    names = rng.choice(NAMES, size=count, replace=False)
    return [(str(n), pick(rng, THINGS)) for n in names]


def memory_exchanges(rng: np.random.Generator, turns: int) -> list[tuple[str, str]]:
    """A talk of about ``turns`` exchanges: facts, each asked for later, and other questions in between."""
    facts = sample_facts(rng, int(rng.integers(1, max(2, turns // 2))))
    talk: list[tuple[float, str, str]] = []
    for name, thing in facts:
        told = rng.random() * 0.8
        talk.append((told, fact(name, thing), REMEMBERED))
        talk.append((told + rng.random() * (1.0 - told), recall(name), thing))
    while len(talk) < turns:
        talk.append((rng.random(), *question_exchange(rng)))
    return [(asked, answer) for _, asked, answer in sorted(talk)]
