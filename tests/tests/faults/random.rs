//! Chance that can be repeated.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;

/// How often something is killed: `SOWER_TEST_KILLS`, else `usual` times.
pub fn kills(usual: u64) -> Result<u64> {
    Ok(std::env::var("SOWER_TEST_KILLS").ok().map(|kills| kills.parse()).transpose()?.unwrap_or(usual))
}

/// A generator whose seed is printed and can be given: SOWER_TEST_SEED.
pub struct Random(u64);

impl Random {
    /// With the seed that is given, or another one each time.
    pub fn seeded() -> Result<Self> {
        let given = std::env::var("SOWER_TEST_SEED").ok().map(|seed| seed.parse()).transpose()?;
        let seed = given.unwrap_or(SystemTime::now().duration_since(UNIX_EPOCH)?.subsec_nanos().into());
        println!("SOWER_TEST_SEED={seed}");
        Ok(Self(seed))
    }

    /// xorshift64*
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.max(1);
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % end
    }
}
