//! Decides what is asked: which command, which key, which value. Builds requests into a caller's buffer by
//! copying a prebuilt one and writing the key's digits in place; allocates nothing per request.
//! Never sends anything and never sees a reply.

use std::collections::VecDeque;
use std::fmt;

use anyhow::{Context, Result, bail, ensure};
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Zipf};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::limits::{COMMAND_KEYS_MAX, KEY_BYTES_MAX, TRANSACTION_SETS_MAX, VALUE_BYTES_MAX};

const KEY_PREFIX: u8 = b'k';

/// Keys `k000..0` to `k000..(count-1)`, all of one size.
#[derive(Debug, Clone, Copy)]
pub struct KeySpace {
    pub count: u64,
    pub size: usize,
    digits: usize,
}

impl KeySpace {
    pub fn new(count: u64, size: usize) -> Result<Self> {
        ensure!(count > 0, "--keys must be at least 1");
        ensure!(size <= KEY_BYTES_MAX, "--key-size must be at most {KEY_BYTES_MAX}");
        let digits = (count - 1).max(1).ilog10() as usize + 1;
        ensure!(
            digits < size,
            "--key-size {size} is too short: {count} keys need a prefix and {digits} digits"
        );
        Ok(Self { count, size, digits })
    }

    /// Key 0, the one every prebuilt request starts from.
    fn zero(&self) -> Vec<u8> {
        let mut key = vec![b'0'; self.size];
        key[0] = KEY_PREFIX;
        key
    }

    /// A key as text.
    pub fn name(&self, key: u64) -> String {
        let mut name = self.zero();
        self.write(key, &mut name);
        name.into_iter().map(char::from).collect()
    }

    /// Turns any key of this space that already stands in `place` into `key`.
    #[inline]
    pub fn write(&self, key: u64, place: &mut [u8]) {
        let mut rest = key;
        for digit in place[self.size - self.digits..self.size].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
    }

    /// Whether `bytes` begins with the text of `key`.
    #[inline]
    pub fn begins_with(&self, key: u64, bytes: &[u8]) -> bool {
        if bytes.len() < self.size || bytes[0] != KEY_PREFIX {
            return false;
        }
        let mut rest = key;
        for digit in bytes[1..self.size].iter().rev() {
            if *digit != b'0' + (rest % 10) as u8 {
                return false;
            }
            rest /= 10;
        }
        true
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Order {
    Uniform,
    Zipf { exponent: f64 },
    Sequential,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Requests {
    Mix {
        reads: u32,
        writes: u32,
    },
    Mget {
        keys: usize,
    },
    Mset {
        keys: usize,
    },
    /// MULTI, SETs and EXEC, written at once and counted as one request.
    Multi {
        sets: usize,
    },
    /// Words of a command; `__key__` and `__value__` stand for a key and a value.
    Custom(String),
}

/// As tables and reports name them.
impl fmt::Display for Requests {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mix { writes: 0, .. } => write!(out, "GET"),
            Self::Mix { reads: 0, .. } => write!(out, "SET"),
            Self::Mix { reads, writes } => write!(out, "GET:SET {reads}:{writes}"),
            Self::Mget { keys } => write!(out, "MGET {keys}"),
            Self::Mset { keys } => write!(out, "MSET {keys}"),
            Self::Multi { sets } => write!(out, "MULTI {sets}"),
            Self::Custom(command) => write!(out, "{command}"),
        }
    }
}

#[derive(Debug, Clone)]
pub struct Spec {
    pub keys: KeySpace,
    pub value_size: usize,
    pub requests: Requests,
    pub order: Order,
    pub seed: u64,
}

/// What a reply must look like is known from the kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Get,
    Set,
    Mget,
    Mset,
    Multi,
    Custom,
}

/// One request on its way: enough to judge its reply.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    pub kind: Kind,
    /// A GET's key. The keys of an MGET stand in a queue of their own.
    pub key: u64,
}

struct Template {
    kind: Kind,
    bytes: Vec<u8>,
    places: Vec<KeyPlace>,
}

struct KeyPlace {
    offset: usize,
    /// A SET's value begins with its key, so that a reply tells whose value it is.
    repeats_key: bool,
}

enum Chooser {
    Uniform,
    Zipf(Zipf<f64>),
    Sequential { next: u64 },
}

/// One thread's stream of requests. Equal (spec, thread) gives equal streams; threads never share a stretch.
pub struct Workload {
    keys: KeySpace,
    rng: Xoshiro256PlusPlus,
    chooser: Chooser,
    reads: u32,
    total: u32,
    templates: Vec<Template>,
}

impl Workload {
    pub fn new(spec: &Spec, thread: usize) -> Result<Self> {
        ensure!(spec.value_size <= VALUE_BYTES_MAX, "--value-size must be at most {VALUE_BYTES_MAX}");
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(spec.seed);
        for _ in 0..thread {
            rng.jump();
        }
        let chooser = match spec.order {
            Order::Uniform => Chooser::Uniform,
            Order::Zipf { exponent } => Chooser::Zipf(
                Zipf::new(spec.keys.count as f64, exponent)
                    .with_context(|| format!("--zipf-exponent {exponent} is not usable"))?,
            ),
            Order::Sequential => Chooser::Sequential { next: 0 },
        };
        let value = value(spec);
        let zero = spec.keys.zero();
        let (templates, reads, total) = match &spec.requests {
            Requests::Mix { reads, writes } => {
                let total = reads.checked_add(*writes).filter(|total| *total > 0);
                let total = total.context("--ratio needs at least one read or write")?;
                let mut get = Template::new(Kind::Get);
                get.push(&spec.keys, &[Word::Text(b"GET"), Word::Key]);
                let mut set = Template::new(Kind::Set);
                set.push(&spec.keys, &[Word::Text(b"SET"), Word::Key, Word::Value(&value)]);
                (vec![get, set], *reads, total)
            }
            Requests::Mget { keys } | Requests::Mset { keys } => {
                ensure!(
                    (1..=COMMAND_KEYS_MAX).contains(keys),
                    "--command-keys must be 1 to {COMMAND_KEYS_MAX}"
                );
                let (kind, name, each): (_, &[u8], &[_]) = match &spec.requests {
                    Requests::Mget { .. } => (Kind::Mget, b"MGET", &[Word::Key]),
                    _ => (Kind::Mset, b"MSET", &[Word::Key, Word::Value(&value)]),
                };
                let mut words = vec![Word::Text(name)];
                words.extend(each.repeat(*keys));
                let mut template = Template::new(kind);
                template.push(&spec.keys, &words);
                (vec![template], 1, 1)
            }
            Requests::Multi { sets } => {
                ensure!(
                    (1..=TRANSACTION_SETS_MAX).contains(sets),
                    "--transaction-sets must be 1 to {TRANSACTION_SETS_MAX}"
                );
                let mut template = Template::new(Kind::Multi);
                template.push(&spec.keys, &[Word::Text(b"MULTI")]);
                for _ in 0..*sets {
                    template.push(&spec.keys, &[Word::Text(b"SET"), Word::Key, Word::Value(&value)]);
                }
                template.push(&spec.keys, &[Word::Text(b"EXEC")]);
                (vec![template], 1, 1)
            }
            Requests::Custom(command) => {
                let words = shlex::split(command).context("--command has an unfinished quotation")?;
                if words.is_empty() {
                    bail!("--command is empty");
                }
                // Substituted inside a word too, as in `{tag}:__key__`.
                let zero = String::from_utf8(zero)?;
                let value = String::from_utf8(value)?;
                let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
                let mut places = Vec::new();
                for word in &words {
                    let text = word.replace("__key__", &zero).replace("__value__", &value);
                    bytes.extend_from_slice(format!("${}\r\n", text.len()).as_bytes());
                    let word = word.replace("__value__", &value);
                    let mut offset = bytes.len();
                    for (index, part) in word.split("__key__").enumerate() {
                        if index > 0 {
                            places.push(KeyPlace { offset, repeats_key: false });
                            offset += zero.len();
                        }
                        offset += part.len();
                    }
                    bytes.extend_from_slice(text.as_bytes());
                    bytes.extend_from_slice(b"\r\n");
                }
                (vec![Template { kind: Kind::Custom, bytes, places }], 1, 1)
            }
        };
        Ok(Self { keys: spec.keys, rng, chooser, reads, total, templates })
    }

    /// Appends one request to `out` and says what its reply must be; the keys of an MGET go to `mget_keys`.
    #[inline]
    pub fn append(&mut self, out: &mut Vec<u8>, mget_keys: &mut VecDeque<u64>) -> Expected {
        let read = self.reads == self.total
            || (self.reads != 0 && self.rng.random_range(0..self.total) < self.reads);
        let template = &self.templates[usize::from(!read)];
        let base = out.len();
        out.extend_from_slice(&template.bytes);
        let mut key = 0;
        for place in &template.places {
            if !place.repeats_key {
                key = match &mut self.chooser {
                    Chooser::Uniform => self.rng.random_range(0..self.keys.count),
                    // Ranks are drawn from 1. The hottest key is key 0.
                    Chooser::Zipf(zipf) => (zipf.sample(&mut self.rng) as u64).clamp(1, self.keys.count) - 1,
                    Chooser::Sequential { next } => {
                        let key = *next;
                        *next = if key + 1 == self.keys.count { 0 } else { key + 1 };
                        key
                    }
                };
                if template.kind == Kind::Mget {
                    mget_keys.push_back(key);
                }
            }
            let at = base + place.offset;
            self.keys.write(key, &mut out[at..at + self.keys.size]);
        }
        Expected { kind: template.kind, key }
    }
}

#[derive(Clone, Copy)]
enum Word<'a> {
    Text(&'a [u8]),
    Key,
    Value(&'a [u8]),
}

impl Template {
    fn new(kind: Kind) -> Self {
        Self { kind, bytes: Vec::new(), places: Vec::new() }
    }

    /// Appends one command.
    fn push(&mut self, keys: &KeySpace, words: &[Word<'_>]) {
        let zero = keys.zero();
        self.bytes.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            let text = match word {
                Word::Text(text) | Word::Value(text) => text,
                Word::Key => zero.as_slice(),
            };
            self.bytes.extend_from_slice(format!("${}\r\n", text.len()).as_bytes());
            let offset = self.bytes.len();
            match word {
                Word::Text(_) => {}
                Word::Key => self.places.push(KeyPlace { offset, repeats_key: false }),
                Word::Value(text) if text.len() >= keys.size => {
                    self.places.push(KeyPlace { offset, repeats_key: true });
                }
                Word::Value(_) => {}
            }
            self.bytes.extend_from_slice(text);
            self.bytes.extend_from_slice(b"\r\n");
        }
    }
}

/// Printable, hard to compress, never a number; begins with a key where one fits.
fn value(spec: &Spec) -> Vec<u8> {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(!spec.seed);
    let mut value: Vec<u8> =
        (0..spec.value_size).map(|_| LETTERS[rng.random_range(0..LETTERS.len())]).collect();
    if value.len() >= spec.keys.size {
        value[..spec.keys.size].copy_from_slice(&spec.keys.zero());
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(requests: Requests, order: Order) -> Spec {
        Spec { keys: KeySpace::new(1000, 6).unwrap(), value_size: 8, requests, order, seed: 7 }
    }

    fn text(spec: &Spec, count: usize) -> String {
        let mut workload = Workload::new(spec, 0).unwrap();
        let mut out = Vec::new();
        for _ in 0..count {
            workload.append(&mut out, &mut VecDeque::new());
        }
        String::from_utf8(out).unwrap()
    }

    fn keys(spec: &Spec, thread: usize, count: usize) -> Vec<u64> {
        let mut workload = Workload::new(spec, thread).unwrap();
        let mut out = Vec::new();
        (0..count)
            .map(|_| {
                out.clear();
                workload.append(&mut out, &mut VecDeque::new()).key
            })
            .collect()
    }

    const GETS: Requests = Requests::Mix { reads: 1, writes: 0 };
    const SETS: Requests = Requests::Mix { reads: 0, writes: 1 };

    #[test]
    fn writes_whole_requests() {
        let out = text(&spec(GETS, Order::Sequential), 1001);
        assert!(out.starts_with("*2\r\n$3\r\nGET\r\n$6\r\nk00000\r\n*2\r\n$3\r\nGET\r\n$6\r\nk00001\r\n"));
        assert!(out.ends_with("k00999\r\n*2\r\n$3\r\nGET\r\n$6\r\nk00000\r\n"), "wraps at the last key");
    }

    #[test]
    fn a_set_value_begins_with_its_key() {
        let out = text(&spec(SETS, Order::Sequential), 2);
        let second = &out[out.len() / 2..];
        assert!(second.starts_with("*3\r\n$3\r\nSET\r\n$6\r\nk00001\r\n$8\r\nk00001"), "{second}");
    }

    #[test]
    fn a_command_template_draws_each_key_apart() {
        let command = Requests::Custom("MSET {t}__key__ __value__ __key__ 'a b'".into());
        let out = text(&spec(command, Order::Sequential), 1);
        assert!(out.starts_with("*5\r\n$4\r\nMSET\r\n$9\r\n{t}k00000\r\n$8\r\nk00000"), "{out}");
        assert!(out.ends_with("$6\r\nk00001\r\n$3\r\na b\r\n"), "{out}");
    }

    #[test]
    fn commands_of_several_keys_draw_each_apart() {
        let out = text(&spec(Requests::Mget { keys: 2 }, Order::Sequential), 2);
        let second = &out[out.len() / 2..];
        assert_eq!(second, "*3\r\n$4\r\nMGET\r\n$6\r\nk00002\r\n$6\r\nk00003\r\n");

        let out = text(&spec(Requests::Mset { keys: 2 }, Order::Sequential), 1);
        let words: Vec<_> = out.split("\r\n").collect();
        assert_eq!(words[..5], ["*5", "$4", "MSET", "$6", "k00000"], "{out}");
        assert!(words[6].len() == 8 && words[6].starts_with("k00000"), "{out}");
        assert_eq!(words[8], "k00001", "{out}");
        assert!(words[10].len() == 8 && words[10].starts_with("k00001"), "{out}");
    }

    #[test]
    fn a_transaction_is_one_request() {
        let out = text(&spec(Requests::Multi { sets: 2 }, Order::Sequential), 1);
        assert!(
            out.starts_with("*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$6\r\nk00000\r\n$8\r\nk00000"),
            "{out}"
        );
        assert!(out.contains("\r\n*3\r\n$3\r\nSET\r\n$6\r\nk00001\r\n$8\r\nk00001"), "{out}");
        assert!(out.ends_with("\r\n*1\r\n$4\r\nEXEC\r\n"), "{out}");
    }

    #[test]
    fn the_keys_of_an_mget_are_remembered_in_order() {
        let mut workload = Workload::new(&spec(Requests::Mget { keys: 3 }, Order::Sequential), 0).unwrap();
        let mut keys = VecDeque::new();
        for _ in 0..2 {
            workload.append(&mut Vec::new(), &mut keys);
        }
        assert_eq!(keys, [0, 1, 2, 3, 4, 5]);
        let mut workload = Workload::new(&spec(Requests::Mset { keys: 3 }, Order::Sequential), 0).unwrap();
        keys.clear();
        workload.append(&mut Vec::new(), &mut keys);
        assert!(keys.is_empty(), "an MSET's reply says nothing about its keys");
    }

    #[test]
    fn requests_of_no_key_are_refused() {
        for requests in [Requests::Mget { keys: 0 }, Requests::Mset { keys: 10_001 }] {
            let error = Workload::new(&spec(requests, Order::Uniform), 0).err().unwrap();
            assert_eq!(error.to_string(), "--command-keys must be 1 to 10000");
        }
        assert!(Workload::new(&spec(Requests::Multi { sets: 0 }, Order::Uniform), 0).is_err());
    }

    #[test]
    fn equal_seeds_give_equal_streams_and_threads_differ() {
        for order in [Order::Uniform, Order::Zipf { exponent: 0.99 }] {
            let spec = spec(Requests::Mix { reads: 1, writes: 1 }, order);
            assert_eq!(text(&spec, 100), text(&spec, 100));
            assert_ne!(keys(&spec, 0, 100), keys(&spec, 1, 100));
            assert_ne!(keys(&spec, 0, 100), keys(&Spec { seed: 8, ..spec.clone() }, 0, 100));
        }
    }

    #[test]
    fn uniform_keys_are_uniform() {
        let mut counts = vec![0_u32; 1000];
        for key in keys(&spec(GETS, Order::Uniform), 0, 200_000) {
            counts[key as usize] += 1;
        }
        // Chi squared with 999 degrees of freedom: mean 999, standard deviation 45.
        let chi: f64 = counts.iter().map(|n| (f64::from(*n) - 200.0).powi(2) / 200.0).sum();
        assert!((800.0..1200.0).contains(&chi), "{chi}");
    }

    #[test]
    fn zipf_keys_follow_the_law() {
        let draws = 200_000;
        let mut counts = vec![0_u32; 1000];
        for key in keys(&spec(GETS, Order::Zipf { exponent: 0.99 }), 0, draws) {
            counts[key as usize] += 1;
        }
        let norm: f64 = (1..=1000).map(|rank| f64::from(rank).powf(-0.99)).sum();
        for rank in [1_u32, 2, 10, 100] {
            let expected = draws as f64 * f64::from(rank).powf(-0.99) / norm;
            let seen = f64::from(counts[rank as usize - 1]);
            assert!((seen - expected).abs() < 5.0 * expected.sqrt(), "rank {rank}: {seen} for {expected}");
        }
    }

    #[test]
    fn the_ratio_holds() {
        let mut workload =
            Workload::new(&spec(Requests::Mix { reads: 9, writes: 1 }, Order::Uniform), 0).unwrap();
        let mut out = Vec::new();
        let mut reads = 0;
        for _ in 0..10_000 {
            out.clear();
            reads += u32::from(workload.append(&mut out, &mut VecDeque::new()).kind == Kind::Get);
        }
        assert!((8_850..9_150).contains(&reads), "{reads}");
    }

    #[test]
    fn a_key_is_recognised() {
        let keys = KeySpace::new(1000, 6).unwrap();
        assert!(keys.begins_with(42, b"k00042"));
        assert!(keys.begins_with(42, b"k00042rest"));
        for wrong in ["k00043", "k10042", "x00042", "k0042", ""] {
            assert!(!keys.begins_with(42, wrong.as_bytes()), "{wrong:?}");
        }
    }

    #[test]
    fn says_what_is_wrong_with_the_key_space() {
        assert!(KeySpace::new(0, 12).is_err());
        assert!(KeySpace::new(1_000_000, 7).is_ok());
        assert!(KeySpace::new(1_000_001, 7).unwrap_err().to_string().contains("too short"));
        assert!(KeySpace::new(1, 1).is_err());
    }
}
