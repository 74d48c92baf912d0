//! Connections are dealt out evenly, whatever the order in which they come and go.

use std::collections::BTreeMap;

use redis::Connection;

use crate::harness::{Server, wait_for};

#[test]
fn connections_spread_evenly() {
    let server = Server::with_shards(4);
    let mut asking = server.client();
    // The connection that waited for the start may still be on its way out.
    wait_for("single connection", || {
        (clients_by_shard(&mut asking).values().sum::<u64>() == 1).then_some(())
    });
    let mut others: Vec<Connection> = (0..7).map(|_| server.client()).collect();
    assert_eq!(clients_by_shard(&mut asking).into_values().collect::<Vec<_>>(), [2, 2, 2, 2]);
    others.truncate(3);
    wait_for("end of four connections", || {
        (clients_by_shard(&mut asking).values().sum::<u64>() == 4).then_some(())
    });
    others.extend((0..8).map(|_| server.client()));
    assert_eq!(clients_by_shard(&mut asking).into_values().collect::<Vec<_>>(), [3, 3, 3, 3]);
    server.stop();
}

/// How many clients each shard has, as `INFO` tells.
fn clients_by_shard(client: &mut Connection) -> BTreeMap<String, u64> {
    let info: String = redis::cmd("INFO").arg("shards").query(client).expect("INFO");
    let lines = info.lines().filter_map(|line| line.split_once(':'));
    let clients = |counts: &str| {
        let count =
            counts.split(',').find_map(|count| count.strip_prefix("clients=")).expect("a count of clients");
        count.parse().expect("a number")
    };
    lines.map(|(shard, counts)| (shard.to_owned(), clients(counts))).collect()
}
