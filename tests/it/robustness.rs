//! Clients that misbehave: each test checks that another client gets right answers all the while.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use corevault::base::limits::{RECV_BUFFER_BYTES, RECV_BUFFERS};
use corevault::base::rng::Rng;
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};

use crate::harness::{GUARD, Server, skip, wait_for};
use crate::wire::{Wire, bulk, command};

const MB: u64 = 1024 * 1024;

/// How long a witness may wait for three answers: far beyond what a loaded machine needs.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// A well-behaved client in a thread of its own, which checks every answer it gets.
struct Witness {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Duration>,
}

impl Witness {
    fn start(server: &Server) -> Witness {
        let mut wire = server.wire();
        let is_over = Arc::new(AtomicBool::new(false));
        let watched = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            let (mut turn, mut longest) = (0u64, Duration::ZERO);
            while !watched.load(Ordering::Relaxed) || turn == 0 {
                turn += 1;
                let (key, value) = (format!("witness:{}", turn % 7), format!("value {turn}"));
                let asked = Instant::now();
                wire.send(&command(&[b"SET", key.as_bytes(), value.as_bytes()]));
                wire.send(&command(&[b"INCR", b"witness:turns"]));
                wire.send(&command(&[b"GET", key.as_bytes()]));
                wire.expect_bytes(b"+OK\r\n");
                wire.expect_bytes(format!(":{turn}\r\n").as_bytes());
                wire.expect_bytes(&bulk(value.as_bytes()));
                longest = longest.max(asked.elapsed());
            }
            longest
        });
        Witness { is_over, thread }
    }

    /// Fails if an answer was wrong or did not come, and says how long the witness waited at worst.
    fn finish(self) {
        self.is_over.store(true, Ordering::Relaxed);
        let longest = self.thread.join().expect("the witness got right answers");
        let test = thread::current().name().unwrap_or("a test").to_owned();
        println!("{test}: the witness waited {longest:?} at worst");
        assert!(longest < ANSWER_MAX, "the witness waited {longest:?}");
    }
}

/// A server, a witness, and what `misbehave` does meanwhile.
fn witnessed(arguments: &[&str], misbehave: impl FnOnce(&Server)) {
    let server = Server::start(arguments);
    let witness = Witness::start(&server);
    misbehave(&server);
    witness.finish();
    server.stop();
}

#[test]
fn a_client_that_never_reads_costs_bounded_memory() {
    witnessed(&["--shards", "2"], |server| {
        let mut wire = server.wire();
        limit_output(&mut wire, "normal 8mb 1mb 1");
        assert_eq!(wire.call(&[b"SET", b"large", &vec![b'x'; MB as usize]]), b"+OK\r\n");
        let before = server.peak_rss_bytes();
        // One on each shard: for the one the value is at hand, for the other it comes from elsewhere.
        thread::scope(|scope| {
            for _ in 0..2 {
                let deaf = TcpStream::connect(server.address()).expect("a connection");
                scope.spawn(|| ask_until_disconnected(deaf, &command(&[b"GET", b"large"]).repeat(100)));
            }
        });
        let grown = server.peak_rss_bytes() - before;
        assert!(grown < 64 * MB, "{} MB more", grown / MB);
        assert_eq!(wire.call(&[b"STRLEN", b"large"]), b":1048576\r\n");
    });
}

#[test]
fn one_reply_that_is_never_read_ends_its_client() {
    const DEAF: usize = 4;
    witnessed(&["--shards", "2"], |server| {
        let mut wire = server.wire();
        limit_output(&mut wire, "normal 64mb 1mb 1");
        // More than the sockets' buffers take.
        assert_eq!(wire.call(&[b"SET", b"large", &vec![b'x'; 24 * MB as usize]]), b"+OK\r\n");
        // Dealt out evenly: for some of them the value is at hand, for others it comes from elsewhere.
        let deaf: Vec<Wire> = (0..DEAF)
            .map(|n| {
                let mut wire = server.wire();
                wire.expect(&format!("CLIENT SETNAME deaf{n}"), "+OK\r\n");
                wire.send(&command(&[b"GET", b"large"]));
                wire
            })
            .collect();
        wait_for("disconnection of those who do not read", || {
            (!wire.ask("CLIENT LIST").contains("name=deaf")).then_some(())
        });
        let stats = wire.ask("INFO stats");
        let counted = format!("client_output_buffer_limit_disconnections:{DEAF}\r\n");
        assert!(stats.contains(&counted), "no {counted} in {stats}");
        drop(deaf);
    });
}

#[test]
fn a_slow_reader_that_reads_is_never_disconnected() {
    const VALUE_BYTES: usize = 24 * MB as usize;
    const STEPS: usize = 60;
    const STEP: Duration = Duration::from_millis(100);
    witnessed(&["--shards", "2"], |server| {
        let mut wire = server.wire();
        limit_output(&mut wire, "normal 64mb 1mb 2");
        let value: Vec<u8> = (0..VALUE_BYTES).map(|n| (n / 1000) as u8).collect();
        assert_eq!(wire.call(&[b"SET", b"large", &value]), b"+OK\r\n");
        let reply = bulk(&value);
        // Dealt out evenly, as above.
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut wire = server.wire();
                    wire.send(&command(&[b"GET", b"large"]));
                    for part in reply.chunks(reply.len().div_ceil(STEPS)) {
                        thread::sleep(STEP);
                        wire.expect_bytes(part);
                    }
                    wire.expect("PING", "+PONG\r\n");
                });
            }
        });
    });
}

#[test]
fn one_command_cannot_take_all_memory() {
    const KEYS: usize = 40;
    for shards in ["1", "3"] {
        witnessed(&["--shards", shards], |server| {
            let mut wire = server.wire();
            // Each shard may hold its part twice while the part grows: all of them together stay below the bound.
            limit_output(&mut wire, "normal 4mb 1mb 5");
            let keys: Vec<String> = (0..KEYS).map(|n| format!("large:{n}")).collect();
            for key in &keys {
                assert_eq!(wire.call(&[b"SET", key.as_bytes(), &vec![b'x'; MB as usize]]), b"+OK\r\n");
            }
            let before = server.peak_rss_bytes();
            let mut words = vec![b"MGET".as_slice()];
            words.extend(keys.iter().map(String::as_bytes));
            let mut greedy = server.wire();
            greedy.send(&command(&words));
            let got = greedy.read_to_end();
            assert!(got.is_empty(), "{} bytes of a reply that cannot be whole", got.len());
            let grown = server.peak_rss_bytes() - before;
            println!("{shards} shards: {} MB more", grown / MB);
            assert!(grown < 40 * MB, "{} MB more on {shards} shards", grown / MB);
            wire.expect("STRLEN large:0", ":1048576\r\n");
        });
    }
}

#[test]
fn more_input_at_once_than_there_are_receive_buffers() {
    const CLIENTS: usize = 50;
    const CLIENT_BYTES: usize = 512 * 1024;
    // The kernel takes what has come for some twenty connections before it lets the shard look.
    const { assert!(20 * CLIENT_BYTES > 2 * RECV_BUFFERS as usize * RECV_BUFFER_BYTES) };
    let server = Server::with_shards(1);
    let value = vec![b'v'; 100];
    let mut wires: Vec<Wire> = (0..CLIENTS).map(|_| server.wire()).collect();
    for wire in &mut wires {
        // The more a connection has carried, the more the kernel keeps for it unread.
        assert_eq!(wire.call(&[b"SET", b"large", &vec![b'x'; 4 * MB as usize]]), b"+OK\r\n");
    }
    // Asleep until everything has come, so that it comes to the shard at once.
    server.signal(Signal::STOP);
    let sets = thread::scope(|scope| {
        let senders: Vec<_> = wires
            .iter_mut()
            .enumerate()
            .map(|(client, wire)| {
                let value = &value;
                scope.spawn(move || {
                    let (mut pipeline, mut sets) = (Vec::new(), 0);
                    while pipeline.len() < CLIENT_BYTES {
                        let key = format!("key:{client}:{sets}");
                        pipeline.extend(command(&[b"SET", key.as_bytes(), value]));
                        sets += 1;
                    }
                    wire.send(&pipeline);
                    sets
                })
            })
            .collect();
        thread::sleep(Duration::from_millis(500));
        server.signal(Signal::CONT);
        let sets: Vec<usize> =
            senders.into_iter().map(|sender| sender.join().expect("all is sent")).collect();
        sets
    });
    for (wire, sets) in wires.iter_mut().zip(&sets) {
        wire.expect_bytes(&b"+OK\r\n".repeat(*sets));
    }
    for (client, (wire, sets)) in wires.iter_mut().zip(&sets).enumerate() {
        wire.expect(&format!("STRLEN key:{client}:{}", sets - 1), ":100\r\n");
    }
    wires[0].expect("DBSIZE", &format!(":{}\r\n", 1 + sets.iter().sum::<usize>()));
    server.stop();
}

#[test]
fn a_pipeline_larger_than_the_limit_slows_down_and_is_answered() {
    const REPLIES: usize = 64;
    witnessed(&["--shards", "2"], |server| {
        let mut wire = server.wire();
        limit_output(&mut wire, "normal 8mb 1mb 60");
        let value = vec![b'x'; MB as usize];
        assert_eq!(wire.call(&[b"SET", b"large", &value]), b"+OK\r\n");
        // One on each shard, as above.
        for mut wire in [server.wire(), server.wire()] {
            wire.send(&command(&[b"GET", b"large"]).repeat(REPLIES));
            for _ in 0..REPLIES {
                wire.expect_bytes(&bulk(&value));
            }
        }
    });
}

fn limit_output(wire: &mut Wire, limit: &str) {
    assert_eq!(wire.call(&[b"CONFIG", b"SET", b"client-output-buffer-limit", limit.as_bytes()]), b"+OK\r\n");
}

/// Sends `request` again and again and reads nothing, until the server has had enough and disconnects.
fn ask_until_disconnected(mut stream: TcpStream, request: &[u8]) {
    stream.set_write_timeout(Some(Duration::from_millis(100))).expect("a timeout");
    let deadline = Instant::now() + GUARD;
    loop {
        match stream.write(request) {
            // The server takes nothing more at the moment.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return,
            Ok(_) => {}
        }
        assert!(Instant::now() < deadline, "not disconnected within {GUARD:?}");
    }
}

#[test]
fn garbage_is_answered_and_ended() {
    witnessed(&["--shards", "2"], |server| {
        let mut rng = Rng::new(5);
        for _ in 0..200 {
            let mut garbage: Vec<u8> = (0..1 + rng.below(3000)).map(|_| rng.next_u64() as u8).collect();
            if rng.below(3) == 0 {
                let beginnings: [&[u8]; 4] = [b"*3\r\n$3\r\nSET\r\n", b"*1\r\n$", b"*", b"get "];
                garbage.splice(0..0, beginnings[rng.below(4) as usize].iter().copied());
            }
            let mut wire = server.wire();
            // The server may close while this is on its way.
            let _ = wire.socket().write_all(&garbage);
            let _ = wire.socket().shutdown(std::net::Shutdown::Write);
            wire.read_to_end();
        }
    });
}

#[test]
fn a_large_header_reserves_no_memory() {
    witnessed(&["--shards", "2"], |server| {
        let mut waiting: Vec<Wire> = (0..8).map(|_| server.wire()).collect();
        for wire in &mut waiting {
            wire.expect("PING", "+PONG\r\n");
        }
        // What connections and the witness's first commands take is there now; the rest comes of the headers.
        thread::sleep(Duration::from_millis(300));
        let before = server.peak_rss_bytes();
        for wire in &mut waiting {
            wire.send(b"*2\r\n$3\r\nGET\r\n$536870912\r\nfew bytes");
        }
        // A command more of another client: what was sent before it has arrived.
        server.wire().expect("PING", "+PONG\r\n");
        thread::sleep(Duration::from_millis(200));
        let grown = server.peak_rss_bytes().saturating_sub(before);
        assert!(grown < 8 * MB, "{} KB more", grown / 1024);
        for mut wire in waiting {
            wire.finish_sending();
            assert_eq!(wire.read_to_end(), b"");
        }
    });
}

#[test]
fn a_header_past_the_limit_is_an_error() {
    witnessed(&["--shards", "2"], |server| {
        for (header, error) in [
            ("*2\r\n$3\r\nGET\r\n$536870913\r\n", "-ERR Protocol error: invalid bulk length\r\n"),
            ("*2\r\n$99999999999999999999\r\n", "-ERR Protocol error: invalid bulk length\r\n"),
            ("*2147483648\r\n", "-ERR Protocol error: invalid multibulk length\r\n"),
        ] {
            let mut wire = server.wire();
            wire.send(header.as_bytes());
            assert_eq!(String::from_utf8_lossy(&wire.read_to_end()), error, "{header:?}");
        }
    });
}

#[test]
fn half_a_request_does_nothing() {
    witnessed(&["--shards", "3"], |server| {
        let whole = command(&[b"SET", b"half", b"value"]);
        for end in 1..whole.len() {
            let mut wire = server.wire();
            wire.send(&whole[..end]);
            drop(wire);
        }
        let mut wire = server.wire();
        wire.expect("EXISTS half", ":0\r\n");
        wire.send(&whole);
        wire.expect_bytes(b"+OK\r\n");
    });
}

#[test]
fn a_half_closed_connection_is_still_answered() {
    witnessed(&["--shards", "3"], |server| {
        let mut wire = server.wire();
        let (mut sent, mut expected) = (Vec::new(), Vec::new());
        for n in 0..500 {
            let (key, value) = (format!("key:{n}"), vec![b'v'; 5000]);
            sent.extend(command(&[b"SET", key.as_bytes(), &value]));
            sent.extend(command(&[b"GET", key.as_bytes()]));
            expected.extend([b"+OK\r\n".as_slice(), &bulk(&value)].concat());
        }
        wire.send(&sent);
        wire.finish_sending();
        wire.expect_bytes(&expected);
        assert_eq!(wire.read_to_end(), b"", "then the server closes");
    });
}

#[test]
fn connections_come_and_go() {
    witnessed(&["--shards", "3"], |server| {
        for n in 0..1000 {
            let mut stream = TcpStream::connect(server.address()).expect("a connection");
            match n % 4 {
                0 => stream.write_all(b"PING\r\n").expect("a request"),
                1 => stream.write_all(b"*1\r\n$4\r\nPI").expect("half a request"),
                2 => {
                    stream.write_all(b"PING\r\n").expect("a request");
                    stream.read_exact(&mut [0; 7]).expect("an answer");
                }
                _ => {}
            }
        }
        let mut wire = server.wire();
        // The asking one and the witness remain.
        wait_for("end of the others", || {
            let clients = wire.ask("CLIENT LIST");
            (clients.matches("id=").count() == 2).then_some(())
        });
    });
}

#[test]
fn ten_thousand_idle_connections_and_fifty_busy_ones() {
    const IDLE: usize = 10_000;
    const BUSY: usize = 50;
    let wanted = (IDLE + BUSY) as u64 + 1000;
    let limit = getrlimit(Resource::Nofile);
    if limit.maximum.is_some_and(|maximum| maximum < wanted) {
        let why =
            format!("{wanted} open files are needed, and the hard limit (ulimit -Hn) is {:?}", limit.maximum);
        return skip("ten_thousand_idle_connections_and_fifty_busy_ones", &why);
    }
    if limit.current.is_some_and(|current| current < wanted) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit }).expect("up to the hard limit");
    }
    witnessed(&["--shards", "2", "--max-clients", &wanted.to_string()], |server| {
        let connect = || TcpStream::connect(server.address()).expect("a connection");
        let idle: Vec<TcpStream> = (0..IDLE).map(|_| connect()).collect();
        thread::scope(|scope| {
            for n in 0..BUSY {
                let mut wire = server.wire();
                scope.spawn(move || {
                    let key = format!("busy:{n}");
                    for turn in 1..=100 {
                        assert_eq!(wire.call(&[b"INCR", key.as_bytes()]), format!(":{turn}\r\n").as_bytes());
                    }
                });
            }
        });
        // Every connection is alive, and the server knows it.
        for mut stream in idle {
            stream.set_read_timeout(Some(GUARD)).expect("a timeout");
            let mut answer = [0; 7];
            stream.write_all(b"PING\r\n").expect("a request");
            stream.read_exact(&mut answer).expect("an answer");
            assert_eq!(&answer, b"+PONG\r\n");
        }
    });
}

#[test]
fn clients_past_the_limit_are_refused_until_there_is_room() {
    let server = Server::start(&["--shards", "3", "--max-clients", "10"]);
    let refusal = "-ERR max number of clients reached\r\n";
    let connect = || {
        let mut wire = server.wire();
        // One that is refused may be closed before it can ask.
        let _ = wire.socket().write_all(b"PING\r\n");
        let answer = wire.reply();
        (wire, String::from_utf8_lossy(&answer).into_owned())
    };
    // The connection that waited for the start may still be on its way out.
    let mut clients = Vec::new();
    wait_for("ten places", || {
        let (wire, answer) = connect();
        if answer == "+PONG\r\n" {
            clients.push(wire);
        }
        (clients.len() == 10).then_some(())
    });
    for _ in 0..3 {
        let (mut refused, answer) = connect();
        assert_eq!(answer, refusal);
        assert_eq!(refused.read_to_end(), b"");
    }
    for client in &mut clients {
        client.expect("PING", "+PONG\r\n");
    }
    clients.truncate(7);
    wait_for("room", || {
        let (wire, answer) = connect();
        if answer == "+PONG\r\n" {
            clients.push(wire);
        }
        (clients.len() == 10).then_some(())
    });
    assert_eq!(connect().1, refusal);
    server.stop();
}
