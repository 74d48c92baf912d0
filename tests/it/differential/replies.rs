//! Replies as trees, and what it takes for two of them to count as equal where bytes may differ. Never decides for which commands
//! they may: that is `exceptions`.

use crate::wire::{content, parts};

/// Clocks are read at different moments.
const MS_APART_MAX: i64 = 60_000;
/// A number from here on is a moment, Unix milliseconds; the others are counts.
const MOMENTS_FROM: i64 = 1_500_000_000_000;

/// A reply read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Anything without parts, every byte of it.
    Leaf(Vec<u8>),
    /// An array, set or map, with its first byte.
    Parts(u8, Vec<Reply>),
}

impl Reply {
    pub fn new(bytes: &[u8]) -> Reply {
        let is_null = bytes.starts_with(b"*-1");
        match bytes[0] {
            b'*' | b'~' | b'%' | b'>' if !is_null => {
                Reply::Parts(bytes[0], parts(bytes).into_iter().map(Reply::new).collect())
            }
            _ => Reply::Leaf(bytes.to_vec()),
        }
    }

    /// What the leaves say, in order.
    pub fn leaves(&self) -> Vec<Vec<u8>> {
        match self {
            Reply::Leaf(bytes) => vec![content(bytes).to_vec()],
            Reply::Parts(_, parts) => parts.iter().flat_map(Reply::leaves).collect(),
        }
    }

    fn text(&self) -> &str {
        match self {
            Reply::Leaf(bytes) => std::str::from_utf8(content(bytes)).unwrap_or_default(),
            Reply::Parts(..) => "",
        }
    }

    fn integer(&self) -> Option<i64> {
        match self {
            Reply::Leaf(bytes) if bytes[0] == b':' => self.text().trim_start_matches(':').trim().parse().ok(),
            _ => None,
        }
    }
}

/// Whether both have the same shape and equal leaves, where `same` may let other leaves pass.
fn are_alike(ours: &Reply, theirs: &Reply, same: &impl Fn(&Reply, &Reply) -> bool) -> bool {
    match (ours, theirs) {
        (Reply::Parts(kind, ours), Reply::Parts(their_kind, theirs)) => {
            kind == their_kind
                && ours.len() == theirs.len()
                && ours.iter().zip(theirs).all(|(ours, theirs)| are_alike(ours, theirs, same))
        }
        _ => ours == theirs || same(ours, theirs),
    }
}

/// Whether the replies are equal but for doubles that Redis 7.0 writes with 17 digits and 7.2 with as few as say the same.
pub fn are_equal_doubles(ours: &[u8], theirs: &[u8]) -> bool {
    are_alike(&Reply::new(ours), &Reply::new(theirs), &|ours, theirs| {
        is_same_double(leaf_text(ours), leaf_text(theirs))
    })
}

fn leaf_text(leaf: &Reply) -> &str {
    leaf.text().trim_start_matches(',').trim_end()
}

/// Whether the second text is one that Redis 7.0 may write for the double of the first.
pub fn is_same_double(ours: &str, theirs: &str) -> bool {
    let digits = theirs.bytes().filter(u8::is_ascii_digit).count();
    // Others look the same in both, as integers do. 7.2 prefers an exponent where 7.0 does not.
    let may_differ = digits >= 17 || theirs.contains('e') || ours.contains('e');
    match (ours.parse::<f64>(), theirs.parse::<f64>()) {
        // A packed set forgets the sign of zero, and 7.0 packs sets that 7.2 does not.
        (Ok(ours), Ok(theirs)) => (may_differ || ours == 0.0) && ours == theirs,
        _ => false,
    }
}

/// Whether the replies hold the same parts in any order, `width` of them at a time.
pub fn are_equal_unordered(ours: &[u8], theirs: &[u8], width: usize) -> bool {
    let sorted = |reply: &[u8]| {
        let parts = parts(reply);
        let mut groups: Vec<Vec<u8>> = parts.chunks(width).map(<[&[u8]]>::concat).collect();
        groups.sort();
        groups
    };
    let line = |reply: &[u8]| reply.iter().position(|&byte| byte == b'\n').map(|end| reply[..end].to_vec());
    line(ours) == line(theirs) && sorted(ours) == sorted(theirs)
}

/// Whether the replies have as many parts, or are both null, or both not.
pub fn are_as_long(ours: &[u8], theirs: &[u8]) -> bool {
    match (Reply::new(ours), Reply::new(theirs)) {
        (Reply::Parts(_, ours), Reply::Parts(_, theirs)) => ours.len() == theirs.len(),
        (Reply::Leaf(ours), Reply::Leaf(theirs)) => is_null(&ours) == is_null(&theirs),
        _ => false,
    }
}

pub fn is_null(reply: &[u8]) -> bool {
    matches!(reply, b"$-1\r\n" | b"*-1\r\n" | b"_\r\n")
}

/// Whether the replies of XPENDING are equal but for the third number of each entry, how long it has been idle.
pub fn are_equal_pending(ours: &[u8], theirs: &[u8]) -> bool {
    let (Reply::Parts(_, mut ours), Reply::Parts(_, theirs)) = (Reply::new(ours), Reply::new(theirs)) else {
        return false;
    };
    for (ours, theirs) in ours.iter_mut().zip(&theirs) {
        let (Reply::Parts(_, ours), Reply::Parts(_, theirs)) = (ours, theirs) else { continue };
        if let (Some(our_idle), Some(their_idle)) = (ours.get_mut(2), theirs.get(2))
            && are_near(our_idle, their_idle)
        {
            *our_idle = their_idle.clone();
        }
    }
    ours == theirs
}

/// Whether the replies of XINFO are equal: fields named `dropped` do not count, those named `near` and moments need only be near, and of
/// those named `open` only the kind counts.
pub fn are_equal_fields(ours: &[u8], theirs: &[u8], dropped: &[&str], near: &[&str], open: &[&str]) -> bool {
    same_fields(&Reply::new(ours), &Reply::new(theirs), dropped, near, open)
}

fn same_fields(ours: &Reply, theirs: &Reply, dropped: &[&str], near: &[&str], open: &[&str]) -> bool {
    let (Reply::Parts(kind, ours), Reply::Parts(their_kind, theirs)) = (ours, theirs) else {
        let are_moments = |reply: &Reply| reply.integer().is_some_and(|number| number >= MOMENTS_FROM);
        return ours == theirs || (are_moments(ours) && are_moments(theirs) && are_near(ours, theirs));
    };
    let (ours, theirs) = (without(ours, dropped), without(theirs, dropped));
    let mut name = String::new();
    kind == their_kind
        && ours.len() == theirs.len()
        && ours.iter().zip(&theirs).all(|(ours, theirs)| {
            let is_same = if near.contains(&name.as_str()) {
                are_near(ours, theirs)
            } else if open.contains(&name.as_str()) {
                ours.integer().is_some() && theirs.integer().is_some()
            } else {
                same_fields(ours, theirs, dropped, near, open)
            };
            name = ours.text().to_owned();
            is_same
        })
}

/// The parts but for fields of these names, which stand before their values.
fn without(parts: &[Reply], names: &[&str]) -> Vec<Reply> {
    let mut kept = Vec::new();
    let mut parts = parts.iter();
    while let Some(part) = parts.next() {
        if names.contains(&part.text()) {
            parts.next();
        } else {
            kept.push(part.clone());
        }
    }
    kept
}

fn are_near(ours: &Reply, theirs: &Reply) -> bool {
    match (ours.integer(), theirs.integer()) {
        (Some(ours), Some(theirs)) => ours.abs_diff(theirs) <= MS_APART_MAX as u64,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_equal_only_as_doubles() {
        assert!(are_equal_doubles(b"*1\r\n$3\r\n0.1\r\n", b"*1\r\n$19\r\n0.10000000000000001\r\n"));
        assert!(!are_equal_doubles(b"$3\r\n0.1\r\n", b"$19\r\n0.10000000000000002\r\n"));
        assert!(are_equal_doubles(b"$20\r\n1.026665842847864e+4\r\n", b"$17\r\n10266.65842847864\r\n"));
        assert!(!are_equal_doubles(b"$1\r\n1\r\n", b"$3\r\n1.0\r\n"));
    }

    #[test]
    fn order_does_not_matter_but_pairs_stay_together() {
        let (ours, theirs) = (b"*4\r\n:1\r\n:2\r\n:3\r\n:4\r\n", b"*4\r\n:3\r\n:4\r\n:1\r\n:2\r\n");
        assert!(are_equal_unordered(ours, theirs, 2));
        assert!(!are_equal_unordered(ours, b"*4\r\n:3\r\n:2\r\n:1\r\n:4\r\n", 2));
        assert!(!are_equal_unordered(b"*-1\r\n", b"*0\r\n", 1));
    }

    #[test]
    fn fields_are_dropped_or_need_only_be_near() {
        let ours = b"*6\r\n$4\r\nname\r\n$1\r\na\r\n$4\r\nidle\r\n:5\r\n$8\r\ninactive\r\n:7\r\n";
        let theirs = b"*4\r\n$4\r\nname\r\n$1\r\na\r\n$4\r\nidle\r\n:9\r\n";
        assert!(are_equal_fields(ours, theirs, &["inactive"], &["idle"], &[]));
        assert!(!are_equal_fields(ours, theirs, &["inactive"], &[], &[]));
        assert!(!are_equal_fields(ours, theirs, &[], &["idle"], &[]));
    }
}
