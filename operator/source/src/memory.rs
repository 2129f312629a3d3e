//! How much memory a fetch may take beside the process that waits for it: both count in one cgroup, the Pod's.

use std::fs;

use crate::fetch::AT_ONCE;

/// Where a container reads its own limit: cgroup v2, then v1.
const LIMITS: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
/// What a fetch has at least: a catalog of 50,000 integrations, 150,000 files, comes in with 48 MiB.
const LEAST: u64 = 64 << 20;
/// What it has at most.
const MOST: u64 = 2 << 30;

/// Bytes that one fetch may take: all that run at once have half of what the cgroup has.
pub(crate) fn share() -> u64 {
    of(LIMITS.iter().find_map(|file| fs::read_to_string(file).ok()).as_deref())
}

/// `text` is what the cgroup says: bytes, or `max`. cgroup v1 says a number beyond all memory where there is no limit.
fn of(text: Option<&str>) -> u64 {
    let limit = text.and_then(|text| text.trim().parse::<u64>().ok());
    limit.map_or(MOST, |limit| (limit / 2 / AT_ONCE as u64).clamp(LEAST, MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_fetch_have_half_of_what_the_cgroup_has() {
        for (text, bytes) in [
            (Some("536870912\n"), 64 << 20),
            (Some("max\n"), MOST),
            (None, MOST),
            (Some("9223372036854771712"), MOST),
            (Some("134217728"), LEAST),
            (Some("4294967296"), 512 << 20),
        ] {
            assert_eq!(of(text), bytes, "{text:?}");
        }
    }
}
