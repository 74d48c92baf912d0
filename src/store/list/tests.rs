//! Lists against a naive oracle, with small nodes so that every way of splitting and merging them is taken.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::store::listpack;

impl List {
    /// What the counts say, counted anew; and that every node is sound.
    fn verify(&self) {
        let Form::Chain(nodes) = &self.0 else {
            let Form::Packed(pack) = &self.0 else { unreachable!() };
            Listpack::checked(pack.bytes()).expect("a sound listpack");
            assert_eq!(pack.view().len(), pack.len());
            return;
        };
        let (mut len, mut bytes) = (0, 0);
        for node in nodes.iter() {
            assert!(node.len() > 0, "an empty node");
            len += node.len();
            match node {
                Kept::Packed(pack) => {
                    Listpack::checked(pack.bytes()).expect("a sound listpack");
                    assert_eq!(pack.view().iter().count(), pack.len());
                }
                Kept::Plain(_) => {}
            }
            bytes += node.allocated_bytes();
        }
        assert_eq!(len, nodes.len());
        assert_eq!(bytes, nodes.node_bytes());
    }

    fn elements(&self) -> VecDeque<Vec<u8>> {
        self.view().iter().map(Item::to_vec).collect()
    }

    fn pushed(size: i64, elements: &[&str]) -> List {
        let limits = EncodingLimits { list_node_size: size, ..EncodingLimits::default() };
        List::from_elements(elements.iter().map(|element| element.as_bytes()), &limits)
    }

    fn node_lens(&self) -> Vec<usize> {
        let lens = self.view().nodes().map(|node| match node {
            Node::Packed(bytes) => Listpack::new(bytes).len(),
            Node::Plain(_) => 1,
        });
        lens.collect()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Push(bool, Vec<Vec<u8>>),
    Pop(bool, usize),
    Insert(usize, Vec<u8>),
    Set(usize, Vec<u8>),
    Remove(usize),
    RemoveMatching(Vec<u8>, bool, usize),
    Trim(usize, usize),
    Clone,
    Reload,
}

fn element() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => (0..8u8).prop_map(|n| vec![b'a' + n]),
        4 => any::<i16>().prop_map(|n| n.to_string().into_bytes()),
        2 => prop::collection::vec(any::<u8>(), 0..80),
        1 => (300..1500usize).prop_map(|n| vec![b'x'; n]),
        1 => (3500..9000usize).prop_map(|n| vec![b'y'; n]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let elements = prop::collection::vec(element(), 1..8);
    prop_oneof![
        8 => (any::<bool>(), elements).prop_map(|(left, elements)| Step::Push(left, elements)),
        4 => (any::<bool>(), 1..6usize).prop_map(|(left, count)| Step::Pop(left, count)),
        6 => (any::<usize>(), element()).prop_map(|(at, element)| Step::Insert(at, element)),
        3 => (any::<usize>(), element()).prop_map(|(at, element)| Step::Set(at, element)),
        3 => any::<usize>().prop_map(Step::Remove),
        2 => (element(), any::<bool>(), 1..9usize).prop_map(|(it, left, count)| Step::RemoveMatching(it, left, count)),
        1 => (0..20usize, 0..20usize).prop_map(|(front, back)| Step::Trim(front, back)),
        1 => Just(Step::Clone),
        1 => Just(Step::Reload),
    ]
}

fn end(left: bool) -> End {
    if left { End::Left } else { End::Right }
}

fn remove_naively(oracle: &mut VecDeque<Vec<u8>>, wanted: &[u8], left: bool, count: usize) -> Vec<usize> {
    let mut gone = Vec::new();
    while gone.len() < count {
        let found = if left {
            oracle.iter().position(|it| it == wanted)
        } else {
            oracle.iter().rposition(|it| it == wanted)
        };
        let Some(at) = found else { break };
        oracle.remove(at);
        gone.push(at);
    }
    gone
}

fn run(list: &mut List, oracle: &mut VecDeque<Vec<u8>>, step: &Step, limits: &EncodingLimits) {
    let limit = Limit::of(limits.list_node_size);
    match step {
        Step::Push(left, elements) => {
            list.make_room(elements.iter().map(Vec::len).sum(), elements.len(), limit);
            for element in elements {
                list.push(end(*left), element, limit);
                if *left { oracle.push_front(element.clone()) } else { oracle.push_back(element.clone()) }
            }
        }
        Step::Pop(left, count) => {
            let count = (*count).min(oracle.len());
            let shown: Vec<Vec<u8>> = list.view().at_end(end(*left), count).map(Item::to_vec).collect();
            list.pop(end(*left), count, limit);
            let pop = |_| if *left { oracle.pop_front() } else { oracle.pop_back() };
            assert_eq!(shown, (0..count).filter_map(pop).collect::<Vec<_>>());
        }
        Step::Insert(at, element) => {
            let at = at % (oracle.len() + 1);
            list.insert(at, element, limit);
            oracle.insert(at, element.clone());
        }
        Step::Set(at, element) if !oracle.is_empty() => {
            let at = at % oracle.len();
            list.set(at, element, limit);
            oracle[at].clone_from(element);
        }
        Step::Remove(at) if !oracle.is_empty() => {
            let at = at % oracle.len();
            list.remove(at, limit);
            oracle.remove(at);
        }
        Step::RemoveMatching(wanted, left, count) => {
            let mut removed = Vec::new();
            let gone =
                list.remove_matching(Wanted::new(wanted), end(*left), *count, limit, |at| removed.push(at));
            assert_eq!(removed, remove_naively(oracle, wanted, *left, *count));
            assert_eq!(gone, removed.len());
        }
        Step::Trim(front, back) => {
            let (front, back) =
                ((*front).min(oracle.len()), (*back).min(oracle.len() - front.min(&oracle.len())));
            list.pop(End::Right, back, limit);
            list.pop(End::Left, front, limit);
            oracle.truncate(oracle.len() - back);
            oracle.drain(..front);
        }
        Step::Clone => *list = list.clone(),
        Step::Reload => *list = List::from_nodes(list.view().nodes().collect::<Vec<_>>(), limits),
        Step::Set(..) | Step::Remove(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn agrees_with_a_deque(
        size in prop_oneof![Just(-1i64), Just(-2), Just(1), Just(2), Just(3), Just(8), Just(40)],
        steps in prop::collection::vec(step(), 1..80),
        looks in prop::collection::vec(any::<usize>(), 80),
    ) {
        let limits = EncodingLimits { list_node_size: size, ..EncodingLimits::default() };
        let (mut list, mut oracle) = (List::default(), VecDeque::new());
        let mut copies = Vec::new();
        for (step, look) in steps.iter().zip(looks) {
            run(&mut list, &mut oracle, step, &limits);
            if look % 8 == 0 {
                copies.push((list.clone(), oracle.clone()));
            }
            list.verify();
            prop_assert_eq!(&list.elements(), &oracle);
            let view = list.view();
            prop_assert_eq!(view.len(), oracle.len());
            if !oracle.is_empty() {
                let at = look % oracle.len();
                prop_assert_eq!(view.get(at as i64).map(Item::to_vec), oracle.get(at).cloned());
                prop_assert_eq!(view.get(at as i64 - oracle.len() as i64).map(Item::to_vec), oracle.get(at).cloned());
                let onward: Vec<Vec<u8>> = view.iter_from(at).map(Item::to_vec).collect();
                prop_assert_eq!(onward, oracle.range(at..).cloned().collect::<Vec<_>>());
                let back: Vec<Vec<u8>> = view.iter_back_from(at).map(Item::to_vec).collect();
                prop_assert_eq!(back, oracle.range(..=at).rev().cloned().collect::<Vec<_>>());
            }
            prop_assert!(view.get(oracle.len() as i64).is_none() && view.get(-1 - oracle.len() as i64).is_none());
        }
        for (copy, oracle) in copies {
            copy.verify();
            prop_assert_eq!(copy.elements(), oracle);
        }
    }
}

#[test]
fn nodes_are_those_of_a_quicklist() {
    assert_eq!(List::pushed(3, &["a", "b", "c"]).node_lens(), [3]);
    let mut list = List::pushed(3, &["a", "b", "c", "d", "e", "f", "g"]);
    assert_eq!(List::encoding(list.view()), "quicklist");
    assert_eq!(list.node_lens(), [3, 3, 1]);
    let limit = Limit::of(3);
    list.push(End::Left, b"h", limit);
    assert_eq!(list.node_lens(), [1, 3, 3, 1]);
    // The node is full: it is split, and what fits is merged.
    list.insert(2, b"i", limit);
    assert_eq!(
        list.elements(),
        ["h", "a", "i", "b", "c", "d", "e", "f", "g"].map(|it| it.as_bytes().to_vec())
    );
    assert_eq!(list.node_lens(), [3, 2, 3, 1]);
}

#[test]
fn a_large_element_is_a_node() {
    let large = "x".repeat(8193);
    let mut list = List::pushed(-2, &["a", "b", &large, "c"]);
    assert_eq!(List::encoding(list.view()), "quicklist");
    assert_eq!(list.node_lens(), [2, 1, 1]);
    assert_eq!(list.view().nodes().nth(1), Some(Node::Plain(large.as_bytes())));
    let limit = Limit::of(-2);
    list.set(2, b"d", limit);
    assert_eq!(list.elements(), ["a", "b", "d", "c"].map(|it| it.as_bytes().to_vec()));
    list.set(1, large.as_bytes(), limit);
    assert_eq!(list.node_lens(), [1, 1, 2]);
    list.verify();
}

#[test]
fn returns_to_a_listpack_at_half_of_the_bound() {
    let element = "x".repeat(100);
    let mut list = List::pushed(-2, &vec![&element[..]; 90]);
    assert_eq!(List::encoding(list.view()), "quicklist");
    let limit = Limit::of(-2);
    while list.view().node_count() > 1 {
        list.pop(End::Right, 1, limit);
    }
    while list.view().nodes().any(|node| matches!(node, Node::Packed(bytes) if bytes.len() > 4096)) {
        assert_eq!(List::encoding(list.view()), "quicklist");
        list.pop(End::Left, 1, limit);
    }
    assert_eq!(List::encoding(list.view()), "listpack");
    // And to a chain only where it would not fit.
    while list.view().nodes().any(|node| matches!(node, Node::Packed(bytes) if bytes.len() <= 8092)) {
        assert_eq!(List::encoding(list.view()), "listpack");
        list.make_room(100, 1, limit);
        list.push(End::Right, element.as_bytes(), limit);
    }
    list.make_room(100, 1, limit);
    assert_eq!(List::encoding(list.view()), "quicklist");
}

#[test]
fn a_million_elements_take_little_more_than_their_bytes() {
    for end in [End::Left, End::Right] {
        let (mut list, limit) = (List::default(), Limit::of(-2));
        for number in 0..1_000_000 {
            let element = format!("element{number:03}");
            list.make_room(element.len(), 1, limit);
            list.push(end, element.as_bytes(), limit);
        }
        // Encoding byte, ten bytes or more, backlen.
        let bytes: usize = list.view().iter().map(|item| item.with_bytes(<[u8]>::len) + 2).sum();
        let overhead = list.allocated_bytes() - bytes;
        assert!(overhead < 150_000, "{overhead} bytes over {bytes}");
        list.pop(End::Left, 999_990, limit);
        assert!(list.allocated_bytes() < 4096, "{}", list.allocated_bytes());
    }
}

#[test]
fn a_queue_keeps_its_memory() {
    let (mut list, limit) = (List::default(), Limit::of(-2));
    for number in 0..100_000 {
        list.make_room(20, 1, limit);
        list.push(End::Right, format!("element {number:>12}").as_bytes(), limit);
        if number > 200 {
            list.pop(End::Left, 1, limit);
        }
        assert!(list.allocated_bytes() < 10_000, "{}", list.allocated_bytes());
    }
}

#[test]
fn loads_nodes_of_elsewhere() {
    let limits = EncodingLimits::default();
    let mut one = listpack::empty();
    listpack::push_back(&mut one, Item::Bytes(b"a"));
    let list = List::from_nodes([Node::Packed(&one), Node::Packed(&listpack::empty())], &limits);
    assert_eq!((List::encoding(list.view()), list.len()), ("listpack", 1));
    let list = List::from_nodes([Node::Packed(&one), Node::Plain(b"small")], &limits);
    assert_eq!((List::encoding(list.view()), list.len()), ("quicklist", 2));
    assert!(List::from_nodes([], &limits).is_empty());
    let large = "x".repeat(20_000);
    listpack::push_back(&mut one, Item::Bytes(large.as_bytes()));
    let list = List::from_nodes([Node::Packed(&one)], &limits);
    assert_eq!((List::encoding(list.view()), list.len()), ("quicklist", 2));
}

#[test]
fn lists_are_equal_by_their_elements() {
    assert_eq!(List::pushed(1, &["a", "1", "c"]), List::pushed(-2, &["a", "1", "c"]));
    assert_ne!(List::pushed(1, &["a", "b"]), List::pushed(1, &["b", "a"]));
    assert_ne!(List::pushed(1, &["a", "b"]), List::pushed(1, &["a"]));
}
