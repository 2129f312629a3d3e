//! One line of the log: what an environment came to.

use sower_controllers::rollout::Change;
use sower_core::report::Report;
use sower_core::rollout::State;

/// One line, in columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// The environment.
    pub environment: String,
    /// The short revision that was read; empty where none was.
    pub revision: String,
    /// `+1 ~2`, `=3`, `!`, or nothing.
    pub counts: String,
    /// What happened, or what is wrong.
    pub told: String,
    /// Milliseconds, where rows were written.
    pub took: Option<u64>,
    /// Somebody has to do something.
    pub warns: bool,
    /// The record of the seeding, for programs.
    pub report: Option<Box<Report>>,
}

impl Line {
    /// What became of a rollout.
    pub fn rolled_out(environment: &str, change: &Change) -> Self {
        let warns = matches!(change.after.state, State::Aborted | State::RolledBack);
        Self { environment: environment.to_owned(), told: change.line(), warns, ..Self::default() }
    }
}

/// How wide the columns are: as wide as the widest cell so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Widths {
    environment: usize,
    revision: usize,
    counts: usize,
    told: usize,
}

/// A cell this long widens its column no more.
const WIDEST: usize = 60;

impl Widths {
    /// Makes room for what is sure to come.
    pub fn expect(
        &mut self,
        environments: impl Iterator<Item = usize>,
        revisions: impl Iterator<Item = usize>,
    ) {
        self.environment = environments.fold(self.environment, usize::max);
        self.revision = revisions.fold(self.revision, usize::max);
    }

    /// The line, with the clock in front: two spaces between columns, three before the time it took.
    pub fn text(&mut self, clock: &str, line: &Line) -> String {
        let Line { environment, revision, counts, told, took, warns: _, report: _ } = line;
        let wider = |width: usize, cell: &str| width.max(cell.chars().count().min(WIDEST));
        self.environment = wider(self.environment, environment);
        self.revision = wider(self.revision, revision);
        let mut text = format!("{clock}  {environment:0$}  {revision:1$}", self.environment, self.revision);
        if !counts.is_empty() {
            self.counts = wider(self.counts, counts);
            text.push_str(&format!("  {counts:0$}", self.counts));
        }
        match took {
            None => text.push_str(&format!("  {told}")),
            Some(took) => {
                self.told = wider(self.told, told);
                text.push_str(&format!("  {told:0$}   {1}", self.told, crate::output::time::took(*took)));
            }
        }
        text.trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stand_in_columns() {
        let mut widths = Widths::default();
        widths.expect([11, 10, 7].into_iter(), [18].into_iter());
        let line = |revision: &str, counts: &str, told: &str, took: Option<u64>| Line {
            environment: "development".into(),
            revision: revision.into(),
            counts: counts.into(),
            told: told.into(),
            took,
            ..Line::default()
        };
        let text = [
            line(
                "main@3f2c1a9-dirty",
                "~1",
                "slack 1.0.0: action post-message (same version: override)",
                Some(31),
            ),
            line(
                "main@3f2c1a9-dirty",
                "",
                "slack keeps its rows: integrations/slack/integration.yaml:6:12 bad-version",
                None,
            ),
            line("main@9d41e07", "~1", "slack 1.0.1: action post-message", Some(28)),
            line("main@9d41e07", "=3", "", None),
        ]
        .map(|line| widths.text("14:07:31", &line))
        .join("\n");
        insta::assert_snapshot!(text, @r"
        14:07:31  development  main@3f2c1a9-dirty  ~1  slack 1.0.0: action post-message (same version: override)   31ms
        14:07:31  development  main@3f2c1a9-dirty  slack keeps its rows: integrations/slack/integration.yaml:6:12 bad-version
        14:07:31  development  main@9d41e07        ~1  slack 1.0.1: action post-message                            28ms
        14:07:31  development  main@9d41e07        =3
        ");
    }
}
