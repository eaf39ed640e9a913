//! How far long work has come, for people: on standard error, and only on a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often what only waits shows that it does.
const TICK: Duration = Duration::from_millis(200);

/// Of something that is read to its end, whose length may be known.
pub(super) fn bytes(length: Option<u64>) -> ProgressBar {
    bar(
        length,
        match length {
            Some(_) => "{bar:32} {bytes}/{total_bytes} {elapsed}  {msg}",
            None => "{spinner} {bytes} {elapsed}  {msg}",
        },
    )
}

/// Of something that is waited for.
pub(super) fn waiting(what: &'static str) -> ProgressBar {
    let bar = bar(None, "{spinner} {msg} {elapsed}").with_message(what);
    bar.enable_steady_tick(TICK);
    bar
}

fn bar(length: Option<u64>, template: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_drawn_where_nobody_looks() {
        // Tests are not run on a terminal, or their output is captured.
        let bar = bytes(Some(10));
        bar.inc(3);
        assert_eq!((bar.position(), bar.length()), (3, Some(10)));
        bar.finish_and_clear();
        waiting("applying").finish_and_clear();
    }
}
