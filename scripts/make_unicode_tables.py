#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes include/espalier/data/tokenizer/unicode_tables.hpp.

    python scripts/make_unicode_tables.py > include/espalier/data/tokenizer/unicode_tables.hpp

Needs  unicodedata2 == 16.0.0  (Python's own unicodedata at that version: general categories, combining classes,
decompositions),  regex  (grapheme clusters, which unicodedata does not have)  and  tokenizers == 0.23.3.

The last one because that library, whose ids we want to equal, looks at text through parts of different ages: patterns
of Split and \\w know Unicode 16, Rust's own functions 17, its normal forms 9 and its "categories" 8. Each property is
therefore taken at 16 and then asked of the part that uses it, character by character; the differences are counted on
standard error. Two of the same library at other versions may differ in characters younger than these."""
import sys
import unicodedata2 as ucd
import regex
import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers

assert ucd.unidata_version == "16.0.0", ucd.unidata_version
assert tokenizers.__version__ == "0.23.3", tokenizers.__version__

POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
CATEGORIES = "Cn Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co Cs".split()
CLUSTER = "Other CR LF Control Extend ZWJ Regional_Indicator Prepend SpacingMark L V T LV LVT".split()


def say(name, ours, theirs):
    differ = [c for c in POINTS if ours(c) != theirs(c)]
    print(f"{name:28} {len(differ):6} characters differ from Unicode {ucd.unidata_version}", file=sys.stderr)


def removed(split):
    return lambda text: not split.pre_tokenize_str(text)


def isolated(split):
    return lambda text: len(split.pre_tokenize_str("a" + text + "a")) == 3


# What the library says of one character.
bert = dict(handle_chinese_chars=False, lowercase=False)
clean = normalizers.BertNormalizer(clean_text=True, strip_accents=False, **bert).normalize_str
accents = normalizers.BertNormalizer(clean_text=False, strip_accents=True, **bert).normalize_str
marks = normalizers.StripAccents().normalize_str
lower = normalizers.Lowercase().normalize_str
nfc, nfd, nfkd = (getattr(normalizers, f)().normalize_str for f in ("NFC", "NFD", "NFKD"))
is_punctuation = isolated(pre_tokenizers.Punctuation())
is_numeric = isolated(pre_tokenizers.Digits(individual_digits=True))
is_space = removed(pre_tokenizers.WhitespaceSplit())
word_split = pre_tokenizers.Whitespace()
ASCII_PUNCTUATION = set("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")

# The patterns' view is Unicode 16 itself: nothing is stored for it.
for major in "LNMPS":
    match = removed(pre_tokenizers.Split(Regex(rf"\p{{{major}}}"), "removed"))
    assert all(match(chr(c)) == (ucd.category(chr(c))[0] == major) for c in POINTS), major

general, breaks, lowered = {}, {}, {}
numeric = set()
for c in POINTS:
    t = chr(c)
    punctuation = is_punctuation(t)
    nonspacing = nfd(t) == t and accents(t) == ""
    other = t not in "\0\ufffd\t\n\r" and clean(t) == ""
    general[c] = CATEGORIES.index(ucd.category(t)) | punctuation << 5 | nonspacing << 6 | other << 7
    word = len(word_split.pre_tokenize_str("a" + t + "a")) == 1
    combining = marks(t) == ""
    breaks[c] = word << 6 | combining << 7
    if lower(t) != t:
        lowered[c] = lower(t)
    if is_numeric(t) != (ucd.category(t)[0] == "N"):
        numeric.add(c)
    assert is_space(t) == (c in (9, 10, 11, 12, 13, 32, 0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000)
                           or 0x2000 <= c <= 0x200A), hex(c)

category = lambda c: ucd.category(chr(c))
say("punctuation (Bert)", lambda c: category(c)[0] == "P" or chr(c) in ASCII_PUNCTUATION, lambda c: general[c] >> 5 & 1 == 1)
say("non-spacing marks (Bert)", lambda c: category(c) == "Mn" and ucd.normalize("NFD", chr(c)) == chr(c),
    lambda c: general[c] >> 6 & 1 == 1)
say("control and private (Bert)", lambda c: category(c) in ("Cc", "Cf", "Co") and chr(c) not in "\0\t\n\r",
    lambda c: general[c] >> 7 == 1)
say("combining marks", lambda c: category(c)[0] == "M", lambda c: breaks[c] >> 7 == 1)
say("numbers (Digits)", lambda c: category(c)[0] == "N", lambda c: (category(c)[0] == "N") != (c in numeric))

# Grapheme clusters: 4 bits of Grapheme_Cluster_Break (14: Extended_Pictographic), 2 of Indic_Conjunct_Break. Those of
# characters that are younger than Unicode 16 are left out, if not given to the places in advance.
for value, name in enumerate(CLUSTER):
    if value > 0:
        for c in map(ord, regex.findall(rf"\p{{GCB={name}}}", "".join(map(chr, POINTS)))):
            if name == "Control" or category(c) != "Cn":
                breaks[c] |= value
for c in map(ord, regex.findall(r"\p{ExtPict}", "".join(map(chr, POINTS)))):
    assert breaks[c] & 15 == 0, hex(c)
    breaks[c] |= 14
for value, name in enumerate(("Consonant", "Linker", "Extend"), 1):
    for c in map(ord, regex.findall(rf"\p{{InCB={name}}}", "".join(map(chr, POINTS)))):
        if category(c) != "Cn":
            breaks[c] |= value << 4

# Normal forms. A character that the library leaves alone has no decomposition there.
hangul = lambda c: 0xAC00 <= c < 0xAC00 + 11172
canonical = {c: nfd(chr(c)) for c in POINTS if not hangul(c) and nfd(chr(c)) != chr(c)}
compatible = {c: nfkd(chr(c)) for c in POINTS if not hangul(c) and nfkd(chr(c)) != nfd(chr(c))}
say("canonical decomposition", lambda c: hangul(c) or ucd.normalize("NFD", chr(c)), lambda c: hangul(c) or nfd(chr(c)))
say("compatibility decomposition", lambda c: hangul(c) or ucd.normalize("NFKD", chr(c)), lambda c: hangul(c) or nfkd(chr(c)))
composed = []
for c in POINTS:
    parts = ucd.decomposition(chr(c)).split()
    if len(parts) == 2 and parts[0][0] != "<" and not hangul(c):
        a, b = (int(p, 16) for p in parts)
        if nfc(chr(a) + chr(b)) == chr(c):
            composed.append((a, b, c))
# A mark with a combining class swaps places with U+0345, the only one of class 240; so the library knows its class.
order = {}
for c in POINTS:
    k = ucd.combining(chr(c))
    if k and (k == 240 or nfd("\u0345" + chr(c)) != "\u0345" + chr(c)):
        order[c] = k
say("combining classes", lambda c: ucd.combining(chr(c)), lambda c: order.get(c, 0))


def runs(values, default):
    """(first character, value) wherever the value changes."""
    out, last = [], None
    for c in range(0x110000):
        v = values.get(c, default)
        if v != last:
            out.append((c, v))
            last = v
    return out


def numbers(items, digits=0):
    lines, line = [], " "
    for x in items:
        word = f" {x:#x}," if digits == 0 else f" {x},"
        if len(line) + len(word) > 118:
            lines.append(line)
            line = " "
        line += word
    return "\n".join(lines + [line])


def array(comment, kind, name, items, digits=0):
    print(f"\n{comment}\ninline constexpr {kind} {name}[] = {{\n{numbers(items, digits)}\n}};")


def lower_rules():
    """Runs (first, last, stride, delta) of characters whose lower case is one character."""
    rules, single = [], sorted((c, ord(t)) for c, t in lowered.items() if len(t) == 1)
    for c, t in single:
        if rules:
            first, last, stride, delta = rules[-1]
            step = c - last
            if t - c == delta and step in (1, 2) and (first == last or step == stride):
                rules[-1] = (first, c, step, delta)
                continue
        rules.append((c, c, 1, t - c))
    return rules


several = {c: t for c, t in lowered.items() if len(t) > 1}
assert several == {0x130: "i\u0307"}, several

print(f"""// SPDX-License-Identifier: MIT
#pragma once
// Made by scripts/make_unicode_tables.py from Unicode {ucd.unidata_version}, which says what is of another age; not to be edited.
#include <cstdint>

namespace espalier::inline v0::unicode {{

// clang-format off
enum Category : std::uint8_t {{
  {", ".join(CATEGORIES)}
}};

/// Of Grapheme_Cluster_Break, and Extended_Pictographic, which no other value meets.
enum class Cluster : std::uint8_t {{
  other, cr, lf, control, extend, joiner, regional, prepend, spacing, hangul_l, hangul_v, hangul_t, hangul_lv, hangul_lvt,
  pictograph
}};""")
array("/// First character << 8 | general category | punctuation << 5 | non-spacing mark << 6 | control, format or private << 7",
      "std::uint32_t", "general_runs", [c << 8 | v for c, v in runs(general, CATEGORIES.index("Cs"))])
array("/// First character << 8 | cluster | conjunct (consonant, linker, extend) << 4 | part of a word << 6 | combining mark << 7",
      "std::uint32_t", "break_runs", [c << 8 | v for c, v in runs(breaks, 0)])
array("/// Numbers to Rust that Unicode 16 does not know.", "std::uint32_t", "younger_numbers", sorted(numeric))
array("/// First, last, stride, what is added for the lower case. U+0130 alone becomes two characters and is not here.",
      "std::int32_t", "lower_runs", [x for r in lower_rules() for x in r], 10)
array("/// First character << 8 | combining class", "std::uint32_t", "class_runs", [c << 8 | v for c, v in runs(order, 0)])
for name, table in (("canonical", canonical), ("compatible", compatible)):
    meaning = "Canonical decompositions" if name == "canonical" else "Compatibility decompositions where they differ"
    array(f"/// {meaning}, in full: character << 5 | length, and the characters one after another.", "std::uint32_t",
          f"{name}_index", [c << 5 | len(t) for c, t in sorted(table.items())])
    array("", "std::uint32_t", f"{name}_text", [ord(x) for c, t in sorted(table.items()) for x in t])
array("/// First, second, their composition.", "std::uint32_t", "compositions", [x for r in sorted(composed) for x in r])
print("\n}  // namespace espalier::inline v0::unicode")
