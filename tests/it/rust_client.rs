//! The `redis` crate as a client: what an application in Rust would do.

use std::collections::BTreeSet;

use redis::{Commands, Connection, ConnectionLike as _, RedisResult, Value};

use crate::harness::{Server, connect};

#[test]
fn strings_and_counters() {
    let server = Server::with_shards(2);
    let mut client = server.client();
    let binary: Vec<u8> = (0..=255).collect();
    let () = client.set("binary", &binary).unwrap();
    assert_eq!(client.get::<_, Vec<u8>>("binary").unwrap(), binary);
    assert_eq!(client.get::<_, Option<String>>("missing").unwrap(), None);
    assert_eq!(client.incr::<_, _, i64>("counter", 41).unwrap(), 41);
    assert_eq!(client.incr::<_, _, i64>("counter", 1).unwrap(), 42);
    assert_eq!(client.append::<_, _, i64>("text", "abc").unwrap(), 3);
    assert_eq!(client.getrange::<_, String>("text", 1, -1).unwrap(), "bc");
    let error = client.incr::<_, _, i64>("text", 1).unwrap_err();
    assert!(error.to_string().contains("value is not an integer or out of range"), "{error}");
    assert_eq!(client.del::<_, i64>(&["text", "counter", "missing"]).unwrap(), 2);
    server.stop();
}

#[test]
fn several_keys_over_all_shards() {
    for shards in [1, 3, 8] {
        let server = Server::with_shards(shards);
        let mut client = server.client();
        let pairs: Vec<(String, String)> =
            (0..200).map(|n| (format!("key:{n}"), format!("value:{n}"))).collect();
        let () = client.mset(&pairs).unwrap();
        let keys: Vec<&String> = pairs.iter().map(|(key, _)| key).rev().collect();
        let values: Vec<String> = client.mget(&keys).unwrap();
        assert!(values.iter().eq(pairs.iter().map(|(_, value)| value).rev()));
        assert_eq!(client.exists::<_, i64>(&keys).unwrap(), 200);
        assert_eq!(redis::cmd("DBSIZE").query::<i64>(&mut client).unwrap(), 200);
        assert_eq!(client.unlink::<_, i64>(&keys).unwrap(), 200);
        assert_eq!(client.mget::<_, Vec<Option<String>>>(&keys).unwrap(), vec![None; 200]);
        server.stop();
    }
}

#[test]
fn pipelines_keep_their_order() {
    let server = Server::with_shards(3);
    let mut client = server.client();
    let mut pipeline = redis::pipe();
    for n in 0..1000 {
        pipeline.set(format!("k{n}"), n).ignore().get(format!("k{n}")).incr("total", n);
    }
    let replies: Vec<i64> = pipeline.query(&mut client).unwrap();
    let expected: Vec<i64> = (0..1000).flat_map(|n| [n, n * (n + 1) / 2]).collect();
    assert_eq!(replies, expected);
    server.stop();
}

#[test]
fn resp3() {
    let server = Server::with_shards(2);
    let mut client = server.client_with("?protocol=resp3");
    let () = client.set("k", "v").unwrap();
    assert_eq!(client.get::<_, String>("k").unwrap(), "v");
    assert_eq!(redis::cmd("GET").arg("missing").query::<Value>(&mut client).unwrap(), Value::Nil);
    let config: Value = redis::cmd("CONFIG").arg("GET").arg("databases").query(&mut client).unwrap();
    assert!(matches!(config, Value::Map(_)), "{config:?}");
    let info: Value = redis::cmd("INFO").arg("server").query(&mut client).unwrap();
    assert!(matches!(info, Value::VerbatimString { .. }), "{info:?}");
    let hello: Value = redis::cmd("HELLO").query(&mut client).unwrap();
    assert!(matches!(hello, Value::Map(_)), "{hello:?}");
    server.stop();
}

#[test]
fn unix_socket() {
    let server = Server::start(&["--shards", "2", "--unix-socket", "corevault.sock"]);
    let mut client = connect(&format!("unix://{}", server.path("corevault.sock")));
    let () = client.set("k", "v").unwrap();
    assert_eq!(server.client().get::<_, String>("k").unwrap(), "v");
    let list: String = redis::cmd("CLIENT").arg("LIST").query(&mut client).unwrap();
    assert!(list.contains("corevault.sock:0"), "{list}");
    server.stop();
}

#[test]
fn databases_are_apart() {
    let server = Server::with_shards(3);
    let (mut zero, mut three) = (server.client(), server.client_with("/3"));
    let () = zero.set("k", "in 0").unwrap();
    let () = three.set("k", "in 3").unwrap();
    assert_eq!(zero.get::<_, String>("k").unwrap(), "in 0");
    assert_eq!(three.get::<_, String>("k").unwrap(), "in 3");
    let () = redis::cmd("SWAPDB").arg(0).arg(3).query(&mut zero).unwrap();
    assert_eq!(zero.get::<_, String>("k").unwrap(), "in 3");
    assert_eq!(redis::cmd("MOVE").arg("k").arg(5).query::<i64>(&mut zero).unwrap(), 1);
    let () = redis::cmd("FLUSHDB").query(&mut three).unwrap();
    let mut five = server.client_with("/5");
    assert_eq!(five.get::<_, String>("k").unwrap(), "in 3");
    assert_eq!(three.exists::<_, i64>("k").unwrap(), 0);
    let error = redis::cmd("SELECT").arg(16).query::<()>(&mut five).unwrap_err();
    assert!(error.to_string().contains("DB index is out of range"), "{error}");
    server.stop();
}

#[test]
fn keys_expire() {
    let server = Server::with_shards(2);
    let mut client = server.client();
    let () = client.set_ex("long", "v", 1000).unwrap();
    let left: i64 = client.ttl("long").unwrap();
    assert!((1..=1000).contains(&left), "{left}");
    assert!(client.persist::<_, bool>("long").unwrap());
    assert_eq!(client.ttl::<_, i64>("long").unwrap(), -1);
    let () = client.pset_ex("short", "v", 20).unwrap();
    // Gone at some moment after its time; how soon is not asked.
    crate::harness::wait_for("expiry", || (client.exists::<_, i64>("short").unwrap() == 0).then_some(()));
    assert_eq!(client.get::<_, Option<String>>("short").unwrap(), None);
    assert!(client.expire_at::<_, bool>("long", 1).unwrap());
    assert_eq!(client.exists::<_, i64>("long").unwrap(), 0);
    server.stop();
}

#[test]
fn scan_finds_every_key_once_it_stays() {
    for shards in [1, 3] {
        let server = Server::with_shards(shards);
        let mut client = server.client();
        fill(&mut client, 5000).unwrap();
        let found: Vec<String> = client.scan().unwrap().map(|key| key.unwrap()).collect();
        let expected: BTreeSet<String> = (0..5000).map(|n| format!("key:{n}")).collect();
        assert_eq!(found.iter().cloned().collect::<BTreeSet<_>>(), expected);
        let matched: BTreeSet<String> =
            client.scan_match("key:77*").unwrap().map(|key| key.unwrap()).collect();
        assert!(matched.iter().eq(expected.iter().filter(|key| key.starts_with("key:77"))));
        server.stop();
    }
}

#[test]
fn scan_finds_what_stays_while_other_keys_come_and_go() {
    let server = Server::with_shards(3);
    let (mut client, mut other) = (server.client(), server.client());
    fill(&mut client, 3000).unwrap();
    let mut found = BTreeSet::new();
    let (mut cursor, mut turn) = (0u64, 0);
    loop {
        let (next, keys): (u64, Vec<String>) =
            redis::cmd("SCAN").arg(cursor).arg("COUNT").arg(50).query(&mut client).unwrap();
        found.extend(keys);
        turn += 1;
        let mut pipeline = redis::pipe();
        for n in 0..50 {
            pipeline.set(format!("new:{turn}:{n}"), n).del(format!("new:{}:{n}", turn - 1));
        }
        let () = pipeline.query(&mut other).unwrap();
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    let lost: Vec<String> =
        (0..3000).map(|n| format!("key:{n}")).filter(|key| !found.contains(key)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    server.stop();
}

#[test]
fn the_connection_survives_errors() {
    let server = Server::with_shards(2);
    let mut client = server.client();
    for command in ["NOSUCH", "GET", "CLIENT", "CONFIG"] {
        assert!(redis::cmd(command).query::<Value>(&mut client).is_err(), "{command}");
    }
    assert!(client.check_connection());
    server.stop();
}

fn fill(client: &mut Connection, count: usize) -> RedisResult<()> {
    let mut pipeline = redis::pipe();
    for n in 0..count {
        pipeline.set(format!("key:{n}"), n).ignore();
    }
    pipeline.query(client)
}
