"""Distinct names of artists, songs and anime, composed from word lists.

They contain what real catalogues have and simple parsers fail at: accents, several scripts, apostrophes, commas,
unbalanced double quotes, backslashes and a few emoji.
"""

from string import Formatter

import numpy as np

__all__ = ["ANIME_TITLES", "ARTISTS", "SONG_TITLES", "draw_names", "split_list"]

SYLLABLES = (
    "ka lo mi ra ve zu tor nel shi bran qui dra fen gor hal jin kel lum mor nix pra ruk sol tam ur vex wen"
    " yor zan bel cor dun eth fal gry hesh il jor"
)

TEXTS = {
    "adjective": (
        "Silver Broken Quiet Electric Hollow Golden Distant Paper Velvet Crooked Midnight Burning Lonely"
        " Frozen Wild Gentle Scarlet Restless Faded Secret Northern Endless Bitter Crystal Tender Stray"
        " Modern Rusty Sleepy Last"
    ),
    "noun": (
        "River Lantern Mirror Garden Station Thunder Letter Harbour Shadow Orchid Engine Winter Compass"
        " Sparrow Ocean Ladder Cathedral Window Satellite Tiger Summer Carousel Umbrella Horizon Whistle"
        " Feather Island Parade Telephone Meadow Dagger Cinema Lighthouse Marble Violet Wolf Anchor Cloud"
        " Mountain Ribbon"
    ),
    "verb": "Remember Follow Forget Carry Hold Find Leave Call Wake Believe Save Miss",
    "first": (
        "Ana Björk Chloé Dmitri Elif Françoise Goran Hélène Ivo Jónas Katarína Léo Mónica Nuño Özlem"
        " Paweł Quentin Renée Søren Tomás Ursula Václav Wanda Xavi Yuki Zoë Mei Arjun Fatou Linh Siobhán"
        " Tove Amara Bruno"
    ),
    "last": (
        "Almeida Bergström Çelik Dvořák Estévez Fjord Grünwald Hoàng Ibáñez Jansen Kowalska Lindqvist"
        " Møller Novák O'Hara Peña Quist Rossi Sánchez Tanaka Ueda Vögel Watanabe Xu Şahin Zieliński"
        " Okafor D'Angelo Nakamura"
    ),
    "start": SYLLABLES.title(),
    "syllable": SYLLABLES,
    "han": "夜 雨 夢 風 星 海 花 月 心 春 光 雪 影 空 歌 橋 時 城 火 葉",
    "feeling": "想你 再见 勇气 温柔 自由 遗憾 回忆 孤单 等待 永远 祝福 约定",
    "kana": "さくら ひかり なみだ こいぬ きせき あした ほたる ひまわり ゆめ かぜ",
    "katakana": "メモリー ブルー レイン シンデレラ ロケット ドロップ",
    "hangul": "사랑 바람 하늘 기억 이별 편지 봄날 고백",
    "emoji": "🎤 🌙 🔥 💔",
    "number": " ".join(map(str, range(2, 100))),
}
WORDS: dict[str, list[str]] = {slot: text.split() for slot, text in TEXTS.items()}

# Templates and their weights; {word} is a random word of that list.
Templates = dict[str, int]

ARTISTS: Templates = {
    "{first} {start}{syllable}": 30,
    "{start}{syllable}{syllable}": 20,
    "{adjective} {noun} of {start}{syllable}": 10,
    "The {adjective} {noun}s": 6,
    "{first} {last}": 6,
    "{first} {last} & the {noun}s": 8,
    "DJ {start}{syllable}": 3,
    "{han}{han}{feeling}": 4,
    "{kana}と{katakana}": 1,
    "{hangul} {hangul}": 1,
    '{first} "{adjective}" {last}': 4,
    'The "{adjective}" {noun}': 1,
    '"{noun}" {last}': 1,
    "{start}\\{start}": 1,
    "{noun}, {noun} and {last}": 4,
}

SONG_TITLES: Templates = {
    "{adjective} {noun}": 10,
    "{verb} Me, {first}": 5,
    "{verb} the {adjective} {noun}": 16,
    "{noun} in the {adjective} {noun}": 16,
    "Don't {verb} My {noun}": 5,
    "{feeling}": 1,
    "{han}{han}{han}": 8,
    "{feeling}的{han}{han}": 8,
    "{kana}の{han}": 4,
    "{katakana}・{kana}": 2,
    "{hangul}, {hangul}": 2,
    'The "{adjective}" {noun}': 3,
    "Canción de {first} {last}": 3,
    "L'été à {start}{syllable}": 2,
    "{adjective} {noun} {emoji}": 1,
}

ANIME_TITLES: Templates = {
    "{kana} no {start}{syllable}": 12,
    "{start}{syllable} no {start}{syllable}": 22,
    "{adjective} {noun} {start}{syllable}": 20,
    "{first} to {noun} no {start}{syllable}": 12,
    "{noun}, {adjective} {noun}!": 8,
    '"{noun}" {start}{syllable}': 4,
    '{adjective} {noun}: The "{noun}" Movie, Part {number}': 6,
    "{start}{syllable} ({number})": 8,
    "{han}{han}の{han}": 6,
}


def split_list(text: str) -> list[str]:
    """Return the parts of "one|two words|three"."""
    return text.split("|")


def draw_names(rng: np.random.Generator, templates: Templates, count: int) -> list[str]:
    """Draw `count` names that differ even when case is ignored."""
    parts = [[(text, slot) for text, slot, _, _ in Formatter().parse(template)] for template in templates]
    odds = np.array(list(templates.values()), dtype=np.float64)
    chosen = rng.choice(len(parts), count, p=odds / odds.sum()).tolist()
    picks = rng.integers(0, 1 << 31, (count, max(map(len, parts)))).tolist()
    seen: set[str] = set()
    return [_unused(_fill(parts[which], row), seen) for which, row in zip(chosen, picks, strict=True)]


def _fill(parts: list[tuple[str, str | None]], picks: list[int]) -> str:
    """Return the template's text with a picked word in each slot; surplus picks are ignored."""
    words = (
        text + (WORDS[slot][pick % len(WORDS[slot])] if slot else "")
        for (text, slot), pick in zip(parts, picks, strict=False)
    )
    return "".join(words)


def _unused(name: str, seen: set[str]) -> str:
    """Return the name, numbered if it was used before, and add it to `seen`."""
    candidate, number = name, 2
    while candidate.casefold() in seen:
        candidate = f"{name} {number}"
        number += 1
    seen.add(candidate.casefold())
    return candidate
