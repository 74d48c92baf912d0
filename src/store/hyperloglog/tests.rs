//! HyperLogLogs against registers kept one by one, and against values that Redis gave.

use proptest::prelude::*;

use super::*;

/// The registers of a HyperLogLog.
fn registers(hll: HllRef<'_>) -> Vec<u8> {
    let mut registers = [0; REGISTERS];
    hll.merge_into(&mut registers).expect("whole");
    registers.to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn registers_are_what_the_oracle_has(
        marks in prop::collection::vec((0..200usize, prop_oneof![1..4u8, 1..=51u8]), 1..300),
        stride in prop_oneof![Just(1usize), Just(80)],
        sparse_bytes_max in 0..400usize,
    ) {
        let mut hll = Hll::empty();
        let mut oracle = vec![0u8; REGISTERS];
        for (register, rank) in marks {
            let mark = Mark { register: register * stride, rank };
            let lacks = oracle[mark.register] < rank;
            let before = hll.clone();
            prop_assert_eq!(hll.raise(mark, sparse_bytes_max), Ok(lacks));
            oracle[mark.register] = oracle[mark.register].max(rank);
            prop_assert!(HllRef::new(&hll.bytes).is_some());
            if before.as_ref().is_dense() {
                prop_assert_eq!(before.as_ref().lacks(mark), lacks);
            }
            if before.as_ref().is_dense() && lacks {
                let (at, pair) = before.as_ref().dense_bytes(mark);
                let mut edited = before.bytes;
                edited[at..at + 2].copy_from_slice(&pair);
                prop_assert_eq!(&edited, &hll.bytes);
            }
        }
        prop_assert!(hll.as_ref().is_dense() || hll.bytes.len() <= sparse_bytes_max.max(HEADER_BYTES + 2));
        prop_assert_eq!(registers(hll.as_ref()), &oracle[..]);
        let mut dense = hll.clone();
        dense.make_dense().expect("whole");
        prop_assert_eq!(registers(dense.as_ref()), &oracle[..]);
        let count = count(oracle[..].try_into().unwrap());
        prop_assert_eq!(hll.as_ref().count(), Ok(count));
        prop_assert_eq!(dense.as_ref().count(), Ok(count));
    }
}

proptest! {
    #[test]
    fn garbage_is_refused_or_counted_and_never_more(
        body in prop::collection::vec(any::<u8>(), 0..40), head in prop::collection::vec(0x40..0x80u8, 0..3),
        register in 0..REGISTERS, rank in 1..=51u8,
    ) {
        let mut bytes = Hll::empty().into_bytes();
        bytes.truncate(HEADER_BYTES);
        bytes.extend_from_slice(&head);
        bytes.extend_from_slice(&body);
        let mut hll = Hll { bytes };
        let is_whole = hll.as_ref().count().is_ok();
        prop_assert_eq!(hll.as_ref().merge_into(&mut [0; REGISTERS]).is_ok(), is_whole);
        prop_assert_eq!(hll.clone().make_dense().is_ok(), is_whole);
        let _ = hll.as_ref().opcodes().count();
        let _ = hll.raise(Mark { register, rank }, 3000);
    }
}

#[test]
fn hashes_as_published() {
    // Values of the reference implementation, by way of Redis's registers.
    assert_eq!(hash::murmur64a(b"", 0), 0);
    let mark = |element: &str| {
        let Mark { register, rank } = Mark::of(element.as_bytes());
        (register, rank)
    };
    assert_eq!([mark("a"), mark("foo"), mark("hello world")], [(12711, 2), (7348, 5), (9399, 4)]);
}

#[test]
fn estimates_within_its_error() {
    let mut hll = Hll::empty();
    let mut added = 0u32;
    for goal in [0u32, 1, 10, 100, 1000, 10_000, 100_000] {
        while added < goal {
            hll.raise(Mark::of(format!("element {added}").as_bytes()), 3000).expect("whole");
            added += 1;
        }
        let estimate = hll.as_ref().count().expect("whole");
        let error = (estimate as f64 - f64::from(goal)).abs();
        assert!(error <= f64::from(goal) * 0.03, "{goal} elements were counted as {estimate}");
    }
}

#[test]
fn refuses_what_is_none() {
    let empty = Hll::empty().into_bytes();
    assert!(HllRef::new(&empty).is_some());
    assert!(HllRef::new(&empty[..HEADER_BYTES - 1]).is_none());
    let changed = |at: usize, byte: u8| {
        let mut bytes = empty.clone();
        bytes[at] = byte;
        HllRef::new(&bytes).is_some()
    };
    assert!(!changed(0, b'h'), "the magic is wrong");
    assert!(!changed(ENCODING_AT, 2), "no such encoding");
    assert!(!changed(ENCODING_AT, DENSE), "too short for dense registers");
}

#[test]
fn notices_corruption() {
    let with_body = |body: &[u8]| {
        let mut bytes = Hll::empty().into_bytes();
        bytes.truncate(HEADER_BYTES);
        bytes.extend_from_slice(body);
        Hll { bytes }
    };
    for body in
        [&b""[..], &[0x3f], &[0x7f], &[0x7f, 0xfe], &[0x7f, 0xff, 0x00], &[0x7f, 0xff, 0x80], &[0x83; 5000]]
    {
        let hll = with_body(body);
        assert_eq!(hll.as_ref().count(), Err(Corrupted), "{body:?}");
        assert_eq!(hll.as_ref().merge_into(&mut [0; REGISTERS]), Err(Corrupted), "{body:?}");
        assert_eq!(hll.clone().make_dense(), Err(Corrupted), "{body:?}");
        let _ = hll.clone().raise(Mark { register: REGISTERS - 1, rank: 1 }, 3000);
        let _ = hll.clone().raise(Mark { register: 5, rank: 40 }, 3000);
    }
}

#[test]
fn keeps_the_cardinality_beside_the_registers() {
    let mut hll = Hll::empty();
    assert_eq!(hll.as_ref().cached(), Some(0));
    hll.forget_cardinality();
    assert_eq!((hll.as_ref().cached(), stale_byte(&hll.bytes)), (None, None));
    let (at, cardinality) = cached_bytes(513);
    hll.bytes[at..at + 8].copy_from_slice(&cardinality);
    assert_eq!(hll.as_ref().cached(), Some(513));
    assert_eq!(stale_byte(&hll.bytes), Some((15, 0x80)));
}
