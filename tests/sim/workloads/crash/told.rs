//! Whether what clients were told before a crash is still so after it, looked at through the keys that a restart found.

use crate::histories::history::{reply_end, shown};
use crate::oracle::Oracle;
use crate::process::Found;
use crate::script::{Command, words};
use crate::seeds::Verdict;
use crate::workloads::crash::clients::{ACCOUNTS, COUNTERS, Client, DBS_EACH, SHARED_DB, own_keys};
use crate::workloads::crash::record::{Life, Past};

/// Compares what was found with what the clients of that life, before which `past` was, know.
pub fn check(past: &Past, life: &Life, found: &Found) -> Verdict {
    let mut restored = Oracle::over(found.all_keys()?, 1);
    shared_keys(&mut restored, life)?;
    for (db, client) in life.clients.owners() {
        own_databases(past, &mut restored, db, client, life.holds)?;
    }
    Ok(())
}

// Shared keys -----------------------------------------------------------------------------------------------------

fn shared_keys(restored: &mut Oracle, life: &Life) -> Verdict {
    let onlooker = restored.onlooker(SHARED_DB);
    let mut ask = |line: &str| shown(&restored.ask(onlooker, &words(line)));
    let number = |text: String| -> i64 {
        let digits = text.trim_start_matches(|c: char| c != '-' && !c.is_ascii_digit());
        digits.split(' ').next_back().and_then(|digits| digits.parse().ok()).unwrap_or(0)
    };
    if life.holds {
        for (counter, seen) in life.clients.counters_seen().into_iter().enumerate() {
            let text = ask(&format!("GET count{counter}"));
            let is = if text == "$-1" { 0 } else { number(text) };
            if is < seen {
                return Err(format!("somebody was told that count{counter} is {seen}, and it is {is}"));
            }
        }
    }
    debug_assert_eq!(COUNTERS, 4);
    let mut sum = 0;
    for account in 0..ACCOUNTS {
        let text = ask(&format!("GET account{account}"));
        sum += if text == "$-1" { 0 } else { number(text) };
    }
    if sum != 0 {
        return Err(format!("half of a transfer is there: the accounts have {sum} together"));
    }
    let is_ready = ask("EXISTS ready") == ":1";
    let count = |ask: &mut dyn FnMut(&str) -> String, command: &str, name: &str| -> i64 {
        (0..3).map(|n| ask(&format!("{command} {name}{n}"))[1..].parse::<i64>().expect("a number")).sum()
    };
    let tokens = count(&mut ask, "SCARD", "tokens");
    let items = count(&mut ask, "LLEN", "queue");
    let crowns = ask("EXISTS crown crown1 crown2");
    let expected = if is_ready { (5, 6, ":1") } else { (0, 0, ":0") };
    if (tokens, items, &crowns[..]) != expected {
        return Err(format!(
            "there are {tokens} tokens, {items} items and {crowns} crowns, not {expected:?}"
        ));
    }
    let twins: Vec<String> = (0..3).map(|n| ask(&format!("GET twin{n}"))).collect();
    if twins.iter().any(|twin| *twin != twins[0]) {
        return Err(format!("a part of an MSET is there: {twins:?}"));
    }
    Ok(())
}

// Keys of one client ----------------------------------------------------------------------------------------------

/// What all keys of a client are, each in a form of its own.
type Look = Vec<Vec<u8>>;

fn look(oracle: &mut Oracle, onlookers: &[corevault::shard::ClientRef]) -> Look {
    let command: Command = words(&format!("DEBUG DIGEST-VALUE {}", own_keys().join(" ")));
    let mut look = Vec::new();
    for &onlooker in onlookers {
        let reply = oracle.ask(onlooker, &command);
        let mut rest = &reply[reply.iter().position(|&byte| byte == b'\n').expect("an array") + 1..];
        while let Some(end) = reply_end_or_none(rest) {
            look.push(rest[..end].to_vec());
            rest = &rest[end..];
        }
    }
    assert_eq!(look.len(), onlookers.len() * own_keys().len(), "a digest for each key");
    look
}

fn reply_end_or_none(bytes: &[u8]) -> Option<usize> {
    if bytes.is_empty() { None } else { reply_end(bytes) }
}

fn own_databases(past: &Past, restored: &mut Oracle, db: usize, client: &Client, holds: bool) -> Verdict {
    let mut oracle = Oracle::over(past.keys(), 1);
    let onlookers: Vec<_> = (db..db + DBS_EACH).map(|db| oracle.onlooker(db)).collect();
    let mut looks = vec![look(&mut oracle, &onlookers)];
    let mut answered = 0;
    for (n, (command, reply)) in client.heard().enumerate() {
        let refused =
            reply.is_some_and(|reply| reply.starts_with(b"-MISCONF") || reply.starts_with(b"-EXECABORT"));
        if refused && command[0] != b"EXEC" {
            // It has done nothing, but for a transaction, which `EXEC` will refuse.
        } else {
            let said = if refused { words("DISCARD") } else { command.clone() };
            let expected = oracle.replies([&said]);
            if let Some(reply) = reply.filter(|reply| !refused && **reply != expected) {
                return Err(format!(
                    "the client of database {db} is told {} and should be told {} after command {n}, {}",
                    shown(reply),
                    shown(&expected),
                    command.join(&b' ').escape_ascii()
                ));
            }
        }
        looks.push(look(&mut oracle, &onlookers));
        if reply.is_some() {
            answered = n + 1;
        }
    }
    let first = if holds { answered } else { 0 };
    let onlookers: Vec<_> = (db..db + DBS_EACH).map(|db| restored.onlooker(db)).collect();
    let is = look(restored, &onlookers);
    // When each key may have been as it is.
    let mut times = Vec::new();
    for (key, is) in is.iter().enumerate() {
        let when: Vec<usize> = (first..looks.len()).filter(|&n| looks[n][key] == *is).collect();
        if when.is_empty() {
            return Err(format!(
                "key {} of database {} is as it was never after command {first} of {} that were answered ({} sent)",
                own_keys()[key % own_keys().len()],
                db + key / own_keys().len(),
                answered,
                looks.len() - 1,
            ));
        }
        times.push((when[0], *when.last().expect("there is one")));
    }
    for n in first + 1..looks.len() {
        let changed = (0..is.len()).filter(|&key| looks[n][key] != looks[n - 1][key]);
        let (mut lacks, mut has) = (None, None);
        for key in changed {
            lacks = if times[key].1 < n { Some(key) } else { lacks };
            has = if times[key].0 >= n { Some(key) } else { has };
        }
        if let (Some(lacks), Some(has)) = (lacks, has) {
            let name = |key: usize| {
                format!("{} of {}", own_keys()[key % own_keys().len()], db + key / own_keys().len())
            };
            return Err(format!("command {n} is there for {} and not for {}", name(has), name(lacks)));
        }
    }
    Ok(())
}
