//! A sign of life on standard error: only on a terminal, only after a while, and gone when done.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::output::style::Style;

/// What is quicker shows nothing.
const AFTER: Duration = Duration::from_millis(300);
const EACH: Duration = Duration::from_millis(120);
const FRAMES: [char; 4] = ['-', '\\', '|', '/'];

/// A line that turns until this is dropped.
#[derive(Debug)]
pub struct Progress {
    task: Option<JoinHandle<()>>,
    shown: Arc<AtomicBool>,
}

impl Progress {
    /// Starts the clock.
    #[must_use]
    pub fn start(style: &Style, text: impl Into<String>) -> Self {
        let shown = Arc::new(AtomicBool::new(false));
        if style.quiet || !std::io::stderr().is_terminal() {
            return Self { task: None, shown };
        }
        let (text, drawn) = (text.into(), shown.clone());
        let task = tokio::spawn(async move {
            tokio::time::sleep(AFTER).await;
            for frame in FRAMES.iter().cycle() {
                drawn.store(true, Ordering::Release);
                let _ = write!(std::io::stderr(), "\r\u{1b}[2K{frame} {text}");
                tokio::time::sleep(EACH).await;
            }
        });
        Self { task: Some(task), shown }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
        if self.shown.load(Ordering::Acquire) {
            let _ = write!(std::io::stderr(), "\r\u{1b}[2K");
        }
    }
}
