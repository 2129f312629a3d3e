//! Many changes in a row wake once.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;

/// How long is waited for more, counted from the first: `kubectl apply -f` of a folder is one change.
const FOR: Duration = Duration::from_millis(500);

/// Passes on what came within a moment as one set, until the sender is gone.
pub async fn gather<T: Ord>(mut came: UnboundedReceiver<T>, mut pass_on: impl FnMut(BTreeSet<T>)) {
    while let Some(first) = came.recv().await {
        let until = tokio::time::Instant::now() + FOR;
        let mut all = BTreeSet::from([first]);
        while let Ok(Some(next)) = tokio::time::timeout_at(until, came.recv()).await {
            all.insert(next);
        }
        pass_on(all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_burst_is_one_set() {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        for n in [1, 2, 1, 3] {
            sender.send(n).expect("a receiver");
        }
        drop(sender);
        let mut sets = Vec::new();
        gather(receiver, |set| sets.push(set)).await;
        assert_eq!(sets, [BTreeSet::from([1, 2, 3])]);
    }
}
