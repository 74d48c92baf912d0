//! The request parser on what a connection hands it: pipelined commands, inline commands, one large value in pieces.
//! Every word parsed is compared with what was written before anything is measured.

use std::hint::black_box;

use corevault::base::args::{Args, Span};
use corevault::base::limits::{BULK_BYTES_MAX, PREFETCH_BATCH, RECV_BUFFER_BYTES};
use corevault::resp::parse::{Parser, Step};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

use common::{key, sized, value};

mod common;

type Words = Vec<Vec<u8>>;
type Compose = fn(usize) -> Words;
type Encode = fn(&Words) -> Vec<u8>;

fn pipelined(c: &mut Criterion) {
    let mut group = c.benchmark_group("parse/pipelined");
    let cases: [(&str, Encode, Compose); 4] = [
        ("get", multibulk, get),
        ("set", multibulk, set),
        ("inline_get", inline, get),
        ("inline_set", inline, set),
    ];
    for (name, encode, command) in cases {
        let commands = fill_buffer(encode, command);
        let input: Vec<u8> = commands.iter().flat_map(encode).collect();
        assert_eq!(parsed(&input), commands, "{name}");
        group.throughput(Throughput::Elements(commands.len() as u64));
        let (mut parser, mut spans) = (Parser::default(), Vec::new());
        group.bench_function(name, |b| {
            // Inline words are unescaped in place, so every round parses a fresh copy.
            b.iter_batched_ref(
                || input.clone(),
                |buffer| {
                    parser.rewind(0);
                    parse(&mut parser, black_box(buffer), &mut spans)
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn in_pieces(c: &mut Criterion) {
    let long_value = vec![b'v'; sized(1024 * 1024, 64 * 1024)];
    let command: Words = vec![b"SET".to_vec(), key(0).to_vec(), long_value];
    let input = multibulk(&command);
    let pieces = input.len().div_ceil(RECV_BUFFER_BYTES);

    let (mut parser, mut spans, mut buffer) = (Parser::default(), Vec::new(), Vec::new());
    assert_eq!(receive(&mut parser, &input, &mut buffer, &mut spans), 1);
    let words: Words = Args::new(&buffer, &spans).iter_from(0).map(<[u8]>::to_vec).collect();
    assert!(words == command, "the value must arrive whole");

    let mut group = c.benchmark_group("parse/pieces");
    group.throughput(Throughput::Elements(pieces as u64));
    group.bench_function("set_1_mib_in_16_kib", |b| {
        b.iter(|| receive(&mut parser, black_box(&input), &mut buffer, &mut spans));
    });
    group.finish();
}

/// Takes `input` in pieces of a receive buffer, as a connection does whose command is not complete; returns the commands.
fn receive(parser: &mut Parser, input: &[u8], buffer: &mut Vec<u8>, spans: &mut Vec<Span>) -> usize {
    parser.rewind(0);
    buffer.clear();
    input
        .chunks(RECV_BUFFER_BYTES)
        .map(|piece| {
            buffer.extend_from_slice(piece);
            parse(parser, buffer, spans)
        })
        .sum()
}

/// Parses up to the end of `buffer`, in the batches that the router takes; returns how many commands there were.
fn parse(parser: &mut Parser, buffer: &mut [u8], spans: &mut Vec<Span>) -> usize {
    let mut commands = 0;
    loop {
        if commands % PREFETCH_BATCH == 0 {
            spans.clear();
        }
        match parser.step(buffer, BULK_BYTES_MAX, spans).expect("the input is well formed") {
            Step::Command => commands += 1,
            Step::Incomplete { .. } => return commands,
        }
    }
}

/// The words of every command of `input`.
fn parsed(input: &[u8]) -> Vec<Words> {
    let mut buffer = input.to_vec();
    let (mut parser, mut spans, mut commands) = (Parser::default(), Vec::new(), Vec::new());
    while parser.step(&mut buffer, BULK_BYTES_MAX, &mut spans) == Ok(Step::Command) {
        commands.push(Args::new(&buffer, &spans).iter_from(0).map(<[u8]>::to_vec).collect());
        spans.clear();
    }
    commands
}

fn get(n: usize) -> Words {
    vec![b"GET".to_vec(), key(n).to_vec()]
}

fn set(n: usize) -> Words {
    vec![b"SET".to_vec(), key(n).to_vec(), value(n).to_vec()]
}

/// As many commands as fill one receive buffer.
fn fill_buffer(encode: Encode, command: Compose) -> Vec<Words> {
    let mut bytes = 0;
    let fits = |words: &Words| {
        bytes += encode(words).len();
        bytes <= RECV_BUFFER_BYTES
    };
    (0..).map(command).take_while(fits).collect()
}

fn multibulk(words: &Words) -> Vec<u8> {
    let mut text = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        text.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        text.extend_from_slice(word);
        text.extend_from_slice(b"\r\n");
    }
    text
}

fn inline(words: &Words) -> Vec<u8> {
    [words.join(&b' '), b"\r\n".to_vec()].concat()
}

criterion_group!(benches, pipelined, in_pieces);
criterion_main!(benches);
