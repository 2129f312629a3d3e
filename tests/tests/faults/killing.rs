//! kill -9 at random instants, about as many before what is awaited as after it.

use std::collections::VecDeque;
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
    /// Microseconds that are given, and come first.
    given: VecDeque<u64>,
    random: Random,
    longest: Duration,
    old: u64,
    new: u64,
}

impl Killing {
    /// `SOWER_TEST_KILLS` of them, else `usual`. The instants are printed, and can be given as `SOWER_TEST_INSTANTS`: where
    /// one falls in what is done is as fast as the machine, so that is as near to the same again as there is.
    pub fn of(usual: u64) -> Result<Self> {
        let kills = std::env::var("SOWER_TEST_KILLS").ok().map(|kills| kills.parse()).transpose()?;
        let given = std::env::var("SOWER_TEST_INSTANTS").unwrap_or_default();
        let given = given.split(',').filter(|instant| !instant.is_empty()).map(str::parse);
        let (given, random) = (given.collect::<Result<_, _>>()?, Random::new()?);
        Ok(Self { kills: kills.unwrap_or(usual), given, random, longest: BEGIN, old: 0, new: 0 })
    }

    /// The numbers of the kills.
    pub fn rounds(&self) -> RangeInclusive<u64> {
        1..=self.kills
    }

    /// Kills the operator at some instant from now on.
    pub async fn kill(&mut self, bed: &Bed) -> Result<()> {
        let longest = u64::try_from(self.longest.as_micros())?;
        let instant = self.given.pop_front().unwrap_or_else(|| self.random.below(longest));
        print!("{instant},");
        tokio::time::sleep(Duration::from_micros(instant)).await;
        bed.operator.process.kill()?;
        Ok(())
    }

    /// What it left: the instants move to where both are as likely, however fast this machine is.
    pub fn left(&mut self, new: bool) {
        let (count, factor) = if new { (&mut self.new, 0.8) } else { (&mut self.old, 1.2) };
        *count += 1;
        self.longest = self.longest.mul_f64(factor).clamp(Duration::from_millis(5), Duration::from_secs(30));
    }

    /// Says how they fell.
    pub fn end(self) -> Result<()> {
        let Self { kills, old, new, longest, .. } = self;
        println!("\n{old} kills left the old state, {new} the new, at last within {longest:?}");
        ensure!(kills < MANY || (old > 0 && new > 0), "none came in between: {old} old, {new} new");
        Ok(())
    }
}

/// xorshift64*
struct Random(u64);

impl Random {
    fn new() -> Result<Self> {
        Ok(Self(SystemTime::now().duration_since(UNIX_EPOCH)?.subsec_nanos().max(1).into()))
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % end
    }
}
