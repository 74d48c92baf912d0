//! Keeps the documents true: `docs/commands.md` is what the command table says, and `README.md` and `tuning.md` name every flag
//! and every parameter with its default; the measured table of `tuning.md` is what the runs it names say.
//!
//! `COREVAULT_UPDATE=1 cargo test --test docs` writes `docs/commands.md` and the measured table again.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as Process;

use corevault::commands::table::{Command, Keys, Reach, Spread, Table, Verb};
use corevault::config::Config;
use corevault::config::parameters::PARAMETERS;

const COMMANDS: &str = "docs/commands.md";

#[test]
fn commands_are_described_as_the_table_has_them() {
    let page = page(&Table::new());
    let path = path(COMMANDS);
    if is_update() {
        fs::write(&path, &page).unwrap_or_else(|error| panic!("{COMMANDS}: {error}"));
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    let differs =
        page.lines().zip(written.lines().chain(std::iter::repeat(""))).find(|(ours, file)| ours != file);
    assert!(
        page == written,
        "{COMMANDS} is not what the command table says.\n\
         Write it again: COREVAULT_UPDATE=1 cargo test --test docs\n\
         First difference (table, file): {differs:#?}"
    );
}

#[test]
fn every_flag_is_documented() {
    let flags = flags();
    assert!(flags.iter().any(|flag| flag.name == "--port"), "no flag found in the help");
    for document in ["README.md", "tuning.md"] {
        let text = read(document);
        let mut complaints = String::new();
        for Flag { name, default } in &flags {
            match rows_of(&text, name).next() {
                None => writeln!(complaints, "no table row begins with `{name}`"),
                Some(row) if !row.contains(default) => {
                    writeln!(complaints, "the row of `{name}` does not show its default: {default}")
                }
                Some(_) => Ok(()),
            }
            .expect("a String takes everything");
        }
        for name in first_cells(&text).filter(|cell| cell.starts_with("--")) {
            if !flags.iter().any(|flag| flag.name == name) {
                writeln!(complaints, "there is no flag `{name}`").expect("a String takes everything");
            }
        }
        assert!(complaints.is_empty(), "{document}:\n{complaints}");
    }
}

#[test]
fn every_parameter_is_documented() {
    let text = read("tuning.md");
    let config = Config::default();
    let mut complaints = String::new();
    for parameter in PARAMETERS {
        let shown = parameter.get(&config);
        // One that is fixed at start has the default of its flag.
        let has_default = parameter.set(&mut config.clone(), shown.as_bytes()).is_ok();
        let default = if shown.is_empty() { "`\"\"`".to_owned() } else { format!("`{shown}`") };
        match rows_of(&text, parameter.name).next() {
            None => writeln!(complaints, "no table row begins with `{}`", parameter.name),
            Some(row) if has_default && !row.contains(&default) => {
                writeln!(complaints, "the row of `{}` does not show its default: {default}", parameter.name)
            }
            Some(_) => Ok(()),
        }
        .expect("a String takes everything");
    }
    assert!(complaints.is_empty(), "tuning.md:\n{complaints}");
}

#[test]
fn measured_numbers_are_those_of_their_runs() {
    let text = with_measured_rows(&read("tuning.md"), |run| read(&format!("loadtest/runs/{run}/summary.md")));
    if is_update() {
        fs::write(path("tuning.md"), &text).unwrap_or_else(|error| panic!("tuning.md: {error}"));
    }
    assert!(
        text == read("tuning.md"),
        "tuning.md: its measured table is not what the runs say.\n\
         Write it again: COREVAULT_UPDATE=1 cargo test --test docs"
    );
}

#[test]
fn measured_rows_are_written_from_summaries() {
    let summary = "\
## Server CPU per command, us (utime + stime)

| op  | P  | A             | B             | A/B   | A/B by schedstat |
|-----|----|---------------|---------------|-------|------------------|
| GET | 1  | 4.4 (4.3-6.0) | 5.8 (5.7-6.3) | 0.750 | 0.749            |
| SET | 16 | 0.4 (0.3-0.5) | 1.2 (1.1-1.3) | 0.320 | 0.320            |

## Throughput and latency

| GET | 1  | 224323 (1-2) | 168819 (1-2) | 1.324 |
";
    let page = "# x\n\n| run | op |\n|---|---|\n| `2026-01-02-a` | GET | 1 | stale |\n| `2026-01-02-a` | GET | 2 |\n\ny\n";
    let written = with_measured_rows(page, |run| {
        assert_eq!(run, "2026-01-02-a");
        summary.to_owned()
    });
    assert_eq!(
        written,
        "# x\n\n| run | op |\n|---|---|\n| `2026-01-02-a` | GET | 1 | 4.4 | 5.8 | 0.750 |\n\
         | `2026-01-02-a` | SET | 16 | 0.4 | 1.2 | 0.320 |\n\ny\n"
    );
    let pairs = "## Server CPU per command\n\n### A/B: new against old\n\n| op | P |\n|---|---|\n\
                 | MULTI 5 | 16 | 1.5 (1.4-1.6) | 6.5 (6.0-6.9) | 0.231 (0.2-0.3) | 0.2 |\n";
    assert_eq!(measured_rows("r", pairs), "| `r` | MULTI 5, new against old | 16 | 1.5 | 6.5 | 0.231 |\n");
    let memory = "## Memory per item, bytes\n\n| what | items |\n|---|---|\n\
                  | set, 20 B | 1000 | 41.5 (41.0-42.0) | 83.0 (82.0-84.0) | 0.500 (0.4-0.6) |\n";
    assert_eq!(measured_rows("r", memory), "| `r` | set, 20 B | 1000 | 41.5 | 83.0 | 0.500 |\n");
}

// ----------------------------------------------------------------------------------------------------------
// The measured table
// ----------------------------------------------------------------------------------------------------------

/// The text with each group of rows that begin with the same run's name replaced by what the run's summary says.
fn with_measured_rows(text: &str, summary_of: impl Fn(&str) -> String) -> String {
    let mut page = String::new();
    let mut last = None;
    for line in text.lines() {
        let run = first_cells(line).next().filter(|cell| cell.starts_with("20"));
        match run {
            None => {
                page += line;
                page += "\n";
            }
            Some(name) if run != last => {
                let rows = measured_rows(name, &summary_of(name));
                assert!(!rows.is_empty(), "the summary of {name} has no CPU per command");
                page += &rows;
            }
            Some(_) => {}
        }
        last = run;
    }
    page
}

/// Operation, pipeline, the medians of both servers and of their ratios, without the spread. Where a run sets several pairs of
/// servers side by side, the operation says which. A run of memory has what was measured and how many items instead.
fn measured_rows(run: &str, summary: &str) -> String {
    let after = |heading| summary.split_once(heading).map(|(_, rest)| rest);
    let table =
        after("## Server CPU per command").or_else(|| after("## Memory per item")).unwrap_or_default();
    let mut rows = String::new();
    let mut pair = String::new();
    for line in table.lines().skip(1).take_while(|line| !line.starts_with("## ")) {
        if let Some((_, names)) = line.strip_prefix("### ").and_then(|heading| heading.split_once(": ")) {
            pair = format!(", {names}");
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let [_, operation, pipeline, a, b, ratio, ..] = cells[..]
            && pipeline.parse::<u32>().is_ok()
        {
            let median = |cell: &str| cell.split(' ').next().unwrap_or_default().to_owned();
            let operation = format!("{operation}{pair}");
            rows += &table_row(&[
                &format!("`{run}`"),
                &operation,
                pipeline,
                &median(a),
                &median(b),
                &median(ratio),
            ]);
        }
    }
    rows
}

// ----------------------------------------------------------------------------------------------------------
// The page of commands
// ----------------------------------------------------------------------------------------------------------

const HEAD: &str = "\
# Commands

Written by `COREVAULT_UPDATE=1 cargo test --test docs` from the command table (`src/commands/table.rs`); a test fails when the two
differ. Semantics, replies and error texts are those of Redis 7.2 (the command pages at <https://redis.io/docs/latest/commands/>);
[differences.md](differences.md) lists the exceptions.

**Arity** counts words, the name and subcommand included; `-n` means at least `n`. **Keys** are positions of words, the name being
word 0. **Since** is the Redis version that first had the command. **Flags** are those of `COMMAND INFO`. Summary and complexity are
Redis's texts, which clients read through `COMMAND DOCS`.
**Shards** says who takes part, and how many hops it takes; a hop is one message to each shard concerned and its answer, all at
the same time. Where everything a command needs is on the connection's shard, there is none. Whatever concerns several shards is
a transaction: nobody sees it half done ([ARCHITECTURE.md](ARCHITECTURE.md) explains the hops).

";

/// How the shards take part: a word for the tables, and its meaning.
const SPREADS: &[(&str, &str, &str)] = &[
    ("home", "0", "the connection's shard"),
    ("key", "0 or 1", "the shard of the key"),
    (
        "keys",
        "0 to 2",
        "each shard does its keys; the parts become one reply. One shard: 0 or 1 hop; the connection's own and one more: 1",
    ),
    (
        "gather",
        "0 to 3",
        "the keys are read where they live, the connection's shard decides, the changes are made where the keys live; where all \
         keys share a shard, it does everything",
    ),
    ("all", "0 to 2", "every shard; the parts become one reply"),
    ("all, apart", "0 or 1", "every shard, each at a moment of its own; the parts become one reply"),
    (
        "queued",
        "0 and up",
        "what the queued commands need together; one hop more where watched keys are elsewhere",
    ),
    (
        "home, or wait",
        "0",
        "as home; the reply may have to wait for the disk, and so do the client's commands behind it",
    ),
    (
        "gather, or wait",
        "as gather",
        "as gather; where nothing is found the client waits in the lines of its keys, and a change of one has it tried again",
    ),
    ("cursor", "0 or 1", "the shard whose slots the cursor has reached"),
];

fn spread(row: &Command) -> &'static str {
    match row.spread {
        Spread::Home
        | Spread::Connection(Verb::Multi | Verb::Discard | Verb::Unwatch | Verb::Reset | Verb::Quit) => {
            "home"
        }
        Spread::Connection(Verb::Exec) => "queued",
        Spread::Connection(Verb::Watch) => "keys",
        Spread::Disk => "home, or wait",
        Spread::Key => "key",
        Spread::Keys(_) => "keys",
        Spread::Gather(_) => "gather",
        Spread::Block(_) => "gather, or wait",
        Spread::Shards(Reach::Nothing, _) => "all, apart",
        Spread::Shards(..) => "all",
        Spread::Cursor => "cursor",
    }
}

fn page(table: &Table) -> String {
    let mut page = HEAD.to_owned();
    page += "| shards | hops | who takes part |\n|---|---|---|\n";
    for (word, hops, meaning) in SPREADS {
        page += &table_row(&[word, hops, meaning]);
    }
    let mut groups: Vec<&str> = table.rows().iter().map(|row| row.group.name()).collect();
    groups.sort_unstable();
    groups.dedup();
    for group in groups {
        let mut rows: Vec<&Command> = table.rows().iter().filter(|row| row.group.name() == group).collect();
        rows.sort_by_key(|row| row.name);
        write!(page, "\n## {group}: {} rows\n\n", rows.len()).expect("a String takes everything");
        page += "| command | arity | flags | keys | shards | since | summary | complexity |\n|---|---|---|---|---|---|---|---|\n";
        for row in rows {
            page += &command_row(row);
        }
    }
    page
}

fn command_row(row: &Command) -> String {
    let name = format!("`{}`", row.name.replace('|', " ").to_ascii_uppercase());
    let flags: Vec<&str> = row.flags.iter().filter_map(|flag| flag.name()).collect();
    let summary =
        if row.is_container { format!("{} Has subcommands.", row.summary) } else { row.summary.to_owned() };
    table_row(&[
        &name,
        &row.arity.to_string(),
        &flags.join(" "),
        &key_words(row.keys),
        spread(row),
        row.since,
        &escaped(&summary),
        &escaped(row.complexity),
    ])
}

fn key_words(keys: Keys) -> String {
    let (first, last, step) = match keys {
        Keys::None => return String::new(),
        Keys::At { first, last, step } => (first, last, step),
        Keys::Counted { count, also: 0 } => return format!("as many as word {count} says, behind it"),
        Keys::Counted { count, also } => {
            return format!("{also}, and as many as word {count} says, behind it");
        }
        Keys::Found { first: 0, .. } => return "as its words say".into(),
        Keys::Found { first, .. } => return format!("{first}, and as its words say"),
    };
    match last {
        -1 => format!("{first}, {}, ...", first + step),
        last if last < 0 => format!("{first}, {}, ... up to word {last} from the end", first + step),
        last => {
            let words: Vec<String> = (first..=last.unsigned_abs())
                .step_by(usize::from(step))
                .map(|word| word.to_string())
                .collect();
            words.join(", ")
        }
    }
}

fn table_row(cells: &[&str]) -> String {
    let mut row = String::from("|");
    for cell in cells {
        write!(row, " {cell} |").expect("a String takes everything");
    }
    row + "\n"
}

/// Text that a Markdown table shows as it is.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if matches!(c, '|' | '*' | '_' | '<' | '`' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

// ----------------------------------------------------------------------------------------------------------
// Documents and the help
// ----------------------------------------------------------------------------------------------------------

fn is_update() -> bool {
    std::env::var("COREVAULT_UPDATE").is_ok_and(|value| value == "1")
}

/// A flag, and the default that the help names.
struct Flag {
    name: String,
    default: String,
}

/// The flags that `corevault --help` describes, but those every program has.
fn flags() -> Vec<Flag> {
    let ran = Process::new(env!("CARGO_BIN_EXE_corevault")).arg("--help").output().expect("the program runs");
    let help = String::from_utf8(ran.stdout).expect("the help is text");
    let mut flags: Vec<(String, String)> = Vec::new();
    for line in help.lines().map(str::trim) {
        let line = line.strip_prefix("-h, ").or_else(|| line.strip_prefix("-V, ")).unwrap_or(line);
        if let Some(name) = line.split([' ', '=']).next().filter(|word| word.starts_with("--")) {
            flags.push((name.to_owned(), String::new()));
        } else if let Some((_, description)) = flags.last_mut() {
            *description += line;
            *description += " ";
        }
    }
    flags.retain(|(name, _)| !matches!(name.as_str(), "--help" | "--version"));
    let default = |description: &str| {
        let (_, rest) = description.split_once("[default: ")?;
        Some(rest.split_once(']')?.0.to_owned())
    };
    flags
        .into_iter()
        .map(|(name, description)| Flag { name, default: default(&description).unwrap_or_default() })
        .collect()
}

/// The rows of Markdown tables whose first cell is `name` in backticks.
fn rows_of<'t>(text: &'t str, name: &'t str) -> impl Iterator<Item = &'t str> {
    text.lines().filter(move |line| first_cell(line) == Some(name))
}

fn first_cells(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(first_cell)
}

/// The first word of a table row's first cell, which is in backticks.
fn first_cell(line: &str) -> Option<&str> {
    let inside = line.strip_prefix("| `")?.split('`').next()?;
    inside.split(' ').next()
}

fn path(document: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(document)
}

fn read(document: &str) -> String {
    fs::read_to_string(path(document)).unwrap_or_else(|error| panic!("{document}: {error}"))
}
