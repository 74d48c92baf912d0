//! How patterns of commands are written, and words drawn from them.
//!
//! Upper-case words, numbers, signs and what stands after a `'` stand for themselves, lower-case words for kinds of arguments. The
//! signs of groups:
//!
//! * `[a|b]`: none or one of these, `(a|b)`: one of these
//! * `<a|b>`: any of these, each at most once, in any order
//! * `{a b}`: one to four times, `{+ a b}`: the same, and now and then up to two hundred times
//! * `!` at the beginning: most of what comes of it is refused
//! * `#{a}`: one to four times, after the number of times, `={a}`: as often as the group before

use super::{Generator, Words};

/// Of a hundred: optional groups that are left out, long repetitions, and numbers of keys that are wrong.
const LEFT_OUT: u64 = 45;
const LONG: u64 = 4;
const WRONG_COUNTS: u64 = 3;

const SIGNS: &[char] = &['[', ']', '(', ')', '{', '}', '<', '>', '|'];

impl Generator {
    /// Words that a pattern stands for.
    pub(super) fn expand(&mut self, pattern: &str) -> Words {
        let mut words = Words::new();
        let mut rest = pattern.trim_start_matches('!').trim_start();
        while let Some(first) = rest.chars().next() {
            let (marker, group) = match first {
                '#' | '=' if rest[1..].starts_with('{') => (Some(first), &rest[1..]),
                _ => (None, rest),
            };
            if marker.is_none() && !SIGNS.contains(&first) {
                let end = rest.find(|c: char| c == ' ' || SIGNS.contains(&c)).unwrap_or(rest.len());
                words.push(self.word(&rest[..end]));
                rest = rest[end..].trim_start();
                continue;
            }
            let end = end_of_group(group);
            let inside = &group[1..end - 1];
            words.extend(self.group(marker, &group[..1], inside));
            rest = group[end..].trim_start();
        }
        words
    }

    fn word(&mut self, word: &str) -> Vec<u8> {
        if word.starts_with(|c: char| c.is_ascii_lowercase()) {
            return self.argument(word);
        }
        let mut word = word.trim_start_matches('\'').as_bytes().to_vec();
        if self.chance(3) {
            word.make_ascii_lowercase();
        }
        word
    }

    fn group(&mut self, marker: Option<char>, sign: &str, inside: &str) -> Words {
        match sign {
            "[" if self.chance(LEFT_OUT) => Words::new(),
            "[" | "(" => {
                let all = alternatives(inside);
                let chosen = *self.pick(&all);
                self.expand(chosen)
            }
            "<" => {
                let mut all = alternatives(inside);
                let mut words = Words::new();
                while !all.is_empty() {
                    let at = self.below(all.len() as u64) as usize;
                    let chosen = all.swap_remove(at);
                    if self.chance(35) {
                        words.extend(self.expand(chosen));
                    }
                }
                words
            }
            _ => self.repeat(marker, inside),
        }
    }

    fn repeat(&mut self, marker: Option<char>, inside: &str) -> Words {
        let (may_be_long, inside) = match inside.strip_prefix('+') {
            Some(inside) => (true, inside),
            None => (false, inside),
        };
        let times = match marker {
            Some('=') => self.repeated,
            _ if may_be_long && self.chance(LONG) => 5 + self.below(196),
            _ => 1 + self.below(4).min(self.below(4)),
        };
        let was_wide = self.is_wide;
        self.is_wide |= times > 8;
        let mut words = Words::new();
        if marker == Some('#') {
            let wrong = if self.chance(WRONG_COUNTS) { self.below(3) as i64 - 1 } else { 0 };
            words.push((times as i64 + wrong).to_string().into_bytes());
        }
        for _ in 0..times {
            words.extend(self.expand(inside));
        }
        self.is_wide = was_wide;
        self.repeated = times;
        words
    }
}

/// Where the group at the beginning of `text` ends.
fn end_of_group(text: &str) -> usize {
    let mut depth = 0;
    for (at, sign) in text.char_indices() {
        match sign {
            '[' | '(' | '{' | '<' => depth += 1,
            ']' | ')' | '}' | '>' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    panic!("a group ends: {text}");
}

/// What stands between the bars of a group.
fn alternatives(inside: &str) -> Vec<&str> {
    let (mut all, mut from, mut depth) = (Vec::new(), 0, 0);
    for (at, sign) in inside.char_indices() {
        match sign {
            '[' | '(' | '{' | '<' => depth += 1,
            ']' | ')' | '}' | '>' => depth -= 1,
            '|' if depth == 0 => {
                all.push(&inside[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    all.push(&inside[from..]);
    all
}
