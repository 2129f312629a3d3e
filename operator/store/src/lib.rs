//! The database: PostgreSQL and SQLite, migrations, history and logs.
//!
//! Invariant: this crate alone holds SQL. Every write is one fenced transaction: it first locks the environment's row and
//! compares keeper, epoch and the last seeding with what the plan stands on, so a process that lost its place writes
//! nothing. A dropped future rolls back. Rows without provenance are not ours and are never touched.
//!
//! Three writes come before a fence or beside it, touch the environment's row alone, and have conditions of their own:
//! [`Store::raise_epoch`] writes where the keeper is still the one that was seen, [`Store::claim_under`] where the epoch
//! is still the one of this process, and [`Store::note`] where the row is still the one that was read.
//!
//! What consumers count is no part of the catalog, and has no fence: [`Store::record_usage`] and [`Store::roll_up_usage`]
//! touch `integration_usage` and, in a transaction of its own, when the environment's row says it is looked at next.
//!
//! A seeding reads as [`Store::environment`], [`Store::state`], a plan, then [`Store::claim`], [`Store::begin`] and
//! [`Store::apply`]; with an empty plan [`Store::settle`]; with nothing new at all only the first.

mod account;
mod address;
mod adopt;
mod apply;
mod bulk;
mod candidates;
mod catalog;
mod confined;
mod conflicts;
mod drift;
mod environment;
mod error;
mod export;
mod hand;
mod hints;
mod history;
mod memory;
mod migrate;
mod observed;
mod open;
mod pins;
mod plans;
mod promotion;
mod quarantine;
mod registry;
mod remove;
mod resolve;
mod retention;
mod rollback;
mod rollouts;
mod seeding;
mod session;
mod takeover;
mod touched;
mod trail;
mod usage;

pub use address::{DatabaseUrl, Engine, Tls};
pub use adopt::{Adopt, Adoption};
pub use catalog::{Definition, Here, Listed};
pub use conflicts::OpenConflict;
pub use drift::Drift;
pub use environment::{AppliedSource, EnvironmentRow, Fence};
pub use error::{ErrorKind, StoreError};
pub use export::{Exported, Strangers};
pub use hand::{Hand, Known, Merging};
pub use hints::{Hint, Hints};
pub use history::{LogStatus, Logged};
pub use memory::{Kept, ManifestDelta, document_id};
pub use migrate::{SCHEMA, migrations_sql};
pub use open::{Migrate, Options, PgStore, SqliteStore, Store};
pub use pins::{PlanContents, Unpinned};
pub use plans::{Pinned, PlanRow, PlanStatus, Spend};
pub use promotion::{Admitted, PromotionDelta, Remembered};
pub use quarantine::{Answered, QuarantineDelta, Quarantined};
pub use remove::Removal;
pub use retention::{Forgotten, Retention};
pub use rollback::{HandledRollback, Refused};
pub use rollouts::{HandledCommand, RolloutDelta, Which, new_rollout};
pub use seeding::{Applied, Begin, Counts, Seeding, Settle, Write};
pub use takeover::{TakenOver, TakenTable};
pub use touched::Standing;
pub use trail::{CameFrom, Changed, Turn, Turned, Version};
pub use usage::{RolledUp, Unknown, UsageLooked, UsageRetention, Used};
