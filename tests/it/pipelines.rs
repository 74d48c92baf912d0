//! Many commands at once, cut anywhere, and very large values and keys.

use std::thread;
use std::time::Duration;

use corevault::base::rng::Rng;

use crate::harness::Server;
use crate::wire::{Wire, assert_same, bulk, command};

#[test]
fn ten_thousand_commands_in_one_write() {
    for shards in [1, 3] {
        let server = Server::with_shards(shards);
        let (mut sent, mut expected) = (Vec::new(), Vec::new());
        for n in 0..5000 {
            let (key, value) = (format!("key:{n}"), format!("value:{n}"));
            sent.extend(command(&[b"SET", key.as_bytes(), value.as_bytes()]));
            sent.extend(command(&[b"GET", key.as_bytes()]));
            expected.extend([b"+OK\r\n".as_slice(), &bulk(value.as_bytes())].concat());
        }
        let mut wire = server.wire();
        wire.send(&sent);
        wire.expect_bytes(&expected);
        server.stop();
    }
}

#[test]
fn any_split_of_a_pipeline_gives_the_same_replies() {
    let mut rng = Rng::new(11);
    let server = Server::with_shards(3);
    let (stream, commands) = mixed_stream(&mut rng);
    let ask = |pieces: &[&[u8]]| {
        let mut wire = server.wire();
        wire.expect("FLUSHALL", "+OK\r\n");
        for (n, piece) in pieces.iter().enumerate() {
            wire.send(piece);
            if n % 16 == 0 {
                // Long enough for the server to find the piece alone; whether it does changes no reply.
                thread::sleep(Duration::from_millis(1));
            }
        }
        (0..commands).flat_map(|_| wire.reply()).collect::<Vec<u8>>()
    };
    let whole = ask(&[&stream]);
    for piece_max in [3, 20, 400, 5000] {
        let mut pieces = Vec::new();
        let mut rest = stream.as_slice();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((1 + rng.below(piece_max) as usize).min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        assert_same(&ask(&pieces), &whole);
    }
    server.stop();
}

/// A pipeline whose replies depend on the order of its commands, and how many commands there are.
fn mixed_stream(rng: &mut Rng) -> (Vec<u8>, usize) {
    let count = 1000;
    let mut stream = Vec::new();
    for _ in 0..count {
        let key = |rng: &mut Rng| format!("key:{}", rng.below(20)).into_bytes();
        let (a, b, c) = (key(rng), key(rng), key(rng));
        let value = vec![b'0' + rng.below(10) as u8; 1 + rng.below(3) as usize];
        let words: &[&[u8]] = match rng.below(12) {
            0 => &[b"GET", &a],
            1 => &[b"SET", &a, &value],
            2 => &[b"INCRBY", &a, &value],
            3 => &[b"MGET", &a, &b, &c],
            4 => &[b"MSET", &a, &value, &b, b"x"],
            5 => &[b"DEL", &a, &b],
            6 => &[b"RENAME", &a, &b],
            7 => &[b"COPY", &a, &b, b"REPLACE"],
            8 => &[b"MSETNX", &a, &value, &b, &value],
            9 => &[b"DBSIZE"],
            10 => &[b"GETSET", &a, b"\r\n"],
            _ => &[b"EXISTS", &a, &b, &c],
        };
        stream.extend(command(words));
    }
    (stream, count)
}

#[test]
fn large_values_and_keys_come_back_whole() {
    for shards in [1, 3] {
        let server = Server::with_shards(shards);
        let mut wire = server.wire();
        for length in [1 << 20, 16 << 20, 100 << 20] {
            let value = pattern(length);
            // Keys in several slots, so that with three shards some are not on the connection's.
            for key in [b"large:1", b"large:2", b"large:3"].iter().take(if length > 16 << 20 { 1 } else { 3 })
            {
                assert_same(&wire.call(&[b"SET", *key, &value]), b"+OK\r\n");
                assert_same(&wire.call(&[b"STRLEN", *key]), format!(":{length}\r\n").as_bytes());
                wire.send(&command(&[b"GET", *key]));
                wire.expect_bytes(format!("${length}\r\n").as_bytes());
                wire.expect_bytes(&value);
                wire.expect_bytes(b"\r\n");
            }
        }
        long_keys(&mut wire);
        wire.expect("FLUSHALL", "+OK\r\n");
        server.stop();
    }
}

fn long_keys(wire: &mut Wire) {
    for last in [b'a', b'b', b'c'] {
        let mut key = pattern(64 * 1024);
        *key.last_mut().expect("it is long") = last;
        assert_same(&wire.call(&[b"SET", &key, &[last]]), b"+OK\r\n");
        assert_same(&wire.call(&[b"GET", &key]), &bulk(&[last]));
        assert_same(&wire.call(&[b"EXISTS", &key, &key[1..]]), b":1\r\n");
    }
}

/// Bytes in which no piece looks like its neighbour.
fn pattern(length: usize) -> Vec<u8> {
    let mut rng = Rng::new(length as u64);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&rng.next_u64().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
