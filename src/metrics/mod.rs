//! Counters of one shard. Plain numbers, added up over the shards when somebody asks; nothing here is shared or atomic, but for what
//! the process knows of its persistence (`persistence`).

pub mod persistence;

/// What one shard counted since start or `CONFIG RESETSTAT`.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Commands executed.
    pub commands: u64,
    /// Connections accepted by this shard.
    pub connections: u64,
    /// Connections refused because `maxclients` was reached.
    pub rejected_connections: u64,
    /// Error replies sent.
    pub errors: u64,
    /// Error replies by their code (`ERR`, `WRONGTYPE`), in the order in which the codes first occurred.
    pub errors_by_code: Vec<(String, u64)>,
    /// Bytes read from clients.
    pub bytes_in: u64,
    /// Bytes sent to clients.
    pub bytes_out: u64,
    /// Clients disconnected because their query buffer passed its limit.
    pub query_limit_disconnects: u64,
    /// Clients disconnected because they did not read their replies.
    pub output_limit_disconnects: u64,
    /// Messages sent to other shards.
    pub mesh_messages: u64,
    /// Messages that found another shard's inbox full and had to wait.
    pub mesh_waits: u64,
    /// Per row of the command table: calls, failures while running, refusals before running.
    pub per_command: Vec<CommandStats>,
    /// Keyspace counters at the last reset, subtracted from the live ones.
    pub hits_base: u64,
    /// As `hits_base`.
    pub misses_base: u64,
    /// As `hits_base`.
    pub expired_base: u64,
}

/// Codes told apart. Commands have few; the bound is for those that a script or a plugin makes up.
const ERROR_CODES_MAX: usize = 128;

impl Stats {
    /// All counters at zero, for a table of `rows` commands.
    pub fn new(rows: usize) -> Stats {
        Stats { per_command: vec![CommandStats::default(); rows], ..Stats::default() }
    }

    /// Counts an execution of the command in `row` that ended in an error.
    pub fn count_failure(&mut self, row: u16, text: &str) {
        self.per_command[usize::from(row)].failed += 1;
        self.count_error(text);
    }

    /// Counts an error reply; `text` begins with its code.
    pub fn count_error(&mut self, text: &str) {
        self.errors += 1;
        let code = text.split(' ').next().unwrap_or_default();
        let known = self.errors_by_code.iter().position(|(known, _)| known == code);
        match known {
            Some(at) => self.errors_by_code[at].1 += 1,
            None if self.errors_by_code.len() < ERROR_CODES_MAX => {
                self.errors_by_code.push((code.to_owned(), 1));
            }
            None => {}
        }
    }
}

/// Counters of one command.
#[derive(Clone, Copy, Debug, Default)]
pub struct CommandStats {
    /// Executions.
    pub calls: u64,
    /// Executions that ended in an error.
    pub failed: u64,
    /// Calls refused before execution: wrong number of arguments and the like.
    pub rejected: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_errors_by_code_up_to_a_bound() {
        let mut stats = Stats::new(1);
        for text in ["ERR a", "WRONGTYPE b", "ERR c", "NOPROTO"] {
            stats.count_error(text);
        }
        let expected =
            [("ERR", 2), ("WRONGTYPE", 1), ("NOPROTO", 1)].map(|(code, count)| (code.to_owned(), count));
        assert_eq!(stats.errors_by_code, expected);
        for n in 0..1000 {
            stats.count_error(&format!("E{n}"));
        }
        assert_eq!((stats.errors, stats.errors_by_code.len()), (1004, ERROR_CODES_MAX));
    }
}
