//! What a rollout costs where the new version is bad: a million consumers, an error rate put into the new version, and how
//! many had met it when the rollout was taken back. Prints the tables of `docs/rollout.md`.
//!
//! `cargo run --release --package sower-core --example rollout_simulation`
//!
//! The state machine, the steps, the buckets of the consumers and the verdicts are the real code, which is asked once a simulated
//! minute. What is simulated is time, executions and luck.

#![allow(clippy::print_stdout, reason = "it prints tables")]

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use sower_core::plan::Content;
use sower_core::rollout::analysis::{Evidence, analyse};
use sower_core::rollout::bucket::bucket;
use sower_core::rollout::machine::{Given, analysis, looks, step};
use sower_core::rollout::stages::variants;
use sower_core::rollout::{Progress, Rollout, State};
use sower_core::usage::Observed;
use sower_crds::period::Period;
use sower_crds::rollout::{Analysis, AtLeast, AtMost, Step, Strategy, StrategyType};

const CONSUMERS: u32 = 1_000_000;
/// Each consumer executes the integration once an hour on average, at random.
const HOURLY: f64 = 1.0 / 60.0;
/// The same, once in 30 days.
const MONTHLY: f64 = HOURLY / 24.0 / 30.0;
/// How often executions of the stable version fail.
const STABLE: f64 = 0.002;
/// How often those of the new one fail.
const RATES: [f64; 6] = [0.002, 0.005, 0.01, 0.02, 0.05, 0.20];
const SEEDS: u64 = 21;

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn below(&mut self, end: usize) -> usize {
        (self.share() * end as f64) as usize
    }

    /// How often something happens that happens `mean` times on average (Poisson): exact for few, as the normal
    /// distribution has it for many.
    fn times(&mut self, mean: f64) -> u64 {
        if mean > 500.0 {
            let (u, v) = (1.0 - self.share(), self.share());
            let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
            return (mean + mean.sqrt() * normal).round().max(0.0) as u64;
        }
        let (mut product, mut count, floor) = (self.share(), 0, (-mean).exp());
        while product > floor {
            product *= self.share();
            count += 1;
        }
        count
    }
}

/// The consumers by their buckets, nearest to the first bucket first: those of a weight are the first ones.
fn consumers(salt: &str) -> (Vec<u32>, Vec<u32>) {
    let mut all: Vec<(u32, u32)> =
        (0..CONSUMERS).map(|key| (bucket(salt, &format!("tenant-{key}")), key)).collect();
    all.sort_unstable();
    all.into_iter().unzip()
}

/// What came of a rollout.
#[derive(Debug, Clone, Copy)]
struct End {
    state: State,
    minutes: u32,
    exposed: u32,
    failed: u64,
}

/// How often consumers execute, and how often that fails with the new version.
#[derive(Debug, Clone, Copy)]
struct Use {
    per_minute: f64,
    rate: f64,
}

/// A rollout that has just begun.
fn begun(strategy: &Strategy, salt: &str) -> Rollout {
    let content = |version: &str| Content { version: version.into(), checksum: format!("v1:{version}") };
    let (from, to) = (content("1.0.0"), content("1.1.0"));
    let (variants, shares) = variants(strategy, &from, &to, &[]);
    let start = Timestamp::UNIX_EPOCH;
    Rollout {
        id: String::new(),
        environment: "production".into(),
        integration: "stripe".into(),
        from,
        to,
        variants,
        salt: salt.into(),
        step: 0,
        weight: 0,
        state: State::Pending,
        events: Vec::new(),
        strategy: strategy.clone(),
        verdict: None,
        progress: Progress { shares, ..Progress::default() },
        source: String::new(),
        path: String::new(),
        revision: String::new(),
        seeding: String::new(),
        started_at: start,
        step_started_at: start,
        due_at: Some(start),
        ended_at: None,
    }
}

/// As far as a rollout goes at one time, with what was seen of its step by then.
fn settle(mut rollout: Rollout, now: Timestamp, seen: &mut Evidence) -> Rollout {
    loop {
        let verdict = looks(&rollout, now)
            .then(|| analysis(&rollout))
            .flatten()
            .map(|analysis| analyse(&analysis, seen, (&rollout.from.version, &rollout.to.version)));
        let after = step(&rollout, Given { now, verdict: verdict.as_ref(), frozen: None });
        if after == rollout {
            return rollout;
        }
        if after.step != rollout.step {
            *seen = Evidence::default();
        }
        rollout = after;
    }
}

fn roll_out(
    strategy: &Strategy,
    usage: Use,
    salt: &str,
    seed: u64,
    (buckets, keys): &(Vec<u32>, Vec<u32>),
) -> End {
    let Use { per_minute, rate } = usage;
    let mut random = Random(seed);
    let mut met = vec![false; CONSUMERS as usize];
    let (mut minutes, mut exposed, mut failed) = (0, 0, 0);
    let mut seen = Evidence::default();
    let rollout = begun(strategy, salt);
    let start = rollout.started_at;
    let mut rollout = settle(rollout, start, &mut seen);
    while !rollout.state.is_over() {
        let having = buckets.partition_point(|bucket| *bucket < rollout.weight);
        for _ in 0..random.times(having as f64 * per_minute) {
            let who = keys[random.below(having)] as usize;
            exposed += u32::from(!std::mem::replace(&mut met[who], true));
            let fails = u64::from(random.share() < rate);
            failed += fails;
            add(&mut seen.candidate, 1, fails);
        }
        let rest = random.times((CONSUMERS as usize - having) as f64 * per_minute);
        let errors = random.times(rest as f64 * STABLE).min(rest);
        add(&mut seen.stable, rest, errors);
        minutes += 1;
        rollout = settle(rollout, start + SignedDuration::from_mins(i64::from(minutes)), &mut seen);
    }
    End { state: rollout.state, minutes, exposed, failed }
}

fn add(observed: &mut Observed, executions: u64, errors: u64) {
    observed.executions += executions;
    observed.errors += errors;
}

fn strategy(first: f64, min: f64, max: f64) -> Strategy {
    let step = |weight, hold: &str| Step { weight, hold: Some(Period::new(hold)), ..Step::default() };
    Strategy {
        kind: StrategyType::Staged,
        steps: vec![step(first, "10m"), step(50.0, "1h")],
        analysis: Some(Analysis {
            success_rate: Some(AtLeast { min }),
            error_rate_difference: Some(AtMost { max }),
            ..Analysis::default()
        }),
        ..Strategy::default()
    }
}

fn table(name: &str, strategy: &Strategy, per_minute: f64) {
    println!("\n{name}\n");
    println!(
        "| errors of 1.1.0 | rolled back | after, median (worst) | consumers that met it, median (worst) | executions that failed, median (worst) |"
    );
    println!("| --- | --- | --- | --- | --- |");
    for rate in RATES {
        let ends: Vec<End> = (0..SEEDS)
            .map(|seed| {
                let salt = format!("salt-{seed}");
                let consumers = SALTED.with(|salted| {
                    let mut salted = salted.borrow_mut();
                    salted.entry(seed).or_insert_with(|| std::rc::Rc::new(consumers(&salt))).clone()
                });
                roll_out(strategy, Use { per_minute, rate }, &salt, seed, &consumers)
            })
            .collect();
        println!("{}", row(rate, &ends));
    }
}

/// Of those that were rolled back; where none was, of all.
fn row(rate: f64, ends: &[End]) -> String {
    let ended = |state: State| ends.iter().filter(|end| end.state == state).count();
    let (back, completed) = (ended(State::RolledBack), ended(State::Completed));
    let of = |value: fn(&End) -> u64| {
        let told = |end: &&End| back == 0 || end.state == State::RolledBack;
        let mut all: Vec<u64> = ends.iter().filter(told).map(value).collect();
        all.sort_unstable();
        format!("{} ({})", thousands(all[all.len() / 2]), thousands(all[all.len() - 1]))
    };
    let all = ends.len();
    let others = all - back - completed;
    let mut told = if back == 0 { format!("none of {all}") } else { format!("{back} of {all}") };
    if others > 0 {
        told.push_str(&format!(", {others} aborted at the deadline"));
    }
    format!(
        "| {}% | {told} | {}{} min | {} | {} |",
        (rate * 1000.0).round() / 10.0,
        if back == 0 { "ends after " } else { "" },
        of(|end| u64::from(end.minutes)),
        of(|end| u64::from(end.exposed)),
        of(|end| end.failed),
    )
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Consumers by their seeds: to hash a million keys takes longer than to simulate them.
type Salted = std::cell::RefCell<BTreeMap<u64, std::rc::Rc<(Vec<u32>, Vec<u32>)>>>;

thread_local! {
    static SALTED: Salted = const { std::cell::RefCell::new(BTreeMap::new()) };
}

fn main() {
    let narrow = strategy(10.0, 0.995, 0.002);
    table(
        "10% for 10m, 50% for 1h; successRate >= 0.99, errorRateDifference <= 0.01; each consumer once an hour",
        &strategy(10.0, 0.99, 0.01),
        HOURLY,
    );
    table(
        "10% for 10m, 50% for 1h; successRate >= 0.995, errorRateDifference <= 0.002; each consumer once an hour",
        &narrow,
        HOURLY,
    );
    table(
        "1% for 10m, 50% for 1h; successRate >= 0.995, errorRateDifference <= 0.002; each consumer once an hour",
        &strategy(1.0, 0.995, 0.002),
        HOURLY,
    );
    table(
        "10% for 10m, 50% for 1h; successRate >= 0.995, errorRateDifference <= 0.002; each consumer once in 30 days",
        &narrow,
        MONTHLY,
    );
}
