//! Owns the incremental request parser: multibulk and inline commands, as positions in the caller's buffer.
//! Never copies an argument, never waits, and never looks at a byte twice once its line is complete.
//!
//! Source: the Redis serialization protocol specification; error texts and limits are those of Redis 7.2's
//! `processMultibulkBuffer` and `processInlineBuffer`.

use crate::base::args::Span;
use crate::base::limits::{ARGS_MAX, INLINE_BYTES_MAX};
use crate::base::number::parse_i64;

/// What the parser found at its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A whole command; its words were appended to `spans`. It may have no words (an empty line), which asks for nothing.
    Command,
    /// The buffer ends inside a command. `at_least` more bytes are known to be missing.
    Incomplete {
        /// Bytes that must arrive before the next argument can be complete.
        at_least: usize,
    },
}

/// Input that no reply can mend: the client is told the text and disconnected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A length line longer than any number.
    #[error("Protocol error: too big mbulk count string")]
    CountLineTooLong,
    /// A bulk length line longer than any number.
    #[error("Protocol error: too big bulk count string")]
    BulkLineTooLong,
    /// An inline command longer than 64 KiB.
    #[error("Protocol error: too big inline request")]
    InlineTooLong,
    /// `*` not followed by a number in range.
    #[error("Protocol error: invalid multibulk length")]
    BadCount,
    /// `$` not followed by a number in range.
    #[error("Protocol error: invalid bulk length")]
    BadBulk,
    /// Something else than `$` where an argument must begin.
    #[error("Protocol error: expected '$', got '{}'", char::from(*.0))]
    ExpectedBulk(u8),
    /// Quotes of an inline command that do not close, or close inside a word.
    #[error("Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
}

/// The state that outlives one read: how far into which command the parser is. Positions count from the start of the
/// buffer the caller passes; `rebase` moves them when the caller drops what is parsed.
#[derive(Debug, Default)]
pub struct Parser {
    /// First byte not yet parsed.
    position: usize,
    /// Where the current multibulk command begins; of no meaning between commands.
    start: usize,
    /// Arguments of the current multibulk command still to come; zero between commands.
    missing: usize,
    /// Length of the argument whose header is parsed and whose bytes are not.
    bulk: Option<usize>,
    /// Words of the current command found in earlier calls.
    partial: Vec<Span>,
    /// Lines of the buffer with quotes, as they came: where each begins, and its bytes.
    unescaped: Vec<(usize, Vec<u8>)>,
}

impl Parser {
    /// First byte of the buffer that is not part of a returned command or of the current one's parsed words.
    pub fn position(&self) -> usize {
        self.position
    }

    /// First byte that must stay in the buffer: the beginning of the command that is not complete.
    pub fn kept_from(&self) -> usize {
        if self.missing > 0 { self.start } else { self.position }
    }

    /// Goes back to `position`, the beginning of a command.
    pub fn rewind(&mut self, position: usize) {
        *self = Parser { position, ..Parser::default() };
    }

    /// Goes back to `position`, the beginning of a command that was returned and shall be returned again. Words that were
    /// unescaped from there on are put back as they came.
    pub fn unread(&mut self, buffer: &mut [u8], position: usize) {
        let kept = self.unescaped.partition_point(|(start, _)| *start < position);
        for (start, line) in self.unescaped.drain(kept..) {
            buffer[start..start + line.len()].copy_from_slice(&line);
        }
        *self = Parser { position, unescaped: std::mem::take(&mut self.unescaped), ..Parser::default() };
    }

    /// Tells the parser that the caller dropped the first `dropped` bytes of the buffer. Nothing before can be unread then.
    pub fn rebase(&mut self, dropped: usize) {
        self.unescaped.clear();
        self.position -= dropped;
        self.start = self.start.saturating_sub(dropped);
        // Once per command: its beginning then stands at the front of the buffer, and nothing more is dropped before its end.
        if dropped > 0 {
            for span in &mut self.partial {
                *span = span.shifted_down(dropped);
            }
        }
    }

    /// Parses one command of `buffer` from the current position and appends its words to `spans`.
    ///
    /// `bulk_bytes_max` is `proto-max-bulk-len`. The buffer is mutable because the quoted words of an inline command are
    /// unescaped in place, once their line is complete; multibulk input is left as it came.
    pub fn step(
        &mut self,
        buffer: &mut [u8],
        bulk_bytes_max: usize,
        spans: &mut Vec<Span>,
    ) -> Result<Step, ProtocolError> {
        if self.missing == 0 {
            match buffer.get(self.position) {
                None => return Ok(Step::Incomplete { at_least: 1 }),
                Some(b'*') => {
                    let Some((line, next)) = line(buffer, self.position + 1) else {
                        return incomplete_line(
                            buffer.len() - self.position,
                            ProtocolError::CountLineTooLong,
                        );
                    };
                    let count = small_number(line).ok_or(ProtocolError::BadCount)?;
                    if count > ARGS_MAX {
                        return Err(ProtocolError::BadCount);
                    }
                    self.start = self.position;
                    self.position = next;
                    if count <= 0 {
                        return Ok(Step::Command);
                    }
                    self.missing = count as usize;
                }
                Some(_) => return self.inline(buffer, spans),
            }
        }
        if self.partial.is_empty() {
            let from = spans.len();
            let outcome = self.arguments(buffer, bulk_bytes_max, spans);
            if outcome != Ok(Step::Command) {
                self.partial.extend(spans.drain(from..));
            }
            return outcome;
        }
        // A command of many words that comes in many reads goes on where its words are: they are moved once, at its end.
        let mut words = std::mem::take(&mut self.partial);
        let outcome = self.arguments(buffer, bulk_bytes_max, &mut words);
        match outcome {
            Ok(Step::Command) => spans.append(&mut words),
            _ => self.partial = words,
        }
        outcome
    }

    fn arguments(
        &mut self,
        buffer: &[u8],
        bulk_bytes_max: usize,
        spans: &mut Vec<Span>,
    ) -> Result<Step, ProtocolError> {
        while self.missing > 0 {
            let length = match self.bulk.take() {
                Some(length) => length,
                None => {
                    let Some(&first) = buffer.get(self.position) else {
                        return Ok(Step::Incomplete { at_least: 1 });
                    };
                    if first != b'$' {
                        return Err(ProtocolError::ExpectedBulk(first));
                    }
                    let Some((line, next)) = line(buffer, self.position + 1) else {
                        return incomplete_line(buffer.len() - self.position, ProtocolError::BulkLineTooLong);
                    };
                    let length = small_number(line).ok_or(ProtocolError::BadBulk)?;
                    if length < 0 || length as u64 > bulk_bytes_max as u64 {
                        return Err(ProtocolError::BadBulk);
                    }
                    self.position = next;
                    length as usize
                }
            };
            let end = self.position + length;
            if buffer.len() < end + 2 {
                self.bulk = Some(length);
                return Ok(Step::Incomplete { at_least: end + 2 - buffer.len() });
            }
            // As Redis does, the two bytes after an argument are skipped unseen.
            spans.push(Span::new(self.position, end));
            self.position = end + 2;
            self.missing -= 1;
        }
        Ok(Step::Command)
    }

    fn inline(&mut self, buffer: &mut [u8], spans: &mut Vec<Span>) -> Result<Step, ProtocolError> {
        let rest = &mut buffer[self.position..];
        let Some(newline) = memchr::memchr(b'\n', rest) else {
            if rest.len() > INLINE_BYTES_MAX {
                return Err(ProtocolError::InlineTooLong);
            }
            return Ok(Step::Incomplete { at_least: 1 });
        };
        let start = self.position;
        let end = if newline > 0 && rest[newline - 1] == b'\r' { newline - 1 } else { newline };
        self.position += newline + 1;
        if memchr::memchr2(b'"', b'\'', &rest[..end]).is_some() {
            self.unescaped.push((start, rest[..end].to_vec()));
        }
        split_words(&mut rest[..end], start, spans)?;
        Ok(Step::Command)
    }
}

/// The line that begins at `from`, without its CRLF, and where the next one begins.
#[inline]
fn line(buffer: &[u8], from: usize) -> Option<(&[u8], usize)> {
    let rest = &buffer[from..];
    // Almost every length has one or two digits: look there before calling for a search.
    let carriage = match rest {
        [b'0'..=b'9', b'\r', ..] => 1,
        [b'0'..=b'9', b'0'..=b'9', b'\r', ..] => 2,
        _ => memchr::memchr(b'\r', rest)?,
    };
    // As Redis does, the byte after the carriage return is skipped unseen, but must have arrived.
    if carriage + 1 >= rest.len() {
        return None;
    }
    Some((&rest[..carriage], from + carriage + 2))
}

/// An unfinished length line asks for more, unless it is longer than any number may be.
fn incomplete_line(length: usize, error: ProtocolError) -> Result<Step, ProtocolError> {
    if length > INLINE_BYTES_MAX { Err(error) } else { Ok(Step::Incomplete { at_least: 1 }) }
}

/// A length: the common one- and two-digit ones without the general parser.
#[inline]
fn small_number(digits: &[u8]) -> Option<i64> {
    match *digits {
        [a] if a.is_ascii_digit() => Some(i64::from(a - b'0')),
        [a, b] if (b'1'..=b'9').contains(&a) && b.is_ascii_digit() => {
            Some(i64::from(a - b'0') * 10 + i64::from(b - b'0'))
        }
        _ => parse_i64(digits),
    }
}

/// Splits an inline line as Redis's `sdssplitargs` does, unescaping quoted words in place; `at` is the line's position.
fn split_words(line: &mut [u8], at: usize, spans: &mut Vec<Span>) -> Result<(), ProtocolError> {
    let is_space = |b: u8| matches!(b, b' ' | b'\n' | b'\r' | b'\t' | 0x0b | 0x0c | 0);
    let mut read = 0;
    loop {
        while read < line.len() && is_space(line[read]) {
            read += 1;
        }
        if read == line.len() {
            return Ok(());
        }
        // A word stays where it begins. Unescaping never lengthens it, so `write` cannot pass `read`.
        let start = read;
        let mut write = start;
        let mut quote = None;
        loop {
            let Some(&byte) = line.get(read) else {
                if quote.is_some() {
                    return Err(ProtocolError::UnbalancedQuotes);
                }
                break;
            };
            let (unescaped, used) = match quote {
                None if is_space(byte) => break,
                None if byte == b'"' || byte == b'\'' => {
                    quote = Some(byte);
                    read += 1;
                    continue;
                }
                Some(q) if byte == q => {
                    if line.get(read + 1).is_some_and(|&next| !is_space(next)) {
                        return Err(ProtocolError::UnbalancedQuotes);
                    }
                    read += 1;
                    break;
                }
                Some(b'"') if byte == b'\\' && read + 1 < line.len() => escape(&line[read..]),
                Some(b'\'') if line[read..].starts_with(b"\\'") => (b'\'', 2),
                _ => (byte, 1),
            };
            line[write] = unescaped;
            write += 1;
            read += used;
        }
        spans.push(Span::new(at + start, at + write));
    }
}

/// The byte that the escape at the start of `text` (a backslash and at least one more byte) stands for, and its length.
fn escape(text: &[u8]) -> (u8, usize) {
    let hex = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
    match text[1] {
        b'x' => match (text.get(2).copied().and_then(hex), text.get(3).copied().and_then(hex)) {
            (Some(high), Some(low)) => (high * 16 + low, 4),
            _ => (b'x', 2),
        },
        b'n' => (b'\n', 2),
        b'r' => (b'\r', 2),
        b't' => (b'\t', 2),
        b'b' => (0x08, 2),
        b'a' => (0x07, 2),
        other => (other, 2),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::args::Args;
    use crate::base::limits::BULK_BYTES_MAX;

    type Parsed = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>);

    /// Parses `input` arriving in the given pieces, the way a connection does: what is parsed is dropped each time.
    fn parse_pieces(input: &[u8], cuts: &[usize]) -> Parsed {
        let mut parser = Parser::default();
        let mut buffer: Vec<u8> = Vec::new();
        let mut commands = Vec::new();
        let mut from = 0;
        for &cut in cuts.iter().chain([&input.len()]) {
            let cut = cut.clamp(from, input.len());
            buffer.extend_from_slice(&input[from..cut]);
            from = cut;
            let mut kept = 0;
            loop {
                let mut spans = Vec::new();
                match parser.step(&mut buffer, BULK_BYTES_MAX, &mut spans) {
                    Ok(Step::Command) => {
                        let args = Args::new(&buffer, &spans);
                        commands.push(args.iter_from(0).map(<[u8]>::to_vec).collect());
                        kept = parser.position();
                    }
                    Ok(Step::Incomplete { at_least }) => {
                        assert!(at_least > 0);
                        assert!(spans.is_empty());
                        break;
                    }
                    Err(error) => return (commands, Some(error)),
                }
            }
            buffer.drain(..kept);
            parser.rebase(kept);
        }
        (commands, None)
    }

    fn parse(input: &[u8]) -> Parsed {
        parse_pieces(input, &[])
    }

    fn words(input: &str) -> Vec<String> {
        let (commands, error) = parse(input.as_bytes());
        assert_eq!(error, None);
        commands.concat().iter().map(|w| String::from_utf8_lossy(w).into_owned()).collect()
    }

    fn error(input: &[u8]) -> String {
        parse(input).1.expect("an error").to_string()
    }

    #[test]
    fn reads_multibulk_commands_binary_safe() {
        let (commands, error) = parse(b"*2\r\n$3\r\nGET\r\n$4\r\n\r\n\0x\r\n*0\r\n*-1\r\n*1\r\n$0\r\n\r\n");
        assert_eq!(error, None);
        assert_eq!(commands, vec![vec![b"GET".to_vec(), b"\r\n\0x".to_vec()], vec![], vec![], vec![vec![]]]);
    }

    #[test]
    fn reads_inline_commands_with_quotes() {
        assert_eq!(words("PING\r\n"), ["PING"]);
        assert_eq!(
            words("  set  k \"a b\\n\\x41\\\"\" 'it\\'s' \"\"\n"),
            ["set", "k", "a b\nA\"", "it's", ""]
        );
        assert_eq!(words("\r\n"), [] as [&str; 0]);
        assert_eq!(words("a\"b\" c\n"), ["ab", "c"]);
    }

    #[test]
    fn commands_that_are_unread_are_read_again() {
        let mut buffer = b"set a 'b \\' c'\r\nset \"\\x41\"  \"b\"\r\n*1\r\n$1\r\nx\r\n get  d\r\n".to_vec();
        let (mut parser, mut starts, mut commands) = (Parser::default(), Vec::new(), Vec::new());
        let next = |parser: &mut Parser, buffer: &mut [u8]| {
            let mut spans = Vec::new();
            assert_eq!(parser.step(buffer, BULK_BYTES_MAX, &mut spans), Ok(Step::Command));
            Args::new(buffer, &spans).iter_from(0).map(<[u8]>::to_vec).collect::<Vec<_>>()
        };
        for _ in 0..4 {
            starts.push(parser.position());
            commands.push(next(&mut parser, &mut buffer));
        }
        assert_eq!(commands[1], [&b"set"[..], b"A", b"b"]);
        for from in (0..4).rev() {
            parser.unread(&mut buffer, starts[from]);
            for command in &commands[from..] {
                assert_eq!(&next(&mut parser, &mut buffer), command);
            }
        }
    }

    #[test]
    fn a_command_that_came_in_parts_can_be_unread() {
        let mut buffer = b"PING\r\n*2\r\n$3\r\nGET\r\n$1\r\n".to_vec();
        let (mut parser, mut spans) = (Parser::default(), Vec::new());
        assert_eq!(parser.step(&mut buffer, BULK_BYTES_MAX, &mut spans), Ok(Step::Command));
        assert_eq!(
            parser.step(&mut buffer, BULK_BYTES_MAX, &mut spans),
            Ok(Step::Incomplete { at_least: 3 })
        );
        let start = parser.kept_from();
        buffer.drain(..start);
        parser.rebase(start);
        buffer.extend_from_slice(b"k\r\n");
        for _ in 0..2 {
            let (start, mut spans) = (parser.kept_from(), Vec::new());
            assert_eq!(parser.step(&mut buffer, BULK_BYTES_MAX, &mut spans), Ok(Step::Command));
            assert_eq!(Args::new(&buffer, &spans).iter_from(0).collect::<Vec<_>>(), [b"GET", &b"k"[..]]);
            parser.unread(&mut buffer, start);
        }
    }

    /// Bug 1, found by fuzzing: the shortcut for short lengths looked past a carriage return in their place.
    #[test]
    fn a_length_line_ends_at_its_first_carriage_return() {
        for input in [&b"*\r\x8e\r"[..], b"*1\r\n$\r1\r\n", b"*1\r\r\n"] {
            let every_byte: Vec<usize> = (0..input.len()).collect();
            assert_eq!(parse(input), parse_pieces(input, &every_byte));
        }
        assert_eq!(error(b"*\r\x8e\r"), "Protocol error: invalid multibulk length");
    }

    #[test]
    fn names_protocol_errors_as_redis_does() {
        assert_eq!(error(b"*x\r\n"), "Protocol error: invalid multibulk length");
        assert_eq!(error(b"*2147483648\r\n"), "Protocol error: invalid multibulk length");
        assert_eq!(error(b"*1\r\nGET\r\n"), "Protocol error: expected '$', got 'G'");
        assert_eq!(error(b"*1\r\n$-1\r\n"), "Protocol error: invalid bulk length");
        assert_eq!(error(b"*1\r\n$536870913\r\n"), "Protocol error: invalid bulk length");
        assert_eq!(error(b"*1\r\n$01\r\n"), "Protocol error: invalid bulk length");
        assert_eq!(error(b"set k \"v\n"), "Protocol error: unbalanced quotes in request");
        assert_eq!(error(b"set k \"v\"x\n"), "Protocol error: unbalanced quotes in request");
        assert_eq!(error(&[b'a'; INLINE_BYTES_MAX + 1]), "Protocol error: too big inline request");
        let long = |first: u8| [&[first][..], &[b'1'; INLINE_BYTES_MAX + 1]].concat();
        assert_eq!(error(&long(b'*')), "Protocol error: too big mbulk count string");
        assert_eq!(
            error(&[b"*1\r\n", &long(b'$')[..]].concat()),
            "Protocol error: too big bulk count string"
        );
    }

    #[test]
    fn accepts_the_longest_bulk_header_without_asking_for_memory() {
        let mut parser = Parser::default();
        let step = parser.step(&mut b"*1\r\n$536870912\r\nabc".to_vec(), BULK_BYTES_MAX, &mut Vec::new());
        assert_eq!(step, Ok(Step::Incomplete { at_least: BULK_BYTES_MAX + 2 - 3 }));
    }

    /// Bug 2: every read moved all words found so far, so a command of very many words took quadratic time.
    #[test]
    fn words_of_an_unfinished_command_stay_where_they_are() {
        let mut parser = Parser::default();
        let mut buffer = b"PING\r\n*100000\r\n".to_vec();
        let mut spans = Vec::new();
        assert_eq!(parser.step(&mut buffer, BULK_BYTES_MAX, &mut spans), Ok(Step::Command));
        spans = Vec::new();
        let mut rebased = 0;
        for read in 1..=100 {
            buffer.extend_from_slice(&b"$1\r\nx\r\n".repeat(999));
            assert_eq!(
                parser.step(&mut buffer, BULK_BYTES_MAX, &mut spans),
                Ok(Step::Incomplete { at_least: 1 })
            );
            assert_eq!((spans.len(), parser.partial.len()), (0, read * 999));
            let dropped = parser.kept_from();
            buffer.drain(..dropped);
            parser.rebase(dropped);
            rebased += usize::from(dropped > 0);
        }
        // Words that pass through `spans` make it grow: those of the first read did. And only their positions ever moved.
        assert!(spans.capacity() <= 999 * 2, "{}", spans.capacity());
        assert_eq!(rebased, 1);
        buffer.extend_from_slice(&b"$1\r\nx\r\n".repeat(100));
        assert_eq!(parser.step(&mut buffer, BULK_BYTES_MAX, &mut spans), Ok(Step::Command));
        assert!(parser.partial.is_empty());
        assert_eq!(Args::new(&buffer, &spans).iter_from(0).filter(|word| word == b"x").count(), 100_000);
    }

    fn command() -> impl Strategy<Value = Vec<u8>> {
        let word = proptest::collection::vec(any::<u8>(), 0..40);
        let multibulk = proptest::collection::vec(word, 0..6).prop_map(|words| {
            let mut text = format!("*{}\r\n", words.len()).into_bytes();
            for word in words {
                text.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
                text.extend_from_slice(&word);
                text.extend_from_slice(b"\r\n");
            }
            text
        });
        let inline = "[ -~]{0,30}\r?\n".prop_map(String::into_bytes);
        let garbage = proptest::collection::vec(any::<u8>(), 0..20);
        prop_oneof![8 => multibulk, 3 => inline, 1 => garbage]
    }

    proptest! {
        #[test]
        fn any_split_of_the_bytes_gives_the_same_commands(
            commands in proptest::collection::vec(command(), 0..8),
            mut cuts in proptest::collection::vec(0usize..600, 0..12),
        ) {
            let input = commands.concat();
            cuts.sort_unstable();
            prop_assert_eq!(parse_pieces(&input, &cuts), parse(&input));
            let every_byte: Vec<usize> = (0..input.len()).collect();
            prop_assert_eq!(parse_pieces(&input, &every_byte), parse(&input));
        }
    }
}
