//! The grammar of the parameters about persistence: `appendonly`, `appendfsync`, `save` and the rest. Where nothing is kept
//! (`--in-memory`), what would turn persistence on is refused.

use crate::base::number::parse_i64;
use crate::config::Config;
use crate::config::parameters::Refusal;

/// When records of the log are made durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fsync {
    /// Before the reply leaves.
    Always,
    /// Once a second.
    #[default]
    EverySecond,
    /// When the kernel sees fit.
    No,
}

/// One of the conditions of which each causes a save: so much time since the last one, and so many changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavePoint {
    /// Seconds since the last save, at least 1.
    pub seconds: u64,
    /// Changes since the last save; 0 is none needed.
    pub changes: u64,
}

impl SavePoint {
    /// Whether `changes`, and a last save `elapsed_ms` ago, cause a save.
    pub fn is_due(&self, changes: u64, elapsed_ms: u64) -> bool {
        changes >= self.changes && elapsed_ms / 1000 >= self.seconds
    }
}

/// The save points in force where the command line names none.
pub const SAVE_POINT_DEFAULT: SavePoint = SavePoint { seconds: 300, changes: 1000 };

/// The save points that the command line asks for: by a count of changes, by seconds since the last save, or either of them; 0 asks for
/// none. If it says nothing, `SAVE_POINT_DEFAULT`.
pub fn save_points(changes: Option<u64>, seconds: Option<u64>) -> Vec<SavePoint> {
    if (changes, seconds) == (None, None) {
        return vec![SAVE_POINT_DEFAULT];
    }
    // Saves that only time causes need something to save; those that only changes cause are a second apart at least, which is the
    // least that `CONFIG SET save` takes.
    let by_time = seconds.filter(|seconds| *seconds > 0).map(|seconds| SavePoint { seconds, changes: 1 });
    let by_changes = changes.filter(|changes| *changes > 0).map(|changes| SavePoint { seconds: 1, changes });
    by_time.into_iter().chain(by_changes).collect()
}

/// The seconds that a text like `90`, `30s`, `5m`, `2h` or `1d` means; nothing for another text or more than 63 bits.
pub fn parse_seconds(text: &str) -> Option<u64> {
    let (number, scale) = match text.as_bytes() {
        [number @ .., b's'] => (number, 1),
        [number @ .., b'm'] => (number, 60),
        [number @ .., b'h'] => (number, 60 * 60),
        [number @ .., b'd'] => (number, 24 * 60 * 60),
        number => (number, 1),
    };
    let seconds = parse_i64(number)?.checked_mul(scale)?;
    u64::try_from(seconds).ok()
}

const IN_MEMORY: Refusal = Refusal::Text("this server keeps nothing, it was started with --in-memory");

impl Fsync {
    const ALL: [(Fsync, &'static str); 3] =
        [(Fsync::Always, "always"), (Fsync::EverySecond, "everysec"), (Fsync::No, "no")];

    /// As clients and the command line spell it.
    pub fn name(self) -> &'static str {
        Fsync::ALL.iter().find(|(strategy, _)| *strategy == self).expect("every strategy has a name").1
    }

    /// The strategy of that name, in any case.
    pub fn of_name(name: &[u8]) -> Option<Fsync> {
        Fsync::ALL
            .iter()
            .find(|(_, known)| known.as_bytes().eq_ignore_ascii_case(name))
            .map(|(strategy, _)| *strategy)
    }
}

pub(super) fn get_fsync(config: &Config) -> String {
    config.append_fsync.name().to_owned()
}

pub(super) fn set_fsync(config: &mut Config, value: &[u8]) -> Result<(), Refusal> {
    const NAMES: Refusal = Refusal::Text("argument(s) must be one of the following: everysec, always, no");
    config.append_fsync = Fsync::of_name(value).ok_or(NAMES)?;
    Ok(())
}

pub(super) fn get_append_only(config: &Config) -> String {
    yes_or_no(config.append_only)
}

pub(super) fn set_append_only(config: &mut Config, value: &[u8]) -> Result<(), Refusal> {
    let is_on = parse_yes_or_no(value)?;
    if is_on && !config.start.keeps {
        return Err(IN_MEMORY);
    }
    config.append_only = is_on;
    Ok(())
}

/// `yes` or `no`.
pub(super) fn yes_or_no(is: bool) -> String {
    if is { "yes" } else { "no" }.to_owned()
}

/// What `yes` or `no`, in any case, says.
pub(super) fn parse_yes_or_no(value: &[u8]) -> Result<bool, Refusal> {
    match value.to_ascii_lowercase().as_slice() {
        b"yes" => Ok(true),
        b"no" => Ok(false),
        _ => Err(Refusal::Text("argument must be 'yes' or 'no'")),
    }
}

/// Save points as `CONFIG GET save` shows them: `300 1000 60 10000`.
pub(super) fn get_save(config: &Config) -> String {
    let points = config.save_points.iter();
    let points: Vec<String> = points.map(|point| format!("{} {}", point.seconds, point.changes)).collect();
    points.join(" ")
}

/// Sets all save points: pairs of seconds and changes; an empty text is none.
pub(super) fn set_save(config: &mut Config, value: &[u8]) -> Result<(), Refusal> {
    const INVALID: Refusal = Refusal::Text("Invalid save parameters");
    let words: Vec<&[u8]> = value.split(|byte| *byte == b' ').filter(|word| !word.is_empty()).collect();
    let (pairs, []) = words.as_chunks::<2>() else { return Err(INVALID) };
    let number = |word: &[u8], min: i64| {
        parse_i64(word).filter(|number| *number >= min).map(|number| number as u64).ok_or(INVALID)
    };
    let points: Result<Vec<SavePoint>, Refusal> = pairs
        .iter()
        .map(|[seconds, changes]| {
            Ok(SavePoint { seconds: number(seconds, 1)?, changes: number(changes, 0)? })
        })
        .collect();
    let points = points?;
    if !points.is_empty() && !config.start.keeps {
        return Err(IN_MEMORY);
    }
    config.save_points = points;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Start;
    use crate::config::parameters::{SetError, set_all};

    fn keeping() -> Config {
        Config { start: Start { keeps: true, ..Start::default() }, ..Config::default() }
    }

    fn set(config: &mut Config, name: &str, value: &str) -> Result<(), String> {
        set_all(config, &[(name.as_bytes(), value.as_bytes())]).map_err(|error| match error {
            SetError::Unknown(_) => "unknown".into(),
            SetError::Refused(_, why) => why.to_string(),
        })
    }

    #[test]
    fn save_points_are_pairs() {
        let mut config = keeping();
        for (value, shown) in
            [("900 1 300 10", "900 1 300 10"), ("10 0", "10 0"), ("", ""), (" 5  7 ", "5 7")]
        {
            assert_eq!(set(&mut config, "save", value), Ok(()));
            assert_eq!(get_save(&config), shown);
        }
        for value in ["10", "10 5 20", "0 100", "-1 5", "10 -1", "x 5", "1.5 3", "\"\""] {
            assert_eq!(set(&mut config, "save", value), Err("Invalid save parameters".into()), "{value}");
        }
        assert_eq!(get_save(&config), "5 7", "what was refused changes nothing");
    }

    #[test]
    fn a_save_is_due_when_both_are_reached() {
        let point = SavePoint { seconds: 10, changes: 5 };
        assert!(point.is_due(5, 10_000));
        assert!(!point.is_due(4, 60_000) && !point.is_due(500, 9_999));
    }

    #[test]
    fn durations_have_units() {
        for (text, seconds) in
            [("90", 90), ("30s", 30), ("5m", 300), ("2h", 7200), ("1d", 86_400), ("0", 0), ("0s", 0)]
        {
            assert_eq!(parse_seconds(text), Some(seconds), "{text}");
        }
        for text in ["", "s", "5 m", "-5m", "5M", "1.5h", "5min", "9223372036854775807h", "+5"] {
            assert_eq!(parse_seconds(text), None, "{text}");
        }
    }

    #[test]
    fn the_command_line_makes_save_points() {
        let shown = |changes, seconds| {
            get_save(&Config { save_points: save_points(changes, seconds), ..Config::default() })
        };
        assert_eq!(shown(None, None), "300 1000");
        assert_eq!(shown(Some(50), None), "1 50");
        assert_eq!(shown(None, Some(60)), "60 1");
        assert_eq!(shown(Some(50), Some(60)), "60 1 1 50");
        assert_eq!(
            (shown(Some(0), None), shown(None, Some(0)), shown(Some(0), Some(60))),
            ("".into(), "".into(), "60 1".into())
        );
    }

    #[test]
    fn the_log_is_turned_on_and_off() {
        let mut config = keeping();
        assert_eq!(set(&mut config, "appendonly", "YES"), Ok(()));
        assert!(config.append_only);
        assert_eq!(set(&mut config, "appendonly", "no"), Ok(()));
        assert!(!config.append_only);
        assert_eq!(set(&mut config, "appendonly", "on"), Err("argument must be 'yes' or 'no'".into()));
        for name in ["always", "everysec", "NO"] {
            assert_eq!(set(&mut config, "appendfsync", name), Ok(()));
            assert_eq!(get_fsync(&config), name.to_ascii_lowercase());
        }
        let names = "argument(s) must be one of the following: everysec, always, no";
        assert_eq!(set(&mut config, "appendfsync", "often"), Err(names.into()));
        assert_eq!(set(&mut config, "stop-writes-on-bgsave-error", "no"), Ok(()));
        assert!(!config.stops_writes_on_save_error);
    }

    #[test]
    fn in_memory_nothing_can_be_turned_on() {
        let mut config = Config::default();
        let refused = "this server keeps nothing, it was started with --in-memory";
        assert_eq!(set(&mut config, "appendonly", "yes"), Err(refused.into()));
        assert_eq!(set(&mut config, "save", "900 1"), Err(refused.into()));
        // Scripts that turn it off to be sure go on working.
        assert_eq!(set(&mut config, "appendonly", "no"), Ok(()));
        assert_eq!(set(&mut config, "save", ""), Ok(()));
        assert_eq!(set(&mut config, "appendfsync", "always"), Ok(()), "it says how, not whether");
    }
}
