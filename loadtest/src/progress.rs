//! A progress bar on standard error, and only on a terminal. Never part of a report.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shows nothing when standard error is not a terminal.
pub fn bar(label: &str, total: u64) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let style = ProgressStyle::with_template("{msg} {bar:40} {human_pos}/{human_len} {per_sec} {eta}")
        .expect("the template above is valid");
    ProgressBar::with_draw_target(Some(total), target).with_style(style).with_message(label.to_owned())
}
