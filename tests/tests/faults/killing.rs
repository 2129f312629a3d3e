//! kill -9 at random instants, about as many before what is awaited as after it, by chance that can be repeated.

use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use sower_tests::bed::Bed;

/// The first longest wait before a kill.
const BEGIN: Duration = Duration::from_millis(250);
/// From so many on, some have to fall before and some after.
const MANY: u64 = 20;

/// The kills of one test.
pub struct Killing {
    kills: u64,
    random: Random,
    longest: Duration,
    old: u64,
    new: u64,
}

impl Killing {
    /// `SOWER_TEST_KILLS` of them, else `usual`; the seed of the instants is printed, and can be given as `SOWER_TEST_SEED`.
    pub fn seeded(usual: u64) -> Result<Self> {
        let given = std::env::var("SOWER_TEST_KILLS").ok().map(|kills| kills.parse()).transpose()?;
        let kills = given.unwrap_or(usual);
        Ok(Self { kills, random: Random::seeded()?, longest: BEGIN, old: 0, new: 0 })
    }

    /// The numbers of the kills.
    pub fn rounds(&self) -> RangeInclusive<u64> {
        1..=self.kills
    }

    /// Kills the operator at some instant from now on.
    pub async fn kill(&mut self, bed: &Bed) -> Result<()> {
        let longest = u64::try_from(self.longest.as_micros())?;
        tokio::time::sleep(Duration::from_micros(self.random.below(longest))).await;
        bed.operator.process.kill()?;
        Ok(())
    }

    /// What it left: the instants move to where both are as likely, however fast this machine is.
    pub fn left(&mut self, new: bool) {
        let (count, factor) = if new { (&mut self.new, 0.8) } else { (&mut self.old, 1.2) };
        *count += 1;
        self.longest = self.longest.mul_f64(factor).clamp(Duration::from_millis(5), Duration::from_secs(5));
    }

    /// Says how they fell.
    pub fn end(self) -> Result<()> {
        let Self { kills, old, new, longest, .. } = self;
        println!("{old} kills left the old state, {new} the new, at last within {longest:?}");
        ensure!(kills < MANY || (old > 0 && new > 0), "none came in between: {old} old, {new} new");
        Ok(())
    }
}

/// xorshift64*
struct Random(u64);

impl Random {
    fn seeded() -> Result<Self> {
        let given = std::env::var("SOWER_TEST_SEED").ok().map(|seed| seed.parse()).transpose()?;
        let seed: u64 = given.unwrap_or(SystemTime::now().duration_since(UNIX_EPOCH)?.subsec_nanos().into());
        println!("SOWER_TEST_SEED={seed}");
        Ok(Self(seed.max(1)))
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % end
    }
}
