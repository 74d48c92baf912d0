//! Performs workloads on the model itself, with clients that interleave at random: what the checker must accept, and, with a flaw in
//! the performance, what it must not. Proves that generator, model and checker agree; says nothing about the server.

use std::collections::VecDeque;
use std::rc::Rc;

use corevault::base::rng::Rng;

use super::history::History;
use super::model::{Command, Model, Words};
use super::workloads::{Client, Plan};

/// What goes wrong in a performance, whenever there is an opportunity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// MSET writes its first key first, and the others later.
    TornMset,
    /// RENAME is a copy, and later a deletion.
    TornRename,
    /// FLUSHALL removes one key first.
    TornFlush,
    /// The commands of a transaction run one at a time.
    TornExec,
    /// Nobody watches.
    DeafWatch,
    /// The second command of a pipeline overtakes the first.
    Overtaking,
    /// A command is answered before it runs.
    EarlyReply,
}

/// As the name of a torn command: it is answered already.
const EARLY: &str = "";

/// A client on the stage.
struct Performer {
    number: usize,
    client: Client,
    bytes_left: usize,
    sent: VecDeque<Words>,
    /// What is still to be run of a torn command, with the replies so far.
    torn: VecDeque<Words>,
    torn_replies: Vec<Vec<u8>>,
    torn_name: &'static str,
    /// The commands since MULTI, where they are kept here.
    queue: Option<VecDeque<Words>>,
    is_in_multi: bool,
    answers: VecDeque<Vec<u8>>,
    replies: Vec<Vec<u8>>,
    waiting: usize,
    has_ended: bool,
}

/// The history of a performance.
pub fn perform(plan: Plan, rng: &mut Rng, flaw: Option<Flaw>) -> History {
    let mut history = History::new(plan.clients.len() + 1);
    let mut model = Model::new(plan.clients.len() + 1);
    let mut now = 0;
    for words in plan.setup {
        history.invoke(0, words.clone(), now + 1);
        now += 2;
        assert!(history.complete(0, apply(&mut model, 0, &words), now));
    }
    let mut performers: Vec<Performer> = (1..)
        .zip(plan.clients)
        .map(|(number, client)| Performer {
            number,
            bytes_left: client.vanishes_after.unwrap_or(usize::MAX),
            client,
            sent: VecDeque::new(),
            torn: VecDeque::new(),
            torn_replies: Vec::new(),
            torn_name: EARLY,
            queue: None,
            is_in_multi: false,
            answers: VecDeque::new(),
            replies: Vec::new(),
            waiting: 0,
            has_ended: false,
        })
        .collect();
    while !performers.iter().all(|performer| performer.has_ended && performer.is_idle()) {
        now += 1;
        let count = performers.len() as u64;
        let performer = &mut performers[rng.below(count) as usize];
        match rng.below(3) {
            0 => performer.speak(&mut history, rng, now),
            1 => performer.act(&mut model, rng, flaw, &plan.keys),
            _ => performer.listen(&mut history, now),
        }
    }
    // Somebody looks at what is left.
    let words: Words = [b"MGET".to_vec()].into_iter().chain(plan.keys).collect();
    history.invoke(0, words.clone(), now + 1);
    assert!(history.complete(0, apply(&mut model, 0, &words), now + 2));
    history
}

impl Performer {
    fn is_idle(&self) -> bool {
        self.sent.is_empty() && self.torn.is_empty()
    }

    /// Sends the next batch, once all is answered.
    fn speak(&mut self, history: &mut History, rng: &mut Rng, now: u64) {
        if self.waiting > 0 || self.has_ended {
            return;
        }
        let Some(batch) = self.client.next(&self.replies) else {
            self.has_ended = true;
            return;
        };
        for words in batch {
            let bytes = words.iter().map(Vec::len).sum::<usize>() + 10;
            if bytes > self.bytes_left {
                self.has_ended = true;
                // What a client that is gone has sent may be dropped, from anywhere on.
                self.sent.truncate(rng.below(self.sent.len() as u64 + 1) as usize);
                return;
            }
            self.bytes_left -= bytes;
            history.invoke(self.number, words.clone(), now);
            self.sent.push_back(words);
            self.waiting += 1;
        }
    }

    /// Lets the next command take effect, or a part of it.
    fn act(&mut self, model: &mut Model, rng: &mut Rng, flaw: Option<Flaw>, keys: &[Vec<u8>]) {
        if let Some(words) = self.torn.pop_front() {
            self.torn_replies.push(apply(model, self.number, &words));
            if self.torn.is_empty() && self.torn_name != EARLY {
                let whole = joined(self.torn_name, std::mem::take(&mut self.torn_replies));
                self.answers.push_back(whole);
            }
            return;
        }
        if self.sent.is_empty() {
            return;
        }
        let name = |words: &Words| String::from_utf8_lossy(&words[0]).into_owned();
        if flaw == Some(Flaw::Overtaking)
            && self.sent.len() > 1
            && name(&self.sent[1]) == "SET"
            && rng.below(2) == 0
        {
            // Both say OK: the client cannot know.
            if name(&self.sent[0]) == "SET" {
                self.sent.swap(0, 1);
            }
        }
        let words = self.sent.pop_front().expect("it is not empty");
        match name(&words).as_str() {
            "MULTI" => self.is_in_multi = true,
            "EXEC" | "DISCARD" => self.is_in_multi = false,
            _ => {}
        }
        let parts = |lines: &[&[&[u8]]]| -> VecDeque<Words> {
            lines.iter().map(|line| line.iter().map(|word| word.to_vec()).collect()).collect()
        };
        match (flaw, name(&words).as_str()) {
            (Some(Flaw::TornMset), "MSET") if words.len() > 3 && !self.is_in_multi => {
                let rest: Vec<&[u8]> =
                    [&b"MSET"[..]].into_iter().chain(words[3..].iter().map(|w| &w[..])).collect();
                (self.torn, self.torn_name) = (parts(&[&[b"SET", &words[1], &words[2]], &rest]), "MSET");
            }
            (Some(Flaw::TornRename), "RENAME") if words[1] != words[2] && !self.is_in_multi => {
                let copy: &[&[u8]] = &[b"COPY", &words[1], &words[2], b"REPLACE"];
                (self.torn, self.torn_name) = (parts(&[copy, &[b"DEL", &words[1]]]), "RENAME");
            }
            (Some(Flaw::TornFlush), "FLUSHALL") if !self.is_in_multi => {
                (self.torn, self.torn_name) = (parts(&[&[b"DEL", &keys[0]], &[b"FLUSHALL"]]), "FLUSHALL");
            }
            (Some(Flaw::TornExec), "MULTI") => {
                self.queue = Some(VecDeque::new());
                self.answers.push_back(b"+OK\r\n".to_vec());
            }
            (Some(Flaw::TornExec), "EXEC") if self.queue.as_ref().is_some_and(|queue| !queue.is_empty()) => {
                (self.torn, self.torn_name) = (self.queue.take().expect("it is there"), "EXEC");
            }
            (Some(Flaw::TornExec), "DISCARD") if self.queue.take().is_some() => {
                self.answers.push_back(b"+OK\r\n".to_vec());
            }
            (Some(Flaw::EarlyReply), "SET" | "MSET") if !self.is_in_multi => {
                self.answers.push_back(b"+OK\r\n".to_vec());
                (self.torn, self.torn_name) = (VecDeque::from([words]), EARLY);
            }
            (Some(Flaw::DeafWatch), "WATCH") => self.answers.push_back(b"+OK\r\n".to_vec()),
            _ => match &mut self.queue {
                Some(queue) => {
                    queue.push_back(words);
                    self.answers.push_back(b"+QUEUED\r\n".to_vec());
                }
                None => {
                    let reply = apply(model, self.number, &words);
                    self.answers.push_back(reply);
                }
            },
        }
    }

    /// Gets the next reply.
    fn listen(&mut self, history: &mut History, now: u64) {
        if let Some(reply) = self.answers.pop_front() {
            assert!(history.complete(self.number, reply.clone(), now));
            self.replies.push(reply);
            self.waiting -= 1;
        }
    }
}

fn joined(name: &str, replies: Vec<Vec<u8>>) -> Vec<u8> {
    match name {
        "EXEC" => [format!("*{}\r\n", replies.len()).into_bytes(), replies.concat()].concat(),
        "RENAME" if replies[0] == b":0\r\n" => b"-ERR no such key\r\n".to_vec(),
        _ => b"+OK\r\n".to_vec(),
    }
}

fn apply(model: &mut Model, client: usize, words: &Words) -> Vec<u8> {
    let mut reply = Vec::new();
    model.apply(client, &Rc::new(Command::parse(words)), &mut reply);
    reply
}

#[cfg(test)]
mod tests {
    use corevault::base::rng::Rng;

    use super::{Flaw, perform};
    use crate::histories::checker::{Verdict, check};
    use crate::histories::workloads::{Plan, Workload};

    const STEPS_MAX: usize = 100_000;

    fn verdict(workload: Workload, seed: u64, flaw: Option<Flaw>) -> Verdict {
        let mut rng = Rng::new(seed);
        let plan = Plan::new(workload, &mut rng);
        check(&perform(plan, &mut rng, flaw), STEPS_MAX)
    }

    #[test]
    fn what_the_model_says_is_accepted() {
        for workload in Workload::ALL {
            for seed in 0..500 {
                assert_eq!(verdict(workload, seed, None), Verdict::Serialisable, "{workload:?}, seed {seed}");
            }
        }
    }

    #[test]
    fn flaws_are_noticed() {
        for (flaw, workloads) in [
            (Flaw::TornMset, &[Workload::Pairs, Workload::Flushes, Workload::Mixture][..]),
            (Flaw::TornRename, &[Workload::Renames, Workload::Mixture]),
            (Flaw::TornFlush, &[Workload::Flushes]),
            (Flaw::TornExec, &[Workload::Bank, Workload::Lists, Workload::Mixture]),
            (Flaw::DeafWatch, &[Workload::Registers, Workload::Mixture]),
            (Flaw::Overtaking, &[Workload::Pipelines]),
            (Flaw::EarlyReply, &[Workload::Pairs, Workload::Pipelines, Workload::Flushes]),
        ] {
            for &workload in workloads {
                let is_noticed = |seed| matches!(verdict(workload, seed, Some(flaw)), Verdict::Violation(_));
                let noticed = (0..200).filter(|&seed| is_noticed(seed)).count();
                println!("{flaw:?}: noticed by {workload:?} in {noticed} of 200 seeds");
                assert!(noticed > 0, "{flaw:?} and {workload:?}");
            }
        }
    }
}
