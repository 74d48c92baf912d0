//! Reads the tree as text and fails on what no compiler checks: layers, file headers, where `unsafe`, clocks
//! and io_uring may be named, file lengths, widths of comments, leftovers, links, and names of places outside the
//! repository.
//!
//! Every rule is a pure function from a file's text to its offences, with a test that plants an offence and
//! sees it caught. The rules over the tree print every offence before they fail. An exception is a row in a
//! table with its reason, and a row that no longer excuses anything is itself an offence.

use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};
use std::sync::LazyLock;

// ----------------------------------------------------------------------------------------------------------
// What the rules say
// ----------------------------------------------------------------------------------------------------------

/// The layers: a module names only modules of a lower level, or itself. Two modules of one level do not know
/// each other. `lib` is the crate's root file, which declares the modules and may re-export any of them.
const LAYERS: &[(u32, &[&str])] = &[
    (7, &["lib"]),
    (6, &["main", "server"]),
    (5, &["net", "cluster", "plugin", "http"]),
    (4, &["shard"]),
    (3, &["commands", "persist"]),
    (2, &["store"]),
    (1, &["resp", "acl", "metrics", "config"]),
    (0, &["base", "sys"]),
];

/// A file that may break one rule in one way, and why. `subject` is what the offence is about, as the printed
/// offence shows it in brackets: the module, the name or the rule's own word.
struct Exception {
    path: &'static str,
    subject: &'static str,
    reason: &'static str,
}

const LAYER_EXCEPTIONS: &[Exception] = &[];
const HEADER_EXCEPTIONS: &[Exception] = &[];
const UNSAFE_EXCEPTIONS: &[Exception] = &[];
const CLOCK_EXCEPTIONS: &[Exception] = &[];
const DRIVER_EXCEPTIONS: &[Exception] = &[];
const LENGTH_EXCEPTIONS: &[Exception] = &[];
const WIDTH_EXCEPTIONS: &[Exception] = &[];
const LEFTOVER_EXCEPTIONS: &[Exception] = &[];
const LINK_EXCEPTIONS: &[Exception] = &[];
const PLACE_EXCEPTIONS: &[Exception] = &[];

/// A shorter file is not better; one file where everything ends up is what this keeps away.
const FILE_LINES_MAX: usize = 800;

/// Formatting keeps code narrower, but leaves comments alone.
const COMMENT_COLUMNS_MAX: usize = 140;

/// A `// SAFETY:` comment ends at most this many lines above the `unsafe` it is about.
const SAFETY_DISTANCE_LINES_MAX: usize = 3;

/// Fewer words than this before the full stop are a label, not a sentence.
const HEADER_WORDS_MIN: usize = 4;

const HEADER_ROOTS: &[&str] = &["src/", "loadtest/src/", "plugins/", "tests/", "benches/"];
const UNSAFE_HOMES: &[&str] = &["src/sys/", "src/sys.rs", "src/plugin/", "src/plugin.rs", "plugins/sdk/"];

/// Modules whose functions are handed the time and the seed, so that a run can be repeated exactly.
const CLOCKLESS_MODULES: &[&str] =
    &["base", "resp", "store", "commands", "persist", "shard", "acl", "config", "metrics"];
const CLOCKS: &[&str] = &["Instant::now", "SystemTime::now", "thread_rng", "rand::"];

const DRIVER_HOMES: &[&str] = &[
    "src/net/",
    "src/net.rs",
    "src/sys/",
    "src/sys.rs",
    "src/server/",
    "src/server.rs",
    "src/main.rs",
    "src/persist/writer",
];
const DRIVERS: &[&str] = &["glommio", "io_uring"];

const LEFTOVER_WORDS: &[&str] = &["TODO", "FIXME", "XXX"];
const LEFTOVER_MACROS: &[&str] = &["dbg", "unimplemented", "todo"];

/// Written in two pieces, so that this file does not name what it forbids.
const OUTSIDE_PLACES: &[&str] = &[
    concat!("../sha", "red"),
    concat!("/wo", "rk/"),
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("npm", "js"),
    concat!("deb.", "debian.org"),
];

const PROSE_AND_CODE_SUFFIXES: &[&str] =
    &[".rs", ".md", ".toml", ".sh", ".yml", ".yaml", ".py", ".lua", ".c", ".h", ".js", ".css", ".html"];

// ----------------------------------------------------------------------------------------------------------
// The rules over the tree
// ----------------------------------------------------------------------------------------------------------

#[test]
fn modules_import_only_from_layers_below() {
    check_tree("layers", LAYER_EXCEPTIONS, |file| layer_offences(&file.path, &file.text));
}

#[test]
fn every_rust_file_says_what_it_is() {
    check_tree("headers", HEADER_EXCEPTIONS, |file| {
        if !file.is_rust() || !starts_with_any(&file.path, HEADER_ROOTS) {
            return Vec::new();
        }
        header_offences(&file.text)
    });
}

#[test]
fn unsafe_stays_at_home_and_is_explained() {
    check_tree("unsafe", UNSAFE_EXCEPTIONS, |file| {
        let mut offences = Vec::new();
        if file.is_rust() {
            offences.extend(unsafe_offences(&file.path, &file.text));
        }
        if file.path == "src/lib.rs" {
            offences.extend(crate_attribute_offences(&file.text));
        }
        offences
    });
}

#[test]
fn no_clock_or_dice_below_net() {
    check_tree("clock", CLOCK_EXCEPTIONS, |file| clock_offences(&file.path, &file.text));
}

#[test]
fn only_drivers_know_io_uring() {
    check_tree("driver", DRIVER_EXCEPTIONS, |file| driver_offences(&file.path, &file.text));
}

#[test]
fn no_file_holds_everything() {
    check_tree("length", LENGTH_EXCEPTIONS, |file| {
        if file.is_rust() && file.path.starts_with("src/") { length_offences(&file.text) } else { Vec::new() }
    });
}

#[test]
fn no_comment_runs_out_of_the_window() {
    check_tree("width", WIDTH_EXCEPTIONS, |file| {
        if file.is_rust() { width_offences(&file.text) } else { Vec::new() }
    });
}

#[test]
fn nothing_is_left_lying_about() {
    check_tree("leftovers", LEFTOVER_EXCEPTIONS, |file| {
        let mut offences = Vec::new();
        if file.path.starts_with("src/") && file.is_rust() {
            offences.extend(leftover_offences(&file.text));
        }
        if file.is_prose_or_code() {
            offences.extend(trailing_space_offences(&file.text));
        }
        offences
    });
}

#[test]
fn links_in_the_documentation_lead_somewhere() {
    let root = root();
    check_tree("links", LINK_EXCEPTIONS, |file| {
        let in_docs = file.path.starts_with("docs/") && file.path.ends_with(".md");
        if !in_docs && file.path != "README.md" && file.path != "tuning.md" {
            return Vec::new();
        }
        link_offences(&file.path, &file.text, |target| root.join(target).exists())
    });
}

#[test]
fn the_repository_stands_alone() {
    check_tree("places", PLACE_EXCEPTIONS, |file| {
        if file.path.rsplit('/').next() == Some("Cargo.lock") {
            Vec::new()
        } else {
            place_offences(&file.text)
        }
    });
}

// ----------------------------------------------------------------------------------------------------------
// Files, offences and the report
// ----------------------------------------------------------------------------------------------------------

struct SourceFile {
    /// Relative to the repository root, with `/` between the parts.
    path: String,
    /// Bytes that are not UTF-8 are replaced: the rules look for ASCII.
    text: String,
}

impl SourceFile {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Raw results of measurements are kept as the tools printed them.
    fn is_prose_or_code(&self) -> bool {
        let raw_result = self.path.starts_with("loadtest/runs/") && !self.path.ends_with(".md");
        let script = self.path.starts_with("scripts/") || self.path.starts_with(".ci/");
        !raw_result && (script || PROSE_AND_CODE_SUFFIXES.iter().any(|suffix| self.path.ends_with(suffix)))
    }
}

#[derive(Debug)]
struct Offence {
    line: usize,
    subject: String,
    /// What is wrong and what to do about it.
    message: String,
}

impl Offence {
    fn new(line: usize, subject: impl Into<String>, message: impl Into<String>) -> Offence {
        Offence { line, subject: subject.into(), message: message.into() }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of the tree but what tools leave there: builds, repositories, data directories, profiles.
fn tree() -> &'static [SourceFile] {
    static TREE: LazyLock<Vec<SourceFile>> = LazyLock::new(|| {
        let mut files = Vec::new();
        read_tree(root(), "", &mut files);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files
    });
    &TREE
}

fn read_tree(directory: &Path, prefix: &str, files: &mut Vec<SourceFile>) {
    let entries = std::fs::read_dir(directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    for entry in entries {
        let entry = entry.unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
        let Ok(name) = entry.file_name().into_string() else {
            panic!("{}: a file name that is not UTF-8", entry.path().display());
        };
        let path = format!("{prefix}{name}");
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            let left_by_tools = matches!(name.as_str(), ".git" | "target" | "__pycache__")
                || matches!(path.as_str(), "data" | "corevault-data");
            if !left_by_tools {
                read_tree(&entry.path(), &format!("{path}/"), files);
            }
        } else if kind.is_file() && !name.ends_with(".profraw") && !name.starts_with("perf.data") {
            // A file that a test beside this one has just removed is no business of ours.
            let Ok(bytes) = std::fs::read(entry.path()) else { continue };
            // A program that somebody has built or copied here is no text of ours.
            if bytes.starts_with(b"\x7fELF") {
                continue;
            }
            files.push(SourceFile { path, text: String::from_utf8_lossy(&bytes).into_owned() });
        }
    }
}

fn check_tree(rule: &str, exceptions: &[Exception], check: impl Fn(&SourceFile) -> Vec<Offence>) {
    let files = tree();
    assert!(files.iter().any(|file| file.path == "src/lib.rs"), "no src/lib.rs below {}", root().display());
    let (report, count) = report(rule, exceptions, files, check);
    assert!(count == 0, "{rule}: {count} offence(s)\n{report}");
}

/// Runs one rule over the files: each offence that no exception excuses is a line, and so is each exception
/// that excuses nothing or does not say why.
fn report(
    rule: &str,
    exceptions: &[Exception],
    files: &[SourceFile],
    check: impl Fn(&SourceFile) -> Vec<Offence>,
) -> (String, usize) {
    let mut report = String::new();
    let mut count = 0;
    let mut used = vec![false; exceptions.len()];
    for file in files {
        for Offence { line, subject, message } in check(file) {
            let excuse = exceptions.iter().position(|e| e.path == file.path && e.subject == subject);
            if let Some(row) = excuse {
                used[row] = true;
                continue;
            }
            count += 1;
            writeln!(report, "{}:{line}: [{subject}] {message}", file.path)
                .expect("a String takes any write");
        }
    }
    for (exception, used) in exceptions.iter().zip(used) {
        let Exception { path, subject, reason } = exception;
        let complaint = match (used, reason.split_whitespace().count() >= HEADER_WORDS_MIN) {
            (false, _) => "excuses nothing any more: remove the row",
            (true, false) => "gives no reason: write why in a sentence",
            (true, true) => continue,
        };
        count += 1;
        writeln!(report, "{path}:1: [{subject}] its exception to the rule '{rule}' {complaint}")
            .expect("a String takes any write");
    }
    (report, count)
}

fn starts_with_any(path: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| path.starts_with(prefix))
}

// ----------------------------------------------------------------------------------------------------------
// Reading Rust: just enough to tell code from comments and strings
// ----------------------------------------------------------------------------------------------------------

/// A Rust text taken apart into two of the same shape: line and column of what is kept do not move, all else
/// is blank. String and character literals are in neither.
struct Split {
    code: String,
    comments: String,
}

fn split_rust(text: &str) -> Split {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut split = Split { code: String::new(), comments: String::new() };
    let mut i = 0;
    while i < chars.len() {
        let word_before = i > 0 && is_word(chars[i - 1]);
        let (end, kind) = match at(i) {
            '/' if at(i + 1) == '/' => (line_comment_end(&chars, i), Kind::Comment),
            '/' if at(i + 1) == '*' => (block_comment_end(&chars, i), Kind::Comment),
            '"' => (quoted_end(&chars, i), Kind::Literal),
            '\'' if at(i + 1) == '\\' || (at(i + 2) == '\'' && at(i + 1) != '\'') => {
                (quoted_end(&chars, i), Kind::Literal)
            }
            'r' if !word_before => raw_string_end(&chars, i),
            'b' | 'c' if !word_before && at(i + 1) == 'r' => raw_string_end(&chars, i + 1),
            _ => (i + 1, Kind::Code),
        };
        for &c in &chars[i..end] {
            let blank = if c == '\n' { '\n' } else { ' ' };
            split.code.push(if kind == Kind::Code { c } else { blank });
            split.comments.push(if kind == Kind::Comment { c } else { blank });
        }
        i = end;
    }
    split
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Code,
    Comment,
    Literal,
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn line_comment_end(chars: &[char], start: usize) -> usize {
    chars[start..].iter().position(|&c| c == '\n').map_or(chars.len(), |length| start + length)
}

/// Block comments nest in Rust.
fn block_comment_end(chars: &[char], start: usize) -> usize {
    let mut depth = 0;
    let mut i = start;
    while i < chars.len() {
        match (chars[i], chars.get(i + 1)) {
            ('/', Some('*')) => (depth, i) = (depth + 1, i + 2),
            ('*', Some('/')) => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    chars.len()
}

fn quoted_end(chars: &[char], start: usize) -> usize {
    let mut i = start + 1;
    while i < chars.len() && chars[i] != chars[start] {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    (i + 1).min(chars.len())
}

/// `start` is at the `r`. What turns out to be a word such as `r#type` or `result` is code: the caller goes
/// on after its first letter.
fn raw_string_end(chars: &[char], start: usize) -> (usize, Kind) {
    let hashes = chars[start + 1..].iter().take_while(|&&c| c == '#').count();
    let open = start + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return (start + 1, Kind::Code);
    }
    let closes = |i: usize| {
        chars[i] == '"' && chars.len() > i + hashes && chars[i + 1..i + 1 + hashes].iter().all(|&c| c == '#')
    };
    let close = (open + 1..chars.len()).find(|&i| closes(i));
    (close.map_or(chars.len(), |i| i + 1 + hashes), Kind::Literal)
}

struct Token<'t> {
    text: &'t str,
    line: usize,
}

/// Words, `::`, and everything else one character at a time. `r#type` is the word `type`.
fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    for (number, line) in code.split('\n').enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = if is_word(first) {
                rest.find(|c| !is_word(c)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            let raw_word = &rest[..length] == "r" && rest[length..].starts_with('#');
            if !raw_word {
                tokens.push(Token { text: &rest[..length], line: number + 1 });
            }
            rest = rest[length + usize::from(raw_word)..].trim_start();
        }
    }
    tokens
}

/// The lines on which `needle` stands as whole words; a needle that ends in `::` may be followed by a word.
fn lines_naming(text: &str, needle: &str) -> Vec<usize> {
    let closed = needle.ends_with(is_word);
    let mut lines = Vec::new();
    for (number, line) in text.split('\n').enumerate() {
        let named = line.match_indices(needle).any(|(at, _)| {
            let word_before = line[..at].ends_with(is_word);
            let word_after = closed && line[at + needle.len()..].starts_with(is_word);
            !word_before && !word_after
        });
        if named {
            lines.push(number + 1);
        }
    }
    lines
}

// ----------------------------------------------------------------------------------------------------------
// Layers
// ----------------------------------------------------------------------------------------------------------

fn level_of(module: &str) -> Option<u32> {
    LAYERS.iter().find(|(_, modules)| modules.contains(&module)).map(|&(level, _)| level)
}

/// `src/store/list/pack.rs` belongs to `store` and is three modules deep; `src/store/mod.rs` is one deep.
fn module_of(path: &str) -> Option<(&str, usize)> {
    let inside = path.strip_prefix("src/")?.strip_suffix(".rs")?;
    let inside = inside.strip_suffix("/mod").unwrap_or(inside);
    let depth = if matches!(inside, "lib" | "main") { 0 } else { inside.split('/').count() };
    inside.split('/').next().map(|module| (module, depth))
}

fn layer_offences(path: &str, text: &str) -> Vec<Offence> {
    let Some((module, depth)) = module_of(path) else { return Vec::new() };
    let Some(level) = level_of(module) else {
        let advice =
            "is in no layer: put it into a listed module, or give it a level in LAYERS in tests/tidy.rs";
        return vec![Offence::new(1, module, format!("module `{module}` {advice}"))];
    };
    let mut offences = Vec::new();
    for RootName { name, line } in root_names(&split_rust(text).code, depth) {
        let message = match level_of(name) {
            _ if name == module => continue,
            Some(below) if below < level => continue,
            Some(other) => format!(
                "`{module}` (level {level}) names `{name}` (level {other}): move what it needs to a lower \
                 layer, or let a higher layer hand it over"
            ),
            None if matches!(name, "*" | "self" | "as") => {
                "imports the crate's root, which hides the layers: name the module".to_string()
            }
            None => format!("names `{name}`, which is in no layer: name it through the module that holds it"),
        };
        offences.push(Offence::new(line, name, message));
    }
    offences
}

/// A name looked up at the crate's root: the `x` of `crate::x`, or of a `super::` chain that climbs there.
struct RootName<'t> {
    name: &'t str,
    line: usize,
}

fn root_names(code: &str, file_depth: usize) -> Vec<RootName<'_>> {
    let tokens = tokens(code);
    let word = |i: usize| tokens.get(i).map_or("", |token: &Token<'_>| token.text);
    let mut names = Vec::new();
    let mut braces = 0;
    let mut inline_modules: Vec<usize> = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        let starts_path = i == 0 || word(i - 1) != "::" || (i > 1 && word(i - 2) == "self");
        match word(i) {
            "{" => {
                if i > 1 && word(i - 2) == "mod" {
                    inline_modules.push(braces);
                }
                braces += 1;
            }
            "}" => {
                braces = braces.saturating_sub(1);
                if inline_modules.last() == Some(&braces) {
                    inline_modules.pop();
                }
            }
            "crate" if starts_path && matches!(word(i + 1), "::" | "as") => {
                i = collect_names(&tokens, i + 1, 0, &mut names);
                continue;
            }
            "super" if starts_path => {
                let depth = file_depth + inline_modules.len();
                i = collect_names(&tokens, i + 1, depth.saturating_sub(1), &mut names);
                continue;
            }
            _ => {}
        }
        i += 1;
    }
    names
}

/// Reads the rest of a path whose part so far names a module `depth` deep; `i` is where a `::` may follow.
/// Returns where to go on reading.
fn collect_names<'t>(tokens: &[Token<'t>], i: usize, depth: usize, names: &mut Vec<RootName<'t>>) -> usize {
    let word = |i: usize| tokens.get(i).map_or("", |token| token.text);
    if depth == 0 && word(i) == "as" {
        names.push(RootName { name: "as", line: tokens[i].line });
    }
    if word(i) != "::" || i + 1 >= tokens.len() {
        return i;
    }
    if word(i + 1) != "{" {
        return collect_item(tokens, i + 1, depth, names);
    }
    let mut i = i + 2;
    let mut braces = 1;
    let mut item_starts = true;
    while i < tokens.len() && braces > 0 {
        if item_starts && !matches!(word(i), "{" | "}" | ",") {
            i = collect_item(tokens, i, depth, names);
            item_starts = false;
            continue;
        }
        match word(i) {
            "{" => braces += 1,
            "}" => braces -= 1,
            "," => item_starts = braces == 1,
            _ => {}
        }
        i += 1;
    }
    i
}

/// `i` is at the first word of a path that is looked up in a module `depth` deep.
fn collect_item<'t>(tokens: &[Token<'t>], i: usize, depth: usize, names: &mut Vec<RootName<'t>>) -> usize {
    let Token { text, line } = tokens[i];
    if text == "super" {
        return collect_names(tokens, i + 1, depth.saturating_sub(1), names);
    }
    if depth == 0 {
        names.push(RootName { name: text, line });
    }
    i + 1
}

// ----------------------------------------------------------------------------------------------------------
// Headers
// ----------------------------------------------------------------------------------------------------------

fn header_offences(text: &str) -> Vec<Offence> {
    let advice = "begin the file with `//!` and a sentence on what it owns and what it never does";
    let header: Vec<&str> = text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim).collect();
    if header.is_empty() {
        return vec![Offence::new(1, "header", advice)];
    }
    let first_paragraph = header
        .split(|line| line.is_empty() || line.starts_with('#'))
        .find(|paragraph| !paragraph.is_empty())
        .map(|paragraph| paragraph.join(" "))
        .unwrap_or_default();
    if has_sentence(&first_paragraph) {
        return Vec::new();
    }
    vec![Offence::new(1, "header", format!("its header has no full sentence: {advice}"))]
}

/// A full stop after enough words to say something. It may stand inside a closing bracket or quotation mark.
fn has_sentence(paragraph: &str) -> bool {
    let ends = |word: &str| {
        let word = word.trim_end_matches([')', ']', '"', '\'', '`', '*', '_']);
        word.ends_with(['.', '!', '?'])
    };
    paragraph
        .split_whitespace()
        .enumerate()
        .any(|(before, word)| before + 1 >= HEADER_WORDS_MIN && ends(word))
}

// ----------------------------------------------------------------------------------------------------------
// Unsafe
// ----------------------------------------------------------------------------------------------------------

fn unsafe_offences(path: &str, text: &str) -> Vec<Offence> {
    let split = split_rust(text);
    if !starts_with_any(path, UNSAFE_HOMES) {
        let advice =
            "`unsafe` lives in src/sys, src/plugin and plugins/sdk: put a safe function there and call it";
        return lines_naming(&split.code, "unsafe")
            .into_iter()
            .map(|line| Offence::new(line, "unsafe", advice))
            .collect();
    }
    let tokens = tokens(&split.code);
    let mut lines: Vec<usize> = tokens
        .windows(2)
        .filter(|pair| pair[0].text == "unsafe" && matches!(pair[1].text, "{" | "impl"))
        .map(|pair| pair[0].line)
        .collect();
    lines.dedup();
    let mut comments = safety_comments(&split);
    let mut covered_line = 0;
    let mut offences = Vec::new();
    for line in lines {
        // A comment speaks for the nearest `unsafe` below it; one line directly under that shares it.
        let own = comments.iter().rposition(|&end| end < line && line - end <= SAFETY_DISTANCE_LINES_MAX);
        if let Some(own) = own {
            comments.drain(..=own);
            covered_line = line;
        } else if covered_line > 0 && covered_line + 1 == line {
            covered_line = 0;
        } else {
            let message = format!(
                "no `// SAFETY:` comment of its own in the {SAFETY_DISTANCE_LINES_MAX} lines above: \
                 name the check that makes this true"
            );
            offences.push(Offence::new(line, "SAFETY", message));
        }
    }
    offences
}

/// The last line of each comment block that has a `// SAFETY:` in it: a long reason is as near as a short.
fn safety_comments(split: &Split) -> Vec<usize> {
    let lines: Vec<(&str, &str)> = split.comments.split('\n').zip(split.code.split('\n')).collect();
    let continues =
        |&(comment, code): &(&str, &str)| comment.trim().starts_with("//") && code.trim().is_empty();
    let mut ends = Vec::new();
    for (number, (comment, _)) in lines.iter().enumerate() {
        if comment.contains("// SAFETY:") {
            let more = lines[number + 1..]
                .iter()
                .take_while(|line| continues(line) && !line.0.contains("// SAFETY:"))
                .count();
            ends.push(number + 1 + more);
        }
    }
    ends
}

fn crate_attribute_offences(text: &str) -> Vec<Offence> {
    let code: String = split_rust(text).code.chars().filter(|c| !c.is_whitespace()).collect();
    if code.contains("#![deny(unsafe_op_in_unsafe_fn)]") {
        return Vec::new();
    }
    let message =
        "add `#![deny(unsafe_op_in_unsafe_fn)]`: an unsafe function's body is checked like any other";
    vec![Offence::new(1, "unsafe_op_in_unsafe_fn", message)]
}

// ----------------------------------------------------------------------------------------------------------
// Clock, drivers, length
// ----------------------------------------------------------------------------------------------------------

fn clock_offences(path: &str, text: &str) -> Vec<Offence> {
    let clockless = module_of(path).is_some_and(|(module, _)| CLOCKLESS_MODULES.contains(&module));
    if !clockless {
        return Vec::new();
    }
    let advice = "reads a clock or rolls dice below `net`: take `now_ms` or the seed as an argument";
    offences_naming(&split_rust(text).code, CLOCKS, advice)
}

fn driver_offences(path: &str, text: &str) -> Vec<Offence> {
    if module_of(path).is_none() || starts_with_any(path, DRIVER_HOMES) {
        return Vec::new();
    }
    let advice = "only the driver (src/net, src/sys, src/server.rs, src/main.rs, src/persist/writer*) knows \
                  it: emit an output for the driver to perform";
    offences_naming(&split_rust(text).code, DRIVERS, advice)
}

fn offences_naming(text: &str, needles: &[&str], advice: &str) -> Vec<Offence> {
    let mut offences = Vec::new();
    for needle in needles {
        for line in lines_naming(text, needle) {
            offences.push(Offence::new(line, *needle, advice));
        }
    }
    offences.sort_by_key(|offence| offence.line);
    offences
}

fn length_offences(text: &str) -> Vec<Offence> {
    let lines = text.lines().count();
    if lines <= FILE_LINES_MAX {
        return Vec::new();
    }
    let message = format!("has {lines} lines, at most {FILE_LINES_MAX} may be: split it along what it owns");
    vec![Offence::new(lines, "length", message)]
}

/// Lines that are comments (`//`, `///`, `//!`). One behind code is part of a line that formatting looks after.
fn width_offences(text: &str) -> Vec<Offence> {
    let mut offences = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let columns = line.chars().count();
        if line.trim_start().starts_with("//") && columns > COMMENT_COLUMNS_MAX {
            let message = format!("a comment of {columns} columns, at most {COMMENT_COLUMNS_MAX}: wrap it");
            offences.push(Offence::new(number + 1, "width", message));
        }
    }
    offences
}

// ----------------------------------------------------------------------------------------------------------
// Leftovers, links, places
// ----------------------------------------------------------------------------------------------------------

fn leftover_offences(text: &str) -> Vec<Offence> {
    let mut offences = offences_naming(text, LEFTOVER_WORDS, "finish it, or file it where work is tracked");
    let split = split_rust(text);
    for three in tokens(&split.code).windows(3) {
        let Token { text: name, line } = three[0];
        let called = three[1].text == "!" && three[2].text != "=";
        if called && LEFTOVER_MACROS.contains(&name) {
            let message =
                "remove it: what can happen gets an error, what cannot gets an assert that says why";
            offences.push(Offence::new(line, name, message));
        }
    }
    offences
}

fn trailing_space_offences(text: &str) -> Vec<Offence> {
    let ends_in_space = |line: &str| line.ends_with(|c: char| c.is_whitespace());
    text.split('\n')
        .enumerate()
        .filter(|(_, line)| ends_in_space(line))
        .map(|(number, _)| Offence::new(number + 1, "space", "white space at the end of the line: remove it"))
        .collect()
}

fn link_offences(path: &str, text: &str, exists: impl Fn(&Path) -> bool) -> Vec<Offence> {
    let folder = Path::new(path).parent().unwrap_or(Path::new(""));
    let mut offences = Vec::new();
    for (line, target) in markdown_targets(text) {
        let file = target.split(['#', '?']).next().unwrap_or_default();
        let elsewhere = target.contains("://") || target.starts_with("mailto:");
        if file.is_empty() || elsewhere {
            continue;
        }
        let message = match inside_repository(folder, file) {
            None => "leads out of the repository: link to a file in it",
            Some(inside) if !exists(&inside) => "leads to no file: mend the path, relative to this document",
            Some(_) => continue,
        };
        offences.push(Offence::new(line, target, message));
    }
    offences
}

/// The targets of `[text](target)`, `![text](target "title")` and `[label]: target`, outside of code.
fn markdown_targets(text: &str) -> Vec<(usize, String)> {
    let mut targets = Vec::new();
    let mut fence: Option<&str> = None;
    for (number, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| trimmed.starts_with(mark));
        if let Some(mark) = mark {
            fence = match fence {
                None => Some(mark),
                Some(open) if open == mark => None,
                Some(open) => Some(open),
            };
            continue;
        }
        if fence.is_some() {
            continue;
        }
        // What stands between backticks is code: every second piece.
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        let inline = prose.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
        let definition = prose
            .trim_start()
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("]:"))
            .and_then(|(_, rest)| rest.split_whitespace().next());
        for target in inline.chain(definition) {
            targets.push((number + 1, target.trim_matches(['<', '>']).to_string()));
        }
    }
    targets
}

/// The path that a link in a document of `folder` means, from the root; nothing if it climbs above the root.
fn inside_repository(folder: &Path, link: &str) -> Option<PathBuf> {
    let mut inside = PathBuf::new();
    for part in folder.join(link).components() {
        match part {
            Component::Normal(name) => inside.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !inside.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(inside)
}

fn place_offences(text: &str) -> Vec<Offence> {
    let mut offences = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let lower = line.to_ascii_lowercase();
        for place in OUTSIDE_PLACES {
            // A path that starts at the root: `network/work/` is none, so a name may not stand before it.
            let part_of_longer_path = |at: usize| {
                place.starts_with('/')
                    && lower[..at].ends_with(|c: char| is_word(c) || matches!(c, '.' | '-'))
            };
            if lower.match_indices(place).any(|(at, _)| !part_of_longer_path(at)) {
                let message = "names a place that a reader of this repository does not have: say it without";
                offences.push(Offence::new(number + 1, *place, message));
            }
        }
    }
    offences
}

// ----------------------------------------------------------------------------------------------------------
// Each rule catches what is planted, and nothing beside it
// ----------------------------------------------------------------------------------------------------------

/// The offences as `line subject`, in the order found.
fn seen(offences: Vec<Offence>) -> Vec<String> {
    offences.into_iter().map(|offence| format!("{} {}", offence.line, offence.subject)).collect()
}

/// Tests of a rule call this so that an expected list reads as a list.
fn check(offences: Vec<Offence>, expected: &[&str]) {
    assert_eq!(seen(offences), expected);
}

mod lexer {
    use super::{split_rust, tokens};

    #[test]
    fn keeps_code_and_comments_apart() {
        let cases = [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            (r#"f("x // \" y", b"z") g"#, "f(           , b   ) g"),
            (r##"f(r#"x " y"#) g"##, "f(          ) g"),
            (r##"f(br#"x"#, cr"y") g"##, "f(       ,      ) g"),
            (r"f('x', '\'', '\u{41}', b'/') g", "f(   ,     ,         , b   ) g"),
            ("fn f<'a>(x: &'a str, y: &'static u8) g", "fn f<'a>(x: &'a str, y: &'static u8) g"),
            ("r#type result br r", "r#type result br r"),
            ("'\"' a '\"'", "    a    "),
            ("\"two\nlines\" a", "    \n       a"),
            ("\"never closed", "             "),
            ("/* never closed", "               "),
        ];
        for (text, code) in cases {
            let split = split_rust(text);
            assert_eq!(split.code, code, "the code of {text:?}");
            assert_eq!(split.comments.chars().count(), text.chars().count(), "the shape of {text:?}");
        }
        assert_eq!(split_rust("a // b \"c\"").comments, "  // b \"c\"");
    }

    #[test]
    fn cuts_words_paths_and_signs() {
        let texts: Vec<&str> =
            tokens("use crate::{r#type, b_2};\n&'a").iter().map(|token| token.text).collect();
        assert_eq!(texts, ["use", "crate", "::", "{", "type", ",", "b_2", "}", ";", "&", "'", "a"]);
    }
}

mod layers {
    use super::{LAYERS, check, layer_offences};

    #[test]
    fn lower_layers_and_the_own_module_are_fine() {
        let text =
            "use crate::store::Keyspace;\nuse crate::commands::table;\nfn f() { crate::base::limits(); }";
        check(layer_offences("src/commands/string/set.rs", text), &[]);
        check(layer_offences("src/lib.rs", "pub use crate::server::run;"), &[]);
        check(layer_offences("benches/parse.rs", "use crate::anything;"), &[]);
    }

    #[test]
    fn higher_and_equal_layers_are_caught() {
        check(layer_offences("src/store/list.rs", "use crate::commands::Cx;"), &["1 commands"]);
        check(layer_offences("src/store.rs", "\nuse crate::net;"), &["2 net"]);
        check(layer_offences("src/base/clock.rs", "use crate::sys::now;"), &["1 sys"]);
        check(layer_offences("src/sys/ring.rs", "use crate::base::limits;"), &["1 base"]);
        check(layer_offences("src/resp/parse.rs", "fn f(m: &crate::metrics::M) {}"), &["1 metrics"]);
        check(
            layer_offences("src/persist/mod.rs", "macro_rules! m { () => { $crate::shard::f() } }"),
            &["1 shard"],
        );
        check(layer_offences("src/shard/a.rs", "pub use crate :: net as network;"), &["1 net"]);
    }

    #[test]
    fn groups_of_several_lines_are_read() {
        let text = "use crate::{\n base::{limits, net},\n net::{self, Ring},\n store, shard::Shard as S,\n};";
        check(layer_offences("src/store/a.rs", text), &["3 net", "4 shard"]);
        check(layer_offences("src/store/a.rs", "use {std::io, crate::{acl, http}};"), &["1 http"]);
    }

    #[test]
    fn tests_inside_a_file_are_not_exempt() {
        let text = "#[cfg(test)]\nmod tests {\n    use crate::shard::Shard;\n}";
        check(layer_offences("src/store/a.rs", text), &["3 shard"]);
    }

    #[test]
    fn a_chain_of_super_does_not_slip_through() {
        check(layer_offences("src/store/a.rs", "use super::super::net::Ring;"), &["1 net"]);
        check(layer_offences("src/store/a.rs", "use super::{b, super::net};"), &["1 net"]);
        check(layer_offences("src/store/mod.rs", "fn f() { self::super::net::f() }"), &["1 net"]);
        check(layer_offences("src/store/a.rs", "use super::net;"), &[]);
        check(layer_offences("src/store/a/b.rs", "use super::super::net;"), &[]);
        let nested =
            "mod t {\n use super::super::net;\n use super::super::super::net;\n}\nuse super::super::acl;";
        check(layer_offences("src/base/a.rs", nested), &["3 net", "5 acl"]);
    }

    #[test]
    fn the_root_itself_and_unknown_modules_are_caught() {
        check(layer_offences("src/net/a.rs", "use crate::*;"), &["1 *"]);
        check(layer_offences("src/net/a.rs", "use crate as root;"), &["1 as"]);
        check(layer_offences("src/net/a.rs", "use crate::{self as root, base};"), &["1 self"]);
        check(layer_offences("src/net/a.rs", "use crate::Helper;"), &["1 Helper"]);
        check(layer_offences("src/utils.rs", ""), &["1 utils"]);
    }

    #[test]
    fn comments_strings_and_visibilities_do_not_count() {
        let text = "//! See [`crate::net`].\n/* crate::net */\npub(crate) fn f() { g(\"crate::net\", r\"crate::a\") }";
        check(layer_offences("src/store/a.rs", text), &[]);
    }

    #[test]
    fn a_module_has_one_level() {
        let mut modules: Vec<&str> = LAYERS.iter().flat_map(|(_, modules)| modules.iter().copied()).collect();
        modules.sort_unstable();
        let count = modules.len();
        modules.dedup();
        assert_eq!(modules.len(), count);
    }
}

mod headers {
    use super::{check, header_offences};

    #[test]
    fn a_sentence_passes() {
        check(header_offences("//! Owns the segment. Never looks at keys.\n"), &[]);
        check(
            header_offences("//! GETDEL key — return the value\n//! and remove the key (in one step.)\n"),
            &[],
        );
        check(header_offences("//! # Ring\n//!\n//! Owns the one ring.\n"), &[]);
    }

    #[test]
    fn a_missing_or_empty_header_is_caught() {
        check(header_offences(""), &["1 header"]);
        check(header_offences("use std::io;\n//! Owns the one ring.\n"), &["1 header"]);
        check(header_offences("\n//! Owns the one ring.\n"), &["1 header"]);
        check(header_offences("/// Owns the one ring.\n"), &["1 header"]);
        check(header_offences("//! placeholder\n"), &["1 header"]);
        check(header_offences("//! Ring.\n"), &["1 header"]);
        check(
            header_offences("//! The ring of each shard\n//!\n//! More of it comes later.\n"),
            &["1 header"],
        );
    }
}

mod unsafe_code {
    use super::{check, crate_attribute_offences, unsafe_offences};

    #[test]
    fn away_from_home_it_is_caught() {
        let text = "// unsafe\nlet s = \"unsafe\";\nlet x = unsafe { f() };\nunsafe fn g() {}";
        check(unsafe_offences("src/store/a.rs", text), &["3 unsafe", "4 unsafe"]);
        check(unsafe_offences("tests/it/main.rs", "unsafe impl Send for X {}"), &["1 unsafe"]);
        check(unsafe_offences("src/system.rs", "unsafe { f() }"), &["1 unsafe"]);
        check(unsafe_offences("src/lib.rs", "#![deny(unsafe_op_in_unsafe_fn)]"), &[]);
    }

    #[test]
    fn at_home_it_needs_a_reason() {
        check(unsafe_offences("src/sys/a.rs", "unsafe { f() }"), &["1 SAFETY"]);
        check(unsafe_offences("plugins/sdk/src/lib.rs", "unsafe\n{ f() }"), &["1 SAFETY"]);
        check(unsafe_offences("src/plugin/a.rs", "unsafe impl Send for X {}"), &["1 SAFETY"]);
        check(unsafe_offences("src/sys/a.rs", "let s = \"// SAFETY: no\";\nunsafe { f() }"), &["2 SAFETY"]);
        check(unsafe_offences("src/sys/a.rs", "unsafe { f() } // SAFETY: checked."), &["1 SAFETY"]);
        check(unsafe_offences("src/sys/a.rs", "// SAFETY: far.\n\n\n\nunsafe { f() }"), &["5 SAFETY"]);
        check(unsafe_offences("src/sys/a.rs", "// SAFETY: near.\n\n\nunsafe { f() }"), &[]);
        check(unsafe_offences("src/sys/a.rs", "unsafe fn g();\nunsafe extern \"C\" { }"), &[]);
    }

    #[test]
    fn a_long_reason_counts_from_its_end() {
        let text = "// SAFETY: one\n// two\n// three\n// four\nlet x =\n    unsafe { f() };";
        check(unsafe_offences("src/sys/a.rs", text), &[]);
    }

    #[test]
    fn one_reason_covers_one_line_and_the_next() {
        let pair = "// SAFETY: no threads.\nunsafe impl Send for X {}\nunsafe impl Sync for X {}\n";
        check(unsafe_offences("src/sys/a.rs", pair), &[]);
        let third = format!("{pair}unsafe impl Sync for Y {{}}");
        check(unsafe_offences("src/sys/a.rs", &third), &["4 SAFETY"]);
        let apart = "// SAFETY: in bounds.\nunsafe { f() };\n\nunsafe { g() };";
        check(unsafe_offences("src/sys/a.rs", apart), &["4 SAFETY"]);
        let each = "// SAFETY: a.\nunsafe { f() };\n// SAFETY: b.\nunsafe { g() };";
        check(unsafe_offences("src/sys/a.rs", each), &[]);
    }

    #[test]
    fn the_crate_denies_unchecked_bodies() {
        check(crate_attribute_offences("//! The crate.\n#![deny(unsafe_op_in_unsafe_fn)]\n"), &[]);
        check(
            crate_attribute_offences("// #![deny(unsafe_op_in_unsafe_fn)]\n"),
            &["1 unsafe_op_in_unsafe_fn"],
        );
        check(crate_attribute_offences("#![warn(unsafe_op_in_unsafe_fn)]\n"), &["1 unsafe_op_in_unsafe_fn"]);
    }
}

mod purity {
    use super::{
        COMMENT_COLUMNS_MAX, FILE_LINES_MAX, check, clock_offences, driver_offences, length_offences,
        width_offences,
    };

    #[test]
    fn clocks_and_dice_are_caught_below_net() {
        let text = "f(Instant::now());\nf(std::time::SystemTime::now());\nuse rand::Rng;\nf(thread_rng());";
        let all = ["1 Instant::now", "2 SystemTime::now", "3 rand::", "4 thread_rng"];
        for path in ["src/commands/time.rs", "src/base.rs", "src/persist/writer/a.rs", "src/config/mod.rs"] {
            check(clock_offences(path, text), &all);
        }
        for path in ["src/net/driver.rs", "src/server.rs", "src/sys/a.rs", "tests/it/main.rs"] {
            check(clock_offences(path, text), &[]);
        }
        let innocent =
            "// Instant::now\nlet operand = operand::new();\nlet s = \"rand::x\"; MyInstant::now_ms();";
        check(clock_offences("src/store/a.rs", innocent), &[]);
    }

    #[test]
    fn drivers_are_caught_outside_their_homes() {
        let text =
            "use glommio::Task;\nuse io_uring::IoUring;\n// glommio\nlet io_uring_depth = \"io_uring\";";
        let all = ["1 glommio", "2 io_uring"];
        for path in
            ["src/shard/a.rs", "src/persist/record.rs", "src/cluster.rs", "src/lib.rs", "src/network/a.rs"]
        {
            check(driver_offences(path, text), &all);
        }
        for path in
            ["src/net/a.rs", "src/sys/ring.rs", "src/server.rs", "src/main.rs", "src/persist/writer.rs"]
        {
            check(driver_offences(path, text), &[]);
        }
        check(driver_offences("src/persist/writer/aof.rs", text), &[]);
    }

    #[test]
    fn the_line_after_the_last_allowed_is_caught() {
        check(length_offences(&"x\n".repeat(FILE_LINES_MAX)), &[]);
        check(
            length_offences(&"x\n".repeat(FILE_LINES_MAX + 1)),
            &[&format!("{} length", FILE_LINES_MAX + 1)],
        );
    }

    #[test]
    fn the_column_after_the_last_allowed_is_caught() {
        for mark in ["//", "///", "//!", "    // \u{e4}"] {
            let fits = format!("{mark:x<COMMENT_COLUMNS_MAX$}");
            check(width_offences(&format!("{fits}\nlet a = 1;\n")), &[]);
            check(width_offences(&format!("let a = 1;\n{fits}x\n")), &["2 width"]);
        }
        check(width_offences(&format!("let a = \"{}\"; // b", "x".repeat(COMMENT_COLUMNS_MAX))), &[]);
    }
}

mod leftovers {
    use super::{SourceFile, check, leftover_offences, trailing_space_offences};

    #[test]
    fn marks_and_macros_are_caught() {
        let text = "// TODO: later\n// a FIXME\nlet s = \"XXX\";\ndbg!(x);\nunimplemented!();\ntodo !()";
        let marks = ["1 TODO", "2 FIXME", "3 XXX"];
        let macros = ["4 dbg", "5 unimplemented", "6 todo"];
        check(leftover_offences(text), &[marks, macros].concat());
        check(leftover_offences("// dbg! todo!\nlet XXXX = \"todo!\"; methodology(); todo != x;"), &[]);
        check(leftover_offences("// TODOS, XXXXXX\nassert!(mastodon!(x));"), &[]);
    }

    #[test]
    fn space_at_the_end_of_a_line_is_caught() {
        check(trailing_space_offences("a \nb\n\t\nc\r\nd"), &["1 space", "3 space", "4 space"]);
        check(trailing_space_offences("a\n\n  b\n"), &[]);
    }

    #[test]
    fn raw_results_keep_the_shape_their_tool_gave_them() {
        let read = |path: &str| SourceFile { path: path.into(), text: String::new() }.is_prose_or_code();
        assert!(
            read("src/lib.rs")
                && read("scripts/bench")
                && read(".ci/run")
                && read("loadtest/runs/a/README.md")
        );
        assert!(!read("loadtest/runs/a/out.toml") && !read("fuzz/corpus/a"));
    }
}

mod links {
    use super::{check, link_offences};
    use std::path::Path;

    fn only_formats(target: &Path) -> bool {
        target == Path::new("docs/formats.md")
    }

    #[test]
    fn dead_links_and_links_out_of_the_tree_are_caught() {
        let text = "[a](formats.md) [b](gone.md#x)\n[c](../../x.md) [d](../gone \"t\")\n[e]: none.md\n[f](/formats.md)";
        let dead = ["1 gone.md#x", "2 ../../x.md", "2 ../gone", "3 none.md", "4 /formats.md"];
        check(link_offences("docs/a.md", text, only_formats), &dead);
        check(
            link_offences("README.md", "[a](docs/formats.md#x) ![b](formats.md)", only_formats),
            &["1 formats.md"],
        );
    }

    #[test]
    fn other_sites_anchors_and_code_are_left_alone() {
        let text = "[a](https://example.com/x) [b](#here) [c](mailto:x@example.com) `[d](gone)`\n\
                    ```text\n[e](gone)\n~~~\n[f](gone)\n```\n[g](<formats.md>)";
        check(link_offences("docs/a.md", text, only_formats), &[]);
    }
}

mod places {
    use super::{OUTSIDE_PLACES, check, place_offences};

    #[test]
    fn every_place_is_caught() {
        for place in OUTSIDE_PLACES {
            check(place_offences(&format!("fine\nsee {place} there")), &[&format!("2 {place}")]);
            check(place_offences(&format!("\"{}\"", place.to_uppercase())), &[&format!("1 {place}")]);
        }
    }

    #[test]
    fn a_path_that_only_looks_like_one_passes() {
        check(place_offences("docs/work/plan.md, ./work/x, a/../work/x, shared/x, work/y"), &[]);
    }
}

mod exceptions {
    use super::{Exception, Offence, SourceFile, report};

    fn run(exceptions: &[Exception]) -> (String, usize) {
        let files = [SourceFile { path: "src/a.rs".into(), text: "planted".into() }];
        report("rule", exceptions, &files, |file| vec![Offence::new(7, "net", format!("{}.", file.text))])
    }

    #[test]
    fn an_offence_is_a_line_with_file_and_number() {
        assert_eq!(run(&[]), ("src/a.rs:7: [net] planted.\n".to_string(), 1));
    }

    #[test]
    fn an_exception_excuses_its_file_and_subject_only() {
        let reason = "the driver's trait lives here";
        assert_eq!(run(&[Exception { path: "src/a.rs", subject: "net", reason }]).1, 0);
        let (other_subject, count) = run(&[Exception { path: "src/a.rs", subject: "http", reason }]);
        assert_eq!(count, 2);
        assert!(other_subject.contains("excuses nothing"), "{other_subject}");
        assert_eq!(run(&[Exception { path: "src/b.rs", subject: "net", reason }]).1, 2);
    }

    #[test]
    fn an_exception_without_a_reason_is_caught() {
        let (report, count) = run(&[Exception { path: "src/a.rs", subject: "net", reason: "" }]);
        assert_eq!(count, 1);
        assert!(report.contains("no reason"), "{report}");
    }
}
