//! Decides whether one order of all commands explains what every client was told: an order that respects real time (what was
//! answered before another was asked took effect before it) and each client's own order. Searches all orders, and says so
//! when it gave up. Never looks at the server.
//!
//! # The search
//!
//! After Wing and Gong (1993) and Lowe (2017): a state is how many commands of each client have taken effect, and the model they
//! leave. A client's next command may come next if no other command was answered before it was asked. It is tried on
//! the model; a wrong reply ends that branch. States from which the search has failed are remembered. A command without a reply
//! may come at any time or never, so the search ends as soon as only such are left.
//!
//! Two rules keep it short. *A command that changes nothing for others goes at once*: if it may come now and its reply is right,
//! every order that has it later is as good with it now, so no other choice is tried. What was answered first is tried first, since
//! servers mostly do things in about the order in which they answer.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::rc::Rc;

use foldhash::fast::FixedState;

use super::history::{History, Operation, shown};
use super::model::{Command, Model};

/// Most clients of a history.
pub const CLIENTS_MAX: usize = 16;

/// What a history proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// An order explains it.
    Serialisable,
    /// No order does. Says how far the best one came.
    Violation(String),
    /// The search took too many steps. Proves nothing, and must not count as if it did.
    Unknown,
}

/// How many commands of each client have taken effect.
type Positions = [u16; CLIENTS_MAX];

struct Step<'a> {
    operation: &'a Operation,
    command: Rc<Command>,
    /// When it was answered; the end of time if it was not.
    answered: u64,
}

/// How a search ends.
#[derive(PartialEq, Eq)]
enum End {
    Explained,
    Failed,
    GaveUp,
}

struct Search<'a> {
    clients: Vec<Vec<Step<'a>>>,
    failed: HashSet<(Positions, Model), FixedState>,
    steps_left: usize,
    reply: Vec<u8>,
    /// The longest order found, if anybody wants to know.
    longest: Option<(Positions, Model)>,
}

/// Searches for an order, in at most so many steps: commands tried.
pub fn check(history: &History, steps_max: usize) -> Verdict {
    assert!(history.clients.len() <= CLIENTS_MAX, "too many clients");
    let start = Model::new(history.clients.len());
    let mut search = Search::new(history, steps_max, false);
    match search.explain([0; CLIENTS_MAX], start.clone()) {
        End::Explained => Verdict::Serialisable,
        End::GaveUp => Verdict::Unknown,
        End::Failed => {
            // Once more, taking notes: those who are right do not pay for them.
            let mut search = Search::new(history, steps_max, true);
            search.explain([0; CLIENTS_MAX], start);
            Verdict::Violation(search.explanation(history))
        }
    }
}

impl<'a> Search<'a> {
    fn new(history: &'a History, steps_left: usize, takes_notes: bool) -> Search<'a> {
        let step = |operation: &'a Operation| Step {
            operation,
            command: Rc::new(Command::parse(&operation.words)),
            answered: operation.completion.as_ref().map_or(u64::MAX, |completion| completion.at),
        };
        Search {
            clients: history.clients.iter().map(|operations| operations.iter().map(step).collect()).collect(),
            failed: HashSet::default(),
            steps_left,
            reply: Vec::new(),
            longest: takes_notes.then(|| ([0; CLIENTS_MAX], Model::new(history.clients.len()))),
        }
    }

    /// Whether an order of what is left explains it.
    fn explain(&mut self, mut positions: Positions, mut model: Model) -> End {
        let deadline = loop {
            let deadline = self.deadline(&positions);
            if deadline == u64::MAX {
                return End::Explained;
            }
            if !self.advance(&mut positions, &mut model, deadline) {
                break deadline;
            }
        };
        self.note(&positions, &model);
        let choices = self.choices(&positions, deadline);
        // With one choice there is nothing to remember: the states around it are remembered.
        if choices.len() > 1 && !self.failed.insert((positions, model.clone())) {
            return End::Failed;
        }
        for client in choices {
            if self.steps_left == 0 {
                return End::GaveUp;
            }
            let mut next = model.clone();
            if !self.fits(client, &positions, &mut next) {
                continue;
            }
            let mut further = positions;
            further[client] += 1;
            match self.explain(further, next) {
                End::Failed => {}
                end => return end,
            }
        }
        End::Failed
    }

    /// Each client's next command, with the client.
    fn next(&self, positions: &Positions) -> impl Iterator<Item = (usize, &Step<'a>)> {
        let positions = *positions;
        let nexts = self.clients.iter().enumerate();
        nexts.filter_map(move |(client, steps)| Some((client, steps.get(usize::from(positions[client]))?)))
    }

    /// The first answer still to be explained: what was asked after it must wait.
    fn deadline(&self, positions: &Positions) -> u64 {
        // Answers to one client come in order, so those of the next commands are the first.
        self.next(positions).map(|(_, step)| step.answered).min().unwrap_or(u64::MAX)
    }

    /// Lets commands take effect that nobody else notices. False: there is none.
    fn advance(&mut self, positions: &mut Positions, model: &mut Model, deadline: u64) -> bool {
        let mut has_advanced = false;
        for client in 0..self.clients.len() {
            while let Some(step) = self.clients[client].get(usize::from(positions[client]))
                && step.operation.invoked <= deadline
                && is_passive(step, client, model)
            {
                let mut next = model.clone();
                if !self.fits(client, positions, &mut next) {
                    break;
                }
                *model = next;
                positions[client] += 1;
                has_advanced = true;
            }
        }
        has_advanced
    }

    /// The clients whose next command may come next and may matter to others, the first answered first.
    fn choices(&self, positions: &Positions, deadline: u64) -> Vec<usize> {
        let may_come = self.next(positions).filter(|(_, step)| step.operation.invoked <= deadline);
        let mut choices: Vec<(u64, usize)> = may_come.map(|(client, step)| (step.answered, client)).collect();
        choices.sort_unstable();
        choices.into_iter().map(|(_, client)| client).collect()
    }

    /// Runs a client's next command on the model. False: that is not what the client was told.
    fn fits(&mut self, client: usize, positions: &Positions, model: &mut Model) -> bool {
        self.steps_left = self.steps_left.saturating_sub(1);
        let step = &self.clients[client][usize::from(positions[client])];
        self.reply.clear();
        model.apply(client, &step.command, &mut self.reply);
        step.operation.completion.as_ref().is_none_or(|completion| completion.reply == self.reply)
    }

    fn note(&mut self, positions: &Positions, model: &Model) {
        let sum = |positions: &Positions| positions.iter().map(|&n| u64::from(n)).sum::<u64>();
        if let Some(longest) = &mut self.longest
            && sum(positions) >= sum(&longest.0)
        {
            *longest = (*positions, model.clone());
        }
    }

    fn explanation(&mut self, history: &History) -> String {
        let (positions, model) = self.longest.take().expect("this search takes notes");
        let mut text = format!("no order of these commands explains what the clients were told\n{history}");
        let _ = writeln!(text, "The longest order that fits leaves {model}. Then could come:");
        let deadline = self.deadline(&positions);
        for client in self.choices(&positions, deadline) {
            let mut next = model.clone();
            let fits = self.fits(client, &positions, &mut next);
            let step = &self.clients[client][usize::from(positions[client])];
            let would = if fits {
                "fits, but leads nowhere".into()
            } else {
                format!("would be told {}", shown(&self.reply))
            };
            let words = step.operation.words.join(&b' ');
            let _ = writeln!(text, "  {client}.{}  {}: {would}", positions[client], words.escape_ascii());
        }
        text
    }
}

fn is_passive(step: &Step<'_>, client: usize, model: &Model) -> bool {
    let is_refused = || {
        let completion = step.operation.completion.as_ref();
        completion.is_some_and(|completion| step.command.refused_with(&completion.reply))
    };
    model.is_passive(client, &step.command) || is_refused()
}

#[cfg(test)]
mod tests {
    use super::{Verdict, check};
    use crate::histories::history::History;

    /// Lines of `client from..to COMMAND = reply`, with `\r\n` as a space; `client from.. COMMAND` for one without a reply.
    fn verdict(script: &str) -> Verdict {
        let mut history = History::default();
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (said, reply) =
                line.split_once(" = ").map_or((line, None), |(said, reply)| (said, Some(reply)));
            let mut words = said.split(' ');
            let client = usize::from(words.next().unwrap().as_bytes()[0] - b'a');
            let (from, to) = words.next().unwrap().split_once("..").expect("two times");
            if history.clients.len() <= client {
                history.clients.resize(client + 1, Vec::new());
            }
            let words = words.map(|word| word.as_bytes().to_vec()).collect();
            history.invoke(client, words, from.parse().unwrap());
            if let Some(reply) = reply {
                let gap = if reply.starts_with('-') { "\r\n" } else { " " };
                let bytes = reply.split(gap).flat_map(|line| [line.as_bytes(), b"\r\n"].concat()).collect();
                assert!(history.complete(client, bytes, to.parse().unwrap()), "{line}");
            }
        }
        check(&history, 100_000)
    }

    #[track_caller]
    fn good(script: &str) {
        assert_eq!(verdict(script), Verdict::Serialisable);
    }

    #[track_caller]
    fn bad(script: &str) {
        let verdict = verdict(script);
        assert!(matches!(verdict, Verdict::Violation(_)), "{verdict:?}");
    }

    #[test]
    fn real_time_counts() {
        good("a 1..2 SET x 1 = +OK\n b 3..4 GET x = $1 1");
        bad("a 1..2 SET x 1 = +OK\n b 3..4 GET x = $-1");
        good("a 1..3 SET x 1 = +OK\n b 2..4 GET x = $-1");
        good("a 1..3 SET x 1 = +OK\n b 2..4 GET x = $1 1");
        // One reader has seen it; another, later, has not.
        bad("a 1..9 SET x 1 = +OK\n b 2..3 GET x = $1 1\n c 4..5 GET x = $-1");
        good("a 1..9 SET x 1 = +OK\n b 2..3 GET x = $-1\n c 4..5 GET x = $1 1");
        // Two writers at once: readers may see either order, but all the same one.
        good("a 1..9 SET x 1 = +OK\n b 1..9 SET x 2 = +OK\n c 2..3 GET x = $1 2\n c 4..5 GET x = $1 1");
        bad(
            "a 1..9 SET x 1 = +OK\n b 1..9 SET x 2 = +OK\n c 2..3 GET x = $1 2\n c 4..5 GET x = $1 1\n d 6..7 GET x = $1 2",
        );
    }

    #[test]
    fn updates_are_not_lost() {
        good("a 1..9 INCR x = :1\n b 1..9 INCR x = :2\n c 10..11 GET x = $1 2");
        bad("a 1..9 INCR x = :1\n b 1..9 INCR x = :1");
        bad("a 1..9 INCR x = :1\n b 1..9 INCR x = :2\n c 10..11 GET x = $1 1");
        bad("a 1..9 APPEND x a = :1\n b 1..9 APPEND x b = :2\n c 10..11 GET x = $2 ba");
    }

    #[test]
    fn a_write_of_several_keys_is_whole() {
        let write = "a 1..9 MSET x 1 y 1 = +OK\n";
        good(&format!("{write} b 2..3 MGET x y = *2 $1 1 $1 1"));
        good(&format!("{write} b 2..3 MGET x y = *2 $-1 $-1"));
        bad(&format!("{write} b 2..3 MGET x y = *2 $1 1 $-1"));
        bad(&format!("{write} b 2..3 GET x = $1 1\n b 4..5 GET y = $-1"));
        good(&format!("{write} b 2..3 GET x = $-1\n b 4..5 GET y = $1 1"));
        bad("a 1..9 MSETNX x 1 y 1 = :1\n b 1..9 MSETNX y 2 z 2 = :1");
        bad("a 1..9 MSETNX x 1 y 1 = :0\n b 1..9 MSETNX y 2 z 2 = :0");
        good("a 1..9 MSETNX x 1 y 1 = :0\n b 1..9 MSETNX y 2 z 2 = :1");
        bad("a 1..2 MSET x 1 y 1 = +OK\n b 3..9 DEL x y = :2\n c 4..5 EXISTS x y = :1");
    }

    #[test]
    fn a_transfer_is_not_seen_in_the_middle() {
        let transfer = "a 1..2 MSET x 5 y 5 = +OK\n a 3..9 MULTI = +OK\n a 3..9 DECRBY x 2 = +QUEUED
            a 3..9 INCRBY y 2 = +QUEUED\n a 3..9 EXEC = *2 :3 :7\n";
        good(&format!("{transfer} b 4..5 MGET x y = *2 $1 5 $1 5"));
        good(&format!("{transfer} b 4..5 MGET x y = *2 $1 3 $1 7"));
        bad(&format!("{transfer} b 4..5 MGET x y = *2 $1 3 $1 5"));
        let reader = |x: u8, y: u8| {
            format!(
                "{transfer} b 4..5 MULTI = +OK\n b 4..5 GET x = +QUEUED\n b 4..5 GET y = +QUEUED\n b 4..5 EXEC = *2 $1 {x} $1 {y}"
            )
        };
        good(&reader(3, 7));
        bad(&reader(5, 7));
        // Queueing takes no effect.
        bad("a 1..2 MULTI = +OK\n a 1..2 SET x 1 = +QUEUED\n b 3..4 GET x = $1 1\n a 5..6 EXEC = *1 +OK");
        // Two readers that see two transfers in different orders.
        bad("a 1..9 MSET x 1 p 1 = +OK\n b 1..9 MSET y 1 q 1 = +OK
             c 2..3 MGET x y = *2 $1 1 $-1\n d 2..3 MGET p q = *2 $-1 $1 1");
    }

    #[test]
    fn a_pipeline_takes_effect_in_its_order() {
        let pipeline = "a 1..9 SET x 1 = +OK\n a 1..9 SET y 1 = +OK\n";
        good(&format!("{pipeline} b 2..3 GET y = $-1\n b 4..5 GET x = $1 1"));
        bad(&format!("{pipeline} b 2..3 GET y = $1 1\n b 4..5 GET x = $-1"));
        bad(&format!("{pipeline} b 2..5 GET y = $1 1\n b 2..5 GET x = $-1"));
        good(&format!("{pipeline} b 2..5 GET x = $-1\n b 2..5 GET y = $1 1"));
        bad(&format!("{pipeline} b 2..5 MGET x y = *2 $-1 $1 1"));
        good(&format!("{pipeline} b 2..5 MGET x y = *2 $1 1 $-1"));
    }

    #[test]
    fn exec_is_refused_exactly_when_it_must_be() {
        let cas = |nil: bool, other: &str, final_value: &str| {
            let reply = if nil { "*-1" } else { "*1 +OK" };
            format!(
                "a 1..2 SET x 1 = +OK\n a 3..4 WATCH x = +OK\n a 3..5 GET x = $1 1\n {other}
                 a 20..21 MULTI = +OK\n a 20..22 SET x 2 = +QUEUED\n a 20..25 EXEC = {reply}
                 c 30..31 GET x = $1 {final_value}"
            )
        };
        good(&cas(false, "b 6..7 GET x = $1 1", "2"));
        bad(&cas(true, "b 6..7 GET x = $1 1", "1"));
        good(&cas(true, "b 6..7 SET x 7 = +OK", "7"));
        bad(&cas(false, "b 6..7 SET x 7 = +OK", "2"));
        // While EXEC runs, either may be first.
        good(&cas(true, "b 6..24 SET x 7 = +OK", "7"));
        good(&cas(false, "b 6..24 SET x 7 = +OK", "7"));
        bad(&cas(false, "b 6..24 SET x 7 = +OK", "2"));
        bad(&cas(true, "b 6..24 SET x 7 = +OK", "2"));
        bad("a 1..2 WATCH x = +OK\n b 1..2 WATCH x = +OK
             a 3..9 MULTI = +OK\n a 3..9 INCR x = +QUEUED\n a 3..9 EXEC = *1 :1
             b 3..9 MULTI = +OK\n b 3..9 INCR x = +QUEUED\n b 3..9 EXEC = *1 :2");
        bad("a 1..2 WATCH x = +OK\n b 1..2 WATCH x = +OK
             a 3..9 MULTI = +OK\n a 3..9 INCR x = +QUEUED\n a 3..9 EXEC = *-1
             b 3..9 MULTI = +OK\n b 3..9 INCR x = +QUEUED\n b 3..9 EXEC = *-1");
    }

    #[test]
    fn a_rename_is_seen_whole() {
        let rename = "a 1..2 SET x v = +OK\n a 3..9 RENAME x y = +OK\n";
        good(&format!("{rename} b 4..5 EXISTS x y = :1\n b 4..6 MGET x y = *2 $-1 $1 v"));
        bad(&format!("{rename} b 4..5 EXISTS x y = :2"));
        bad(&format!("{rename} b 4..5 EXISTS x y = :0"));
        bad(&format!("{rename} b 4..5 GET y = $1 v\n b 6..7 GET x = $1 v"));
        bad(&format!("{rename} b 3..9 RENAME x z = +OK"));
        good(&format!("{rename} b 3..9 RENAME x z = -ERR no such key"));
    }

    #[test]
    fn a_flush_is_seen_whole() {
        let flush = "a 1..2 MSET x 1 y 1 = +OK\n a 3..9 FLUSHALL = +OK\n";
        good(&format!("{flush} b 4..5 MGET x y = *2 $1 1 $1 1\n b 6..7 DBSIZE = :0"));
        bad(&format!("{flush} b 4..5 MGET x y = *2 $1 1 $-1"));
        bad(&format!("{flush} b 4..5 DBSIZE = :1"));
        bad(&format!("{flush} b 4..8 MSET x 2 y 2 = +OK\n c 10..11 DBSIZE = :1"));
    }

    #[test]
    fn a_command_without_a_reply_may_have_run_or_not_but_in_its_order() {
        let gone = "a 1.. SET x 1\n a 2.. SET y 1\n";
        good(&format!("{gone} b 3..4 MGET x y = *2 $-1 $-1"));
        good(&format!("{gone} b 3..4 MGET x y = *2 $1 1 $-1"));
        good(&format!("{gone} b 3..4 MGET x y = *2 $1 1 $1 1"));
        bad(&format!("{gone} b 3..4 MGET x y = *2 $-1 $1 1"));
        good(&format!("{gone} b 3..4 MGET x y = *2 $-1 $-1\n b 50..51 MGET x y = *2 $1 1 $1 1"));
        bad(&format!("{gone} b 3..4 GET x = $1 1\n b 50..51 GET x = $-1"));
        bad("b 1..2 GET x = $1 1\n a 3.. SET x 1");
        good("a 1.. MULTI\n a 1.. SET x 1\n b 3..4 GET x = $-1");
        bad("a 1.. MULTI\n a 1.. SET x 1\n b 3..4 GET x = $1 1");
    }

    #[test]
    fn giving_up_is_no_answer() {
        let mut history = History::new(16);
        for client in 0..16 {
            for _ in 0..10 {
                history.invoke(client, vec![b"APPEND".to_vec(), b"x".to_vec(), vec![b'a' + client as u8]], 1);
            }
        }
        history.invoke(0, vec![b"GET".to_vec(), b"x".to_vec()], 1);
        assert!(!history.clients[0].is_empty() && history.len() == 161);
        for _ in 0..10 {
            assert!(history.complete(0, b":9\r\n".to_vec(), 2));
        }
        assert_eq!(check(&history, 1000), Verdict::Unknown);
    }
}
