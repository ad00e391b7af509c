"""Texts that tokenizers stumble over, and a vocabulary that has pieces for many of them."""

from __future__ import annotations

from hypothesis import strategies as st

from mmkeras.media.text.vocabulary import train_vocabulary

FRAGMENTS = (
    *("What color is the triangle?", "it's e-mail@example.com", "3.14% of $5", "don't", "##ing", "[CLS]", "[SEP]"),
    *("[MASK]", "[UNK]", "[PAD]", "ß STRASSE ẞ", "İstanbul ıI", "ΟΔΥΣΣΕΥΣ σς", "café cafe\u0301", "Å Å Å", "ﬁ ﬀ ½ ²"),
    *("한국어", "\u1112\u1161\u11ab", "日本語テスト", "ｶﾞｷﾞ", "中文字符", "𠀀𪜀", "豈更車", "丽", "ไทยกำ", "हिन्दी"),
    *("العربية", "שָׁלוֹם", "Ǆ ǅ ǆ", "Ω K", "≠ ≮ \u037e", "\u0300\u0301\u0302", "a\u0334\u0323\u0301"),
    *(
        "👨\u200d👩\u200d👧\u200d👦",
        "👍🏽",
        "🇩🇪",
        "❤\ufe0f",
        "🫨",
        "\x00",
        "\x0b\x0c\x1c\x85",
        "\u200b\ufeff\u00ad\u2060",
    ),
    *(" ", "\t\r\n", "\u00a0\u1680\u2003\u3000", "\u2028\u2029", "\ufffd", "\ufffe\uffff", "\U0010ffff", "\ue000"),
    *("\U000e0041", "\u0378", "a" * 99, "a" * 100, "a" * 101, "ж" * 50, "ж" * 51, "ア" * 33, "ア" * 34, "語" * 40),
    *("ไทยกำ" * 20, "ก" * 33 + "a", "\u0e01\U00010300" * 30, "a" * 90 + "é" * 9, "ក្រុង" * 15),
    *("x" * 99 + "ж", "\u0301" * 300, "🙂" * 25, "🙂" * 26, "word " * 2000, "、。「」", "¿¡«»—…", "_^`|~<>=+"),
)
"""Joined at random, so that each meets each."""

TEXTS = st.one_of(
    st.text(),
    st.text(st.characters(codec="utf-8", min_codepoint=0x80), min_size=1, max_size=20),
    st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=3), max_size=8).map("".join),
)
"""Any string without lone surrogates."""

LONG = "".join(FRAGMENTS)


def vocabulary(lowercase: bool, size: int = 1000) -> tuple[str, ...]:
    """Return a vocabulary trained on the fragments."""
    return train_vocabulary([*FRAGMENTS, *FRAGMENTS], size, lowercase)
