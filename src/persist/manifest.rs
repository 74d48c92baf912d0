//! Owns the manifest: the one list of what belongs to the data, as a value and as text. Never touches a file: whoever replaces it on
//! disk does so in one step.
//!
//! ```text
//! corevault-manifest 1
//! generation 3
//! snapshot 5
//! segment generation=2 shards=1 shard=0 number=4 seed=0badcafe first=118 end=4096 next=201
//! segment generation=3 shards=2 shard=0 number=1 seed=5eed0001 first=1
//! segment generation=3 shards=2 shard=1 number=1 seed=5eed0002 first=1
//! crc 7c0f2d11
//! ```
//!
//! The last line is the CRC-32 of all bytes before it. There is one way to write each manifest, and only what is written so is read: a
//! reader of another version stops rather than guesses.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use crate::base::limits::SHARDS_MAX;
use crate::persist::directory::SegmentName;

/// The version of the format. A reader refuses every other one.
pub const VERSION: u32 = 1;

const TITLE: &str = "corevault-manifest ";
const CRC: &str = "crc ";

/// What belongs to the data, in the order in which it is replayed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The last generation begun: how often a process has started with these data.
    pub generation: u64,
    /// The snapshot that everything else builds on; without one the log begins with nothing.
    pub snapshot: Option<u64>,
    /// Files of ours that are not listed are being moved to the directory of this time, milliseconds since 1970.
    pub set_aside_ms: Option<i64>,
    /// The segments: by generation, then shard, then number.
    pub segments: Vec<Listed>,
}

/// A segment of the append-only file, as the manifest knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Which.
    pub name: SegmentName,
    /// Shards of its generation.
    pub shards: u16,
    /// What the CRCs of its records begin with.
    pub seed: u32,
    /// The sequence number of its first record. None if it goes on where the one before it ends, wherever that will be.
    pub first_seq: Option<u64>,
    /// Where it ends, once its generation is over.
    pub end: Option<End>,
}

/// Where a finished segment ends: it must be whole up to there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Its bytes.
    pub bytes: u64,
    /// The sequence number after that of its last record.
    pub next_seq: u64,
}

/// Why bytes are no manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadManifest {
    /// The line, from 1.
    pub line: usize,
    /// What is there.
    pub what: String,
}

impl fmt::Display for BadManifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl Manifest {
    /// The text of this manifest.
    pub fn encode(&self) -> Vec<u8> {
        let mut text = format!("{TITLE}{VERSION}\ngeneration {}\n", self.generation);
        let written = self.encode_body(&mut text);
        assert!(written.is_ok(), "writing to a string cannot fail");
        let crc = crc32fast::hash(text.as_bytes());
        text += &format!("{CRC}{crc:08x}\n");
        text.into_bytes()
    }

    fn encode_body(&self, text: &mut String) -> fmt::Result {
        if let Some(id) = self.snapshot {
            writeln!(text, "snapshot {id}")?;
        }
        if let Some(ms) = self.set_aside_ms {
            writeln!(text, "set-aside {ms}")?;
        }
        for Listed { name, shards, seed, first_seq, end } in &self.segments {
            let SegmentName { generation, shard, number } = name;
            write!(
                text,
                "segment generation={generation} shards={shards} shard={shard} number={number} seed={seed:08x}"
            )?;
            if let Some(seq) = first_seq {
                write!(text, " first={seq}")?;
            }
            if let Some(End { bytes, next_seq }) = end {
                write!(text, " end={bytes} next={next_seq}")?;
            }
            text.push('\n');
        }
        Ok(())
    }

    /// The manifest that `bytes` are, if its CRC fits, its list is in order and it is written as we write it.
    pub fn decode(bytes: &[u8]) -> Result<Manifest, BadManifest> {
        let bad = |line: usize, what: &str| BadManifest { line, what: what.to_owned() };
        let text = std::str::from_utf8(bytes).map_err(|_| bad(1, "it is not text"))?;
        let title = text.lines().next().unwrap_or_default();
        let version = title.strip_prefix(TITLE).ok_or_else(|| bad(1, "it is no manifest of Corevault"))?;
        if version != VERSION.to_string() {
            return Err(BadManifest {
                line: 1,
                what: format!("it has version {version}, and this program reads version {VERSION}"),
            });
        }
        let last = text.lines().count();
        let body_end = text.trim_end_matches('\n').rfind('\n').map_or(0, |at| at + 1);
        let crc = text[body_end..].strip_prefix(CRC).and_then(|rest| rest.strip_suffix('\n'));
        let crc = crc.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let crc = crc.ok_or_else(|| bad(last, "the line with the CRC is missing: it is not complete"))?;
        if crc != crc32fast::hash(&bytes[..body_end]) {
            return Err(bad(last, "the CRC does not fit the text: a byte has changed"));
        }
        let mut manifest = Manifest::default();
        let body = text[..body_end].lines().enumerate().skip(1);
        for (i, line) in body {
            manifest.decode_line(line).ok_or_else(|| bad(i + 1, "it is not understood"))?;
        }
        if let Some((index, what)) = manifest.disorder() {
            return Err(bad(manifest.line_of(index), what));
        }
        if manifest.encode() != bytes {
            return Err(bad(last, "it is not written as this program writes it"));
        }
        Ok(manifest)
    }

    fn decode_line(&mut self, line: &str) -> Option<()> {
        let (word, rest) = line.split_once(' ')?;
        match word {
            "generation" => self.generation = rest.parse().ok()?,
            "snapshot" => self.snapshot = Some(rest.parse().ok()?),
            "set-aside" => self.set_aside_ms = Some(rest.parse().ok()?),
            "segment" => self.segments.push(Listed::decode(rest)?),
            _ => return None,
        }
        Some(())
    }

    /// The line of segment `index`, for messages.
    fn line_of(&self, index: usize) -> usize {
        3 + usize::from(self.snapshot.is_some()) + usize::from(self.set_aside_ms.is_some()) + index
    }

    /// The first segment that cannot stand where it does, and why.
    fn disorder(&self) -> Option<(usize, &'static str)> {
        let mut shards_of = BTreeMap::new();
        let mut before: Option<&Listed> = None;
        for (i, listed) in self.segments.iter().enumerate() {
            let Listed { name, shards, first_seq, end, .. } = *listed;
            let is_first = before.is_none_or(|before| {
                (before.name.generation, before.name.shard) != (name.generation, name.shard)
            });
            if before.is_some_and(|before| before.name >= name) {
                return Some((i, "the segments are not in order"));
            }
            if shards == 0 || usize::from(shards) > SHARDS_MAX || name.shard >= shards {
                return Some((i, "there is no such shard"));
            }
            if *shards_of.entry(name.generation).or_insert(shards) != shards {
                return Some((i, "its generation has another number of shards"));
            }
            if name.generation == 0 || name.generation > self.generation || name.number == 0 {
                return Some((i, "its generation or number was never begun"));
            }
            if is_first && first_seq.is_none() {
                return Some((i, "it is the first of its shard, and its first sequence number is missing"));
            }
            // Half of all numbers: whatever follows, counting on from there cannot overflow.
            let numbers = [first_seq, end.map(|end| end.next_seq)];
            if numbers.into_iter().flatten().any(|seq| seq == 0 || seq > u64::MAX / 2) {
                return Some((i, "it has a number of a record that there cannot be"));
            }
            if end.is_some_and(|end| end.next_seq < first_seq.unwrap_or(1)) {
                return Some((i, "it ends before it begins"));
            }
            before = Some(listed);
        }
        None
    }

    /// The segments listed of a generation, in order.
    pub fn of_generation(&self, generation: u64) -> impl Iterator<Item = &Listed> {
        self.segments.iter().filter(move |listed| listed.name.generation == generation)
    }

    /// The generations that have segments, in order.
    pub fn generations(&self) -> Vec<u64> {
        let mut generations: Vec<u64> = self.segments.iter().map(|listed| listed.name.generation).collect();
        generations.dedup();
        generations
    }
}

impl Listed {
    fn decode(words: &str) -> Option<Listed> {
        let mut words = words.split(' ').peekable();
        let mut value = |name: &str, is_needed: bool| -> Option<Option<&str>> {
            let found = words.peek().and_then(|word| word.strip_prefix(name)?.strip_prefix('='));
            if found.is_some() {
                words.next();
            }
            (found.is_some() || !is_needed).then_some(found)
        };
        let name = SegmentName { generation: value("generation", true)??.parse().ok()?, shard: 0, number: 0 };
        let shards = value("shards", true)??.parse().ok()?;
        let name = SegmentName { shard: value("shard", true)??.parse().ok()?, ..name };
        let name = SegmentName { number: value("number", true)??.parse().ok()?, ..name };
        let seed = u32::from_str_radix(value("seed", true)??, 16).ok()?;
        let first_seq = value("first", false)?.map(str::parse).transpose().ok()?;
        let end = match value("end", false)? {
            Some(bytes) => {
                Some(End { bytes: bytes.parse().ok()?, next_seq: value("next", true)??.parse().ok()? })
            }
            None => None,
        };
        words.next().is_none().then_some(Listed { name, shards, seed, first_seq, end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn listed(generation: u64, shards: u16, shard: u16, number: u64) -> Listed {
        let name = SegmentName { generation, shard, number };
        Listed { name, shards, seed: 0x0bad_cafe, first_seq: Some(1), end: None }
    }

    fn example() -> Manifest {
        let finished = Listed {
            first_seq: Some(118),
            end: Some(End { bytes: 4096, next_seq: 201 }),
            ..listed(2, 1, 0, 4)
        };
        let later = Listed { first_seq: None, seed: 7, ..listed(3, 2, 0, 2) };
        Manifest {
            generation: 3,
            snapshot: Some(5),
            set_aside_ms: Some(1_700_000_000_123),
            segments: vec![finished, listed(3, 2, 0, 1), later, listed(3, 2, 1, 1)],
        }
    }

    #[test]
    fn the_text_is_the_one_that_version_1_has() {
        let text = "corevault-manifest 1\n\
            generation 3\n\
            snapshot 5\n\
            set-aside 1700000000123\n\
            segment generation=2 shards=1 shard=0 number=4 seed=0badcafe first=118 end=4096 next=201\n\
            segment generation=3 shards=2 shard=0 number=1 seed=0badcafe first=1\n\
            segment generation=3 shards=2 shard=0 number=2 seed=00000007\n\
            segment generation=3 shards=2 shard=1 number=1 seed=0badcafe first=1\n\
            crc c7b10f96\n";
        assert_eq!(String::from_utf8_lossy(&example().encode()), text);
        assert_eq!(Manifest::decode(text.as_bytes()), Ok(example()));
        let empty = Manifest::default().encode();
        assert_eq!(Manifest::decode(&empty), Ok(Manifest::default()));
    }

    #[test]
    fn a_changed_byte_anywhere_is_noticed() {
        let good = example().encode();
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert!(Manifest::decode(&bad).is_err(), "byte {at}, bit {bit}");
            }
        }
        for length in 0..good.len() {
            assert!(Manifest::decode(&good[..length]).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn messages_name_the_line() {
        let error = |bytes: &[u8]| Manifest::decode(bytes).expect_err("refused").to_string();
        assert_eq!(error(b""), "line 1: it is no manifest of Corevault");
        assert_eq!(error(b"\xff\n"), "line 1: it is not text");
        assert_eq!(
            error(b"corevault-manifest 2\nanything\n"),
            "line 1: it has version 2, and this program reads version 1"
        );
        assert!(error(b"corevault-manifest 1\ngeneration 3\n").starts_with("line 2: the line with the CRC"));
        let mut manifest = example();
        manifest.segments.swap(0, 1);
        assert_eq!(error(&manifest.encode()), "line 6: the segments are not in order");
        manifest.segments = vec![listed(3, 2, 2, 1)];
        assert_eq!(error(&manifest.encode()), "line 5: there is no such shard");
        manifest.segments = vec![listed(4, 2, 1, 1)];
        assert_eq!(error(&manifest.encode()), "line 5: its generation or number was never begun");
        manifest.segments = vec![Listed { first_seq: None, ..listed(3, 2, 1, 1) }];
        assert!(error(&manifest.encode()).contains("first sequence number is missing"));
        manifest.segments = vec![listed(3, 2, 0, 1), listed(3, 3, 1, 1)];
        assert_eq!(error(&manifest.encode()), "line 6: its generation has another number of shards");
    }

    #[test]
    fn only_our_own_spelling_is_read() {
        let sealed = |body: &str| format!("{body}crc {:08x}\n", crc32fast::hash(body.as_bytes()));
        for body in [
            "corevault-manifest 1\ngeneration 03\n",
            "corevault-manifest 1\ngeneration +3\n",
            "corevault-manifest 1\ngeneration 3\n\n",
            "corevault-manifest 1\n",
            "corevault-manifest 1\ngeneration 3\ngeneration 3\n",
            "corevault-manifest 1\ngeneration 3\r\n",
            "corevault-manifest 1\nsnapshot 5\ngeneration 3\n",
            "corevault-manifest 1\ngeneration 3\nfuture 5\n",
        ] {
            assert!(Manifest::decode(sealed(body).as_bytes()).is_err(), "{body:?}");
        }
    }

    fn manifests() -> impl Strategy<Value = Manifest> {
        let seqs = (1..u64::MAX / 4, 0u64..1000, any::<bool>());
        let segment = (any::<u32>(), proptest::option::of(seqs), 1u64..1000);
        let stream = proptest::collection::vec(segment, 1..4);
        let generation = proptest::collection::vec(stream, 1..4);
        let generations = proptest::collection::vec(generation, 0..4);
        (generations, proptest::option::of(any::<u64>()), proptest::option::of(any::<i64>())).prop_map(
            |(generations, snapshot, set_aside_ms)| {
                let mut manifest = Manifest {
                    generation: generations.len() as u64,
                    snapshot,
                    set_aside_ms,
                    ..Manifest::default()
                };
                for (g, streams) in generations.iter().enumerate() {
                    for (shard, stream) in streams.iter().enumerate() {
                        for (i, (seed, seqs, step)) in stream.iter().enumerate() {
                            let name = SegmentName {
                                generation: g as u64 + 1,
                                shard: shard as u16,
                                number: (i as u64 + 1) * step.max(&1) + i as u64 * 1000,
                            };
                            let first_seq = seqs.map(|(first, ..)| first).or((i == 0).then_some(1));
                            let end = seqs.filter(|(.., is_over)| *is_over).map(|(first, records, _)| End {
                                bytes: records * 32,
                                next_seq: first.saturating_add(records),
                            });
                            let listed =
                                Listed { name, shards: streams.len() as u16, seed: *seed, first_seq, end };
                            manifest.segments.push(listed);
                        }
                    }
                }
                manifest.segments.sort_by_key(|listed| listed.name);
                manifest
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(manifest in manifests()) {
            let numbers_repeat = manifest.segments.windows(2).any(|pair| pair[0].name == pair[1].name);
            prop_assume!(!numbers_repeat && manifest.disorder().is_none());
            prop_assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest));
        }

        #[test]
        fn any_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..200), is_titled in any::<bool>()) {
            let mut text = if is_titled { b"corevault-manifest 1\n".to_vec() } else { Vec::new() };
            text.extend(bytes);
            let crc = crc32fast::hash(&text);
            text.extend(format!("crc {crc:08x}\n").bytes());
            if let Ok(manifest) = Manifest::decode(&text) {
                prop_assert_eq!(manifest.encode(), text);
            }
        }
    }
}
