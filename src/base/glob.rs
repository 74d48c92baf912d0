//! Owns glob matching for KEYS, SCAN MATCH, PSUBSCRIBE, CONFIG GET and ACL patterns.
//! Never allocates, never recurses, and never walks a key space: it is handed one pattern and one text.
//!
//! # The rules, and their corners
//!
//! The language is that of Redis 7.2 (`stringmatchlen`; see the KEYS command page): `*` any run of bytes, `?`
//! any byte, `[abc]`, `[^abc]`, `[a-z]`, and `\` to take the next byte literally. Matching is on bytes. Where
//! the page is silent we keep what Redis does, since users' patterns rely on it unknowingly:
//!
//! | corner | outcome |
//! |---|---|
//! | empty text | only the empty pattern matches; **`*` does not**. Commands that treat `*` as "all" test for it before they match |
//! | class without `]` | closed by the end of the pattern; `[` alone matches nothing, `[^` any byte |
//! | `]` right after `[` or `[^` | closes the class, which is then empty |
//! | `-` first or last in a class | first: a literal. Last: `]` becomes the end of the range, and the class goes on |
//! | `[z-a]` | the same as `[a-z]` |
//! | bytes from 0x80 in a range | order below 0x00, as C's signed char on x86-64 |
//! | `\` in a class | takes the next byte literally, and case-sensitively even when case is ignored; never starts a range |
//! | `\` as the last byte | a literal `\`, in a class too |
//! | range, ignoring case | ordered first, then its ends are lowered; so `[Z-a]` is empty |
//! | more than 1000 separate `*` that need a match behind them | no match |

/// Stars with a pattern behind them that one match may pass; Redis's guard against abusive patterns.
const STARS_MAX: usize = 1000;

/// Whether the pattern matches the whole text, byte for byte. Time is at worst pattern times text.
/// Source: Redis KEYS command page; for the corners, this file's header.
pub fn glob_match(pattern: &[u8], text: &[u8]) -> bool {
    matches::<false>(pattern, text, || ())
}

/// [`glob_match`], ignoring ASCII case, as for CONFIG GET and command names.
pub fn glob_match_nocase(pattern: &[u8], text: &[u8]) -> bool {
    matches::<true>(pattern, text, || ())
}

/// Calls `on_step` once for each byte of text tried against a pattern element.
///
/// Only the latest `*` is ever retried. When nothing behind it matches at any later place, a longer run for
/// an earlier `*` would only start the same search further right, where it has just failed. This is what keeps
/// `a*a*a*b` from exponential time (Redis calls it `skipLongerMatches`), and it needs no stack.
#[inline]
fn matches<const IGNORE_CASE: bool>(pattern: &[u8], text: &[u8], mut on_step: impl FnMut()) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let mut at = Place { pattern: 0, text: 0 };
    let mut latest_star: Option<Place> = None;
    let mut stars = 0;
    loop {
        // Here at least one byte of text is left.
        if pattern.get(at.pattern) == Some(&b'*') {
            at.pattern = skip_stars(pattern, at.pattern);
            if at.pattern == pattern.len() {
                return true;
            }
            stars += 1;
            if stars > STARS_MAX {
                return false;
            }
            latest_star = Some(at);
        }
        on_step();
        match match_byte::<IGNORE_CASE>(pattern, at.pattern, text[at.text]) {
            Some(pattern_next) => at = Place { pattern: pattern_next, text: at.text + 1 },
            None => {
                let Some(star) = &mut latest_star else { return false };
                star.text += 1;
                at = *star;
                if at.text == text.len() {
                    return false;
                }
                continue;
            }
        }
        if at.text == text.len() {
            // A pattern with elements left over needs more text than there is; no retry can help.
            return skip_stars(pattern, at.pattern) == pattern.len();
        }
    }
}

/// Offsets, in bytes, of what is matched next.
#[derive(Clone, Copy)]
struct Place {
    pattern: usize,
    text: usize,
}

fn skip_stars(pattern: &[u8], from: usize) -> usize {
    from + pattern[from..].iter().take_while(|byte| **byte == b'*').count()
}

/// Matches one byte against the pattern element at `from`, which is not a `*`.
/// Returns where the next element starts, or `None` if the byte does not match or the pattern is at its end.
#[inline]
fn match_byte<const IGNORE_CASE: bool>(pattern: &[u8], from: usize, byte: u8) -> Option<usize> {
    let (literal, next) = match &pattern[from..] {
        [] => return None,
        [b'?', ..] => return Some(from + 1),
        [b'[', ..] => return match_class::<IGNORE_CASE>(pattern, from + 1, byte),
        [b'\\', escaped, ..] => (*escaped, from + 2),
        [literal, ..] => (*literal, from + 1),
    };
    same::<IGNORE_CASE>(literal, byte).then_some(next)
}

/// [`match_byte`] for a class; `from` is just behind its `[`.
fn match_class<const IGNORE_CASE: bool>(pattern: &[u8], from: usize, byte: u8) -> Option<usize> {
    let negated = pattern.get(from) == Some(&b'^');
    let mut at = from + usize::from(negated);
    let mut found = false;
    loop {
        match &pattern[at..] {
            [] => break,
            [b'\\', escaped, ..] => {
                found |= *escaped == byte;
                at += 2;
            }
            [b']', ..] => {
                at += 1;
                break;
            }
            [first, b'-', last, ..] => {
                found |= in_range::<IGNORE_CASE>(*first, *last, byte);
                at += 3;
            }
            [literal, ..] => {
                found |= same::<IGNORE_CASE>(*literal, byte);
                at += 1;
            }
        }
    }
    (found != negated).then_some(at)
}

fn same<const IGNORE_CASE: bool>(left: u8, right: u8) -> bool {
    if IGNORE_CASE { left.eq_ignore_ascii_case(&right) } else { left == right }
}

fn in_range<const IGNORE_CASE: bool>(first: u8, last: u8, byte: u8) -> bool {
    let order = |byte: u8| byte.cast_signed();
    let fold = |byte: u8| order(if IGNORE_CASE { byte.to_ascii_lowercase() } else { byte });
    let (low, high) = if order(first) > order(last) { (last, first) } else { (first, last) };
    (fold(low)..=fold(high)).contains(&fold(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Rows of pattern, text, and whether they match.
    const TABLE: &[(&str, &str, bool)] = &[
        ("", "", true),
        ("", "a", false),
        ("a", "", false),
        ("abc", "abc", true),
        ("abc", "abd", false),
        ("abc", "ab", false),
        ("ab", "abc", false),
        // Star.
        ("*", "", false),
        ("**", "", false),
        ("*", "a", true),
        ("***", "abc", true),
        ("a*", "a", true),
        ("a**", "a", true),
        ("*a", "a", true),
        ("*a", "ba", true),
        ("*a", "ab", false),
        ("a*c", "abbbc", true),
        ("a*c", "ac", true),
        ("a*c", "acb", false),
        ("*ab*", "xxabyy", true),
        ("*ab", "aab", true),
        ("a*b*c", "axbxbxc", true),
        ("a*b*c", "axcxb", false),
        ("user:*:name", "user:1000:name", true),
        ("user:*:name", "user:1000:names", false),
        // Question mark.
        ("?", "a", true),
        ("?", "", false),
        ("?", "ab", false),
        ("h?llo", "hello", true),
        ("h?llo", "hllo", false),
        ("*?", "a", true),
        ("?*?", "a", false),
        ("?*?", "ab", true),
        // Classes.
        ("h[ae]llo", "hallo", true),
        ("h[ae]llo", "hillo", false),
        ("h[^e]llo", "hallo", true),
        ("h[^e]llo", "hello", false),
        ("h[a-b]llo", "hbllo", true),
        ("h[b-a]llo", "hallo", true),
        ("h[b-a]llo", "hcllo", false),
        ("[a-cx-z]", "y", true),
        ("[a-cx-z]", "m", false),
        ("[^a-c]", "b", false),
        ("[-a]", "-", true),
        ("[a^]", "^", true),
        ("[]", "a", false),
        ("[]a]", "a]", false),
        ("[^]", "a", true),
        ("[^]a", "xa", true),
        // Unterminated classes.
        ("[", "[", false),
        ("[", "a", false),
        ("[^", "a", true),
        ("[^", "ab", false),
        ("[abc", "b", true),
        ("[abc", "d", false),
        ("[^abc", "d", true),
        ("x*[abc", "xyzc", true),
        ("[a-", "-", true),
        ("[a-", "a", true),
        ("[a-]", "a", true),
        ("[a-]", "^", true),
        ("[a-]", "-", false),
        ("[a-]b]", "b", true),
        // Escapes.
        ("\\*", "*", true),
        ("\\*", "a", false),
        ("\\a", "a", true),
        ("a\\", "a\\", true),
        ("a\\", "a", false),
        ("\\\\", "\\", true),
        ("[\\]]", "]", true),
        ("[\\^a]", "^", true),
        ("[a\\-z]", "-", true),
        ("[a\\-z]", "m", false),
        ("[\\a-z]", "m", false),
        ("[\\a-z]", "-", true),
        ("[\\", "\\", true),
        ("[a\\", "\\", true),
        ("[^\\", "\\", false),
    ];

    #[test]
    fn table() {
        for (pattern, text, expected) in TABLE {
            assert_eq!(glob_match(pattern.as_bytes(), text.as_bytes()), *expected, "{pattern:?} {text:?}");
        }
    }

    #[test]
    fn table_ignoring_case() {
        let table = [
            ("HELLO", "hello", true),
            ("h[A]llo", "hallo", true),
            ("[A-C]", "b", true),
            ("[a-c]", "B", true),
            ("[\\A]", "a", false),
            ("\\A", "a", true),
            ("[Z-a]", "a", false),
            ("[Z-a]", "z", false),
            ("[^A]", "a", false),
            ("[@-z]", "A", true),
        ];
        for (pattern, text, expected) in table {
            let matched = glob_match_nocase(pattern.as_bytes(), text.as_bytes());
            assert_eq!(matched, expected, "{pattern:?} {text:?}");
        }
    }

    #[test]
    fn ranges_order_bytes_as_signed() {
        assert!(glob_match(b"[a-\xff]", b"A"));
        assert!(glob_match(b"[a-\xff]", b"\x00"));
        assert!(!glob_match(b"[a-\xff]", b"\x80"));
        assert!(!glob_match(b"[a-\xff]", b"b"));
        assert!(glob_match(b"[\x80-\xff]", b"\xc3"));
        assert!(glob_match_nocase(b"\xc3", b"\xc3"));
        assert!(!glob_match_nocase(b"\xc3", b"\xe3"));
    }

    #[test]
    fn abusive_patterns_take_quadratic_steps_at_most() {
        let text = vec![b'a'; 1000];
        for repeats in [1, 10, 100, 400] {
            for end in ["b", "?b", "[^a]", "b*"] {
                let pattern = "a*".repeat(repeats) + end;
                let mut steps = 0;
                assert!(!matches::<false>(pattern.as_bytes(), &text, || steps += 1));
                assert!(steps <= 2 * text.len() + 2 * repeats, "{repeats} {end:?}: {steps} steps");
            }
        }
        let pattern = [b"*".as_slice(), &vec![b'a'; 500], b"b"].concat();
        let mut steps = 0;
        assert!(!matches::<false>(&pattern, &text, || steps += 1));
        assert!(steps <= pattern.len() * text.len(), "{steps} steps");
    }

    #[test]
    fn more_than_a_thousand_stars_match_nothing() {
        let text = vec![b'a'; 2000];
        let pattern = |stars: usize| "*a".repeat(stars);
        assert!(glob_match(pattern(1000).as_bytes(), &text));
        assert!(!glob_match(pattern(1001).as_bytes(), &text));
        // A run of stars counts once, and a star that ends the pattern not at all.
        assert!(glob_match(("**a".repeat(1000) + "***").as_bytes(), &text));
    }

    // # The oracle
    //
    // A second reading of the rules, with nothing in common but the rules: the pattern is first parsed into
    // elements, a class becoming a table of 256 answers, and then matched by trying everything.

    enum Element {
        Star,
        One(Vec<bool>),
    }

    fn parse(pattern: &[u8], ignore_case: bool) -> Vec<Element> {
        let lower = |byte: u8| if ignore_case { byte.to_ascii_lowercase() } else { byte };
        let only = |literal: u8| (0..=255).map(|byte| lower(byte) == lower(literal)).collect::<Vec<bool>>();
        let mut elements = Vec::new();
        let mut rest = pattern.iter().copied().collect::<std::collections::VecDeque<u8>>();
        while let Some(byte) = rest.pop_front() {
            elements.push(match byte {
                b'*' => Element::Star,
                b'?' => Element::One(vec![true; 256]),
                b'\\' => Element::One(only(rest.pop_front().unwrap_or(b'\\'))),
                b'[' => {
                    let negated = rest.front() == Some(&b'^');
                    if negated {
                        rest.pop_front();
                    }
                    let mut set = vec![false; 256];
                    while let Some(byte) = rest.pop_front() {
                        if byte == b'\\' && !rest.is_empty() {
                            set[usize::from(rest.pop_front().unwrap())] = true;
                        } else if byte == b']' {
                            break;
                        } else if rest.len() >= 2 && rest[0] == b'-' {
                            let (first, last) = (byte as i8, rest[1] as i8);
                            let low = lower(first.min(last) as u8) as i8;
                            let high = lower(first.max(last) as u8) as i8;
                            rest.drain(..2);
                            for member in 0..=255u8 {
                                let place = lower(member) as i8;
                                set[usize::from(member)] |= low <= place && place <= high;
                            }
                        } else {
                            only(byte).iter().zip(&mut set).for_each(|(is, member)| *member |= is);
                        }
                    }
                    Element::One(set.into_iter().map(|member| member != negated).collect())
                }
                literal => Element::One(only(literal)),
            });
        }
        elements
    }

    fn try_everything(elements: &[Element], text: &[u8]) -> bool {
        match elements {
            [] => text.is_empty(),
            [Element::Star, behind @ ..] => (0..=text.len()).any(|run| try_everything(behind, &text[run..])),
            [Element::One(set), behind @ ..] => {
                !text.is_empty() && set[usize::from(text[0])] && try_everything(behind, &text[1..])
            }
        }
    }

    fn oracle(pattern: &[u8], text: &[u8], ignore_case: bool) -> bool {
        if text.is_empty() {
            return pattern.is_empty();
        }
        try_everything(&parse(pattern, ignore_case), text)
    }

    /// Any run of letters and special bytes, most of it malformed.
    fn noise() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(b"aabbcABZ**?[[]]^--\\\x00\x80\xff".as_slice()), 0..14)
    }

    /// Whole elements, chosen so that matches are common.
    fn elements() -> impl Strategy<Value = Vec<u8>> {
        let elements: &[&[u8]] = &[
            b"*",
            b"*",
            b"**",
            b"?",
            b"a",
            b"b",
            b"B",
            b"\\a",
            b"\\*",
            b"[ab]",
            b"[^a]",
            b"[a-c]",
            b"[c-a]",
            b"[A-b]",
            b"[Z-a]",
            b"[^]",
            b"[]",
            b"[a\\]]",
            b"[\\B-]",
            b"[a-]",
            b"[b-\xff]",
            b"[\x80-a]",
            b"[^",
            b"[",
            b"\\",
        ];
        prop::collection::vec(prop::sample::select(elements), 0..6).prop_map(|elements| elements.concat())
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(b"aaabbbcABZz]^-\\[*\x00\x80\xff".as_slice()), 0..7)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn equals_the_oracle(pattern in prop_oneof![noise(), elements()], text in text()) {
            prop_assert_eq!(glob_match(&pattern, &text), oracle(&pattern, &text, false));
            prop_assert_eq!(glob_match_nocase(&pattern, &text), oracle(&pattern, &text, true));
        }

        #[test]
        fn equals_the_oracle_on_stars(pattern in "[ab*?]{0,10}", text in "[ab]{0,12}") {
            let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
            prop_assert_eq!(glob_match(pattern, text), oracle(pattern, text, false));
        }

        #[test]
        fn any_bytes_are_safe(
            pattern in prop::collection::vec(any::<u8>(), 0..40),
            text in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            glob_match(&pattern, &text);
            glob_match_nocase(&pattern, &text);
        }
    }
}
