//! Quiet times: a server that nobody asks anything uses no CPU, wakes up for whoever asks next, and disconnects idle clients
//! if told.

use std::thread;
use std::time::{Duration, Instant};

use corevault::base::rng::Rng;

use crate::harness::{Server, wait_for};
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

#[test]
fn idle_clients_are_disconnected_if_told_and_busy_ones_are_not() {
    let server = Server::with_shards(2);
    let mut busy: Vec<Wire> = (0..2).map(|_| server.wire()).collect();
    let mut idle: Vec<Wire> = (0..2).map(|_| server.wire()).collect();
    for wire in &mut idle {
        wire.expect("CLIENT SETNAME idle", "+OK\r\n");
    }
    busy[0].expect("CONFIG SET timeout 1", "+OK\r\n");
    let asked = Instant::now();
    wait_for("disconnection of the idle", || {
        for wire in &mut busy {
            wire.expect("PING", "+PONG\r\n");
        }
        (!busy[0].ask("CLIENT LIST").contains("name=idle")).then_some(())
    });
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(10), "it took {took:?}");
    for wire in &mut idle {
        assert_eq!(wire.read_to_end(), b"");
    }
    for wire in &mut busy {
        wire.expect("PING", "+PONG\r\n");
    }
    server.stop();
}

/// A shard that waits both for a signal and for a time must not lose the signal, whichever of them comes first.
#[test]
fn a_server_that_waits_for_a_tick_wakes_up_for_requests() {
    const REQUESTS: usize = 20;
    thread::scope(|scope| {
        for shards in [1, 2] {
            // With a timeout there is a tick every second, for ever.
            scope.spawn(move || {
                let server = Server::with_shards(shards);
                let (mut rng, mut longest) = (Rng::new(1), Duration::ZERO);
                let mut wires: Vec<Wire> = (0..shards).map(|_| server.wire()).collect();
                wires[0].expect("CONFIG SET timeout 100", "+OK\r\n");
                for n in 0..REQUESTS {
                    thread::sleep(Duration::from_millis(rng.below(1200)));
                    longest = longest.max(answer_time(&mut wires[n % shards], n));
                }
                println!("{shards} shards, ticks every second: {longest:?} at worst");
                server.stop();
            });
            // After a pause there is none: a signal lost then is lost for good.
            scope.spawn(move || {
                let server = Server::with_shards(shards);
                let (mut rng, mut longest) = (Rng::new(2), Duration::ZERO);
                let mut wires: Vec<Wire> = (0..shards).map(|_| server.wire()).collect();
                for n in 0..50 * REQUESTS {
                    let pause_ms = 2 + rng.below(3);
                    wires[0].expect(&format!("CLIENT PAUSE {pause_ms} WRITE"), "+OK\r\n");
                    // About when the pause is over and the shard goes to sleep again.
                    thread::sleep(Duration::from_micros(1000 * pause_ms + rng.below(2000)));
                    longest = longest.max(answer_time(&mut wires[n % shards], n));
                }
                println!("{shards} shards, a tick after each pause: {longest:?} at worst");
                server.stop();
            });
        }
    });
}

fn answer_time(wire: &mut Wire, n: usize) -> Duration {
    let asked = Instant::now();
    wire.expect(&format!("ECHO {n}"), &format!("${}\r\n{n}\r\n", n.to_string().len()));
    asked.elapsed()
}
