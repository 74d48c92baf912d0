//! The Python package `redis` as a client; what it does is in `client.py`.

use std::process::Command;

use crate::harness::Server;
use crate::programs::{find_python, output_of};

#[test]
fn python_client_in_both_protocols() {
    let Some(python) = find_python("python_client_in_both_protocols") else { return };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/client.py");
    let server = Server::with_shards(3);
    for protocol in ["2", "3"] {
        let mut command = Command::new(&python);
        command.arg("-B").args([script, &server.port.to_string(), protocol]);
        assert_eq!(output_of(&mut command, b""), "all as expected\n", "RESP{protocol}");
    }
    server.stop();
}
