//! What is said to a rollout while others say something else, or seed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to stop")]

mod kit;

use futures::future::join_all;
use kit::{Kit, manifest};
use sower_controllers::rollout::CommandError;
use sower_core::rollout::{Command, State};
use sower_store::Which;

const STAGED: &str = r#"{"rollout":{"default":{"type":"Staged","steps":[{"weight":10,"hold":"1h"}]}}}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_abort_wins_over_what_happens_at_the_same_time() {
    let kit = Kit::new().await;
    for version in ["1.0.0", "1.1.0"] {
        kit.write("a", &manifest("a", version, &[&format!("of-{}", version.replace('.', "-"))]));
        kit.commit(version);
        kit.seed("production", STAGED).await;
    }
    let job = kit.job("production", STAGED);
    kit.step(&job).await;
    let steps = kit::steps(&job);
    let say =
        async |command, by| kit.seeder.command_rollout(&kit.store, &steps, "a", command, by, None).await;
    let others = ["ada", "bob", "cyd", "dan"].map(async |by| {
        for command in [Command::Pause, Command::Resume].into_iter().cycle().take(6) {
            // Somebody else has said it before, or has aborted it.
            assert!(matches!(say(command, by).await, Ok(_) | Err(CommandError::Impossible(_))), "{by}");
        }
    });
    let abort = async {
        let aborted = say(Command::Abort, "eve").await;
        assert!(aborted.is_ok(), "{aborted:?}");
    };
    tokio::join!(join_all(others), abort);
    let [last] = kit.store.rollouts(Some("production"), Which::Latest).await.unwrap().try_into().unwrap();
    assert_eq!((last.state, last.events.last().unwrap().by.as_deref()), (State::Aborted, Some("eve")));
}
