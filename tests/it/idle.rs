//! A server that nobody asks anything uses no CPU.

use std::thread;
use std::time::Duration;

use crate::harness::Server;
use crate::wire::Wire;

/// How long the servers are watched.
const WATCHED: Duration = Duration::from_secs(10);
/// Between the last command and the measurement, so that its consequences are over.
const SETTLED: Duration = Duration::from_secs(1);

#[test]
fn an_idle_server_uses_no_cpu() {
    let idle: Vec<(Server, Vec<Wire>)> = [1, 4]
        .map(|shards| {
            let server = Server::with_shards(shards);
            let connections = (0..100)
                .map(|n| {
                    let mut wire = server.wire();
                    wire.expect(&format!("SET key:{n} value"), "+OK\r\n");
                    wire
                })
                .collect();
            (server, connections)
        })
        .into();
    thread::sleep(SETTLED);
    let before: Vec<u64> = idle.iter().map(|(server, _)| server.cpu_ticks()).collect();
    thread::sleep(WATCHED);
    for ((server, connections), before) in idle.into_iter().zip(before) {
        let used = server.cpu_ticks() - before;
        assert!(used <= 1, "{used} ticks in {WATCHED:?}");
        for mut wire in connections {
            wire.expect("PING", "+PONG\r\n");
        }
        server.stop();
    }
}
