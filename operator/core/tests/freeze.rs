//! When integrations may not change, and when they may again.

use jiff::Timestamp;
use serde_json::{Value, json};
use sower_core::freeze::{bad_windows, frozen, schedule, time_zone};
use sower_crds::FreezeWindow;

const BERLIN: &str = "Europe/Berlin";
const NEW_YORK: &str = "America/New_York";

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn window(schedule: &str, duration: &str, zone: &str) -> Value {
    json!({ "schedule": schedule, "duration": duration, "timeZone": zone })
}

fn allow(schedule: &str, duration: &str) -> Value {
    json!({ "schedule": schedule, "duration": duration, "kind": "Allow" })
}

fn about(mut window: Value, integrations: &[&str]) -> Value {
    window["integrations"] = json!(integrations);
    window
}

/// Until when these integrations are frozen: `open`, a time, or `never`.
fn until(windows: &[Value], integrations: &[&str], now: &str) -> String {
    let windows: Vec<FreezeWindow> =
        windows.iter().map(|window| serde_json::from_value(window.clone()).expect("a window")).collect();
    assert_eq!(bad_windows(&windows), []);
    match frozen(&windows, integrations.iter().copied(), at(now)) {
        None => "open".to_owned(),
        Some(frozen) => frozen.opens.map_or("never".to_owned(), |opens| opens.to_string()),
    }
}

fn check(rows: &[(&[Value], &[&str], &str, &str)]) {
    let wrong: Vec<String> = rows
        .iter()
        .map(|(windows, ids, now, expect)| (until(windows, ids, now), now, expect))
        .filter(|(found, _, expect)| found != *expect)
        .map(|(found, now, expect)| format!("at {now}: {found}, not {expect}"))
        .collect();
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn a_window_is_open_from_its_beginning_until_just_before_its_end() {
    let weekend = [window("0 18 * * FRI", "60h", "UTC")];
    check(&[
        (&[], &["a"], "2026-11-21T14:00:00Z", "open"),
        (&weekend, &["a"], "2026-11-20T17:59:59Z", "open"),
        (&weekend, &["a"], "2026-11-20T18:00:00Z", "2026-11-23T06:00:00Z"),
        (&weekend, &["a"], "2026-11-20T18:00:00.5Z", "2026-11-23T06:00:00Z"),
        (&weekend, &["a"], "2026-11-23T05:59:59Z", "2026-11-23T06:00:00Z"),
        (&weekend, &["a"], "2026-11-23T05:59:59.9Z", "2026-11-23T06:00:00Z"),
        (&weekend, &["a"], "2026-11-23T06:00:00Z", "open"),
        (&weekend, &[], "2026-11-21T14:00:00Z", "open"),
    ]);
}

#[test]
fn windows_that_overlap_are_one() {
    let two = [window("0 18 * * *", "3h", "UTC"), window("0 20 * * *", "4h", "UTC")];
    let touching = [window("0 18 * * *", "3h", "UTC"), window("0 21 * * *", "1h", "UTC")];
    let own = [window("0 * * * *", "90m", "UTC")];
    let spelled = [window("0 8-17 * * MON-FRI", "1h", "UTC")];
    check(&[
        (&two, &["a"], "2026-11-21T19:00:00Z", "2026-11-22T00:00:00Z"),
        (&two, &["a"], "2026-11-21T23:59:00Z", "2026-11-22T00:00:00Z"),
        (&touching, &["a"], "2026-11-21T20:00:00Z", "2026-11-21T22:00:00Z"),
        (&own, &["a"], "2026-11-21T19:00:00Z", "never"),
        (&spelled, &["a"], "2026-11-20T09:30:00Z", "2026-11-20T18:00:00Z"),
    ]);
}

#[test]
fn a_window_is_about_what_it_names() {
    let some = [about(window("0 18 * * *", "3h", "UTC"), &["stripe", "acme-*"])];
    let two = [
        about(window("0 18 * * *", "3h", "UTC"), &["stripe"]),
        about(window("0 18 * * *", "5h", "UTC"), &["acme-*"]),
    ];
    // While one is open the other is frozen, and back: a plan of both waits until the day ends.
    let turns = [
        about(window("0 0-22/2 * * *", "1h", "UTC"), &["a"]),
        about(window("0 1-21/2 * * *", "1h", "UTC"), &["b"]),
    ];
    check(&[
        (&some, &["slack"], "2026-11-21T19:00:00Z", "open"),
        (&some, &["slack", "acme-crm"], "2026-11-21T19:00:00Z", "2026-11-21T21:00:00Z"),
        (&two, &["stripe"], "2026-11-21T19:00:00Z", "2026-11-21T21:00:00Z"),
        (&two, &["stripe", "acme-crm"], "2026-11-21T19:00:00Z", "2026-11-21T23:00:00Z"),
        (&turns, &["a"], "2026-11-21T14:30:00Z", "2026-11-21T15:00:00Z"),
        (&turns, &["a", "b"], "2026-11-21T14:30:00Z", "2026-11-21T23:00:00Z"),
    ]);
}

#[test]
fn where_windows_allow_the_rest_is_frozen() {
    let night = [allow("0 2 * * *", "2h")];
    let either = [allow("0 2 * * *", "2h"), allow("0 14 * * *", "1h")];
    let denied = [allow("0 2 * * *", "2h"), window("0 1 * * *", "90m", "UTC")];
    let swallowed = [allow("0 2 * * *", "2h"), window("0 1 * * SAT", "24h", "UTC")];
    let one = [about(allow("0 2 * * *", "2h"), &["stripe"])];
    check(&[
        (&night, &["a"], "2026-11-21T03:00:00Z", "open"),
        (&night, &["a"], "2026-11-21T04:00:00Z", "2026-11-22T02:00:00Z"),
        (&either, &["a"], "2026-11-21T04:00:00Z", "2026-11-21T14:00:00Z"),
        (&either, &["a"], "2026-11-21T14:59:00Z", "open"),
        (&denied, &["a"], "2026-11-21T02:15:00Z", "2026-11-21T02:30:00Z"),
        (&denied, &["a"], "2026-11-21T00:15:00Z", "2026-11-21T02:30:00Z"),
        (&swallowed, &["a"], "2026-11-21T00:15:00Z", "2026-11-22T02:00:00Z"),
        (&one, &["slack"], "2026-11-21T04:00:00Z", "open"),
        (&one, &["slack", "stripe"], "2026-11-21T04:00:00Z", "2026-11-22T02:00:00Z"),
    ]);
}

/// On 29 March 2026 the clock of Berlin goes from 02:00 to 03:00, on 25 October from 03:00 back to 02:00.
#[test]
fn the_clock_of_berlin_is_followed() {
    let evening = [window("0 18 * * *", "1h", BERLIN)];
    let weekend = [window("0 18 * * FRI", "60h", BERLIN)];
    let leapt = [window("30 2 * * *", "1h", BERLIN)];
    let hourly = [window("0 * * * *", "10m", BERLIN)];
    check(&[
        // 18:00 is another time in UTC.
        (&evening, &["a"], "2026-03-28T17:30:00Z", "2026-03-28T18:00:00Z"),
        (&evening, &["a"], "2026-03-29T16:30:00Z", "2026-03-29T17:00:00Z"),
        (&evening, &["a"], "2026-03-29T17:30:00Z", "open"),
        (&evening, &["a"], "2026-10-24T16:30:00Z", "2026-10-24T17:00:00Z"),
        (&evening, &["a"], "2026-10-25T17:30:00Z", "2026-10-25T18:00:00Z"),
        // 60 hours pass: the clock shows 07:00 in spring, 05:00 in autumn.
        (&weekend, &["a"], "2026-03-29T12:00:00Z", "2026-03-30T05:00:00Z"),
        (&weekend, &["a"], "2026-10-25T12:00:00Z", "2026-10-26T04:00:00Z"),
        // 02:30 is leapt over: it begins at 03:00, which is 01:00 in UTC.
        (&leapt, &["a"], "2026-03-29T00:59:59Z", "open"),
        (&leapt, &["a"], "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"),
        (&leapt, &["a"], "2026-03-29T02:00:00Z", "open"),
        (&leapt, &["a"], "2026-03-30T00:30:00Z", "2026-03-30T01:30:00Z"),
        // 02:30 comes twice: it begins at the first, 00:30 in UTC, and not again.
        (&leapt, &["a"], "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"),
        (&leapt, &["a"], "2026-10-25T01:29:59Z", "2026-10-25T01:30:00Z"),
        (&leapt, &["a"], "2026-10-25T01:30:00Z", "open"),
        (&leapt, &["a"], "2026-10-25T02:00:00Z", "open"),
        // Every hour is every hour, whatever the clock shows.
        (&hourly, &["a"], "2026-03-29T00:05:00Z", "2026-03-29T00:10:00Z"),
        (&hourly, &["a"], "2026-03-29T01:05:00Z", "2026-03-29T01:10:00Z"),
        (&hourly, &["a"], "2026-10-25T00:05:00Z", "2026-10-25T00:10:00Z"),
        (&hourly, &["a"], "2026-10-25T01:05:00Z", "2026-10-25T01:10:00Z"),
        (&hourly, &["a"], "2026-10-25T01:15:00Z", "open"),
    ]);
}

/// On 8 March 2026 the clock of New York goes from 02:00 to 03:00, on 1 November from 02:00 back to 01:00.
#[test]
fn the_clock_of_new_york_is_followed() {
    let leapt = [window("30 2 * * *", "1h", NEW_YORK)];
    let twice = [window("30 1 * * *", "1h", NEW_YORK)];
    let allowed =
        [json!({ "schedule": "30 2 * * *", "duration": "1h", "timeZone": NEW_YORK, "kind": "Allow" })];
    check(&[
        (&leapt, &["a"], "2026-03-08T06:59:59Z", "open"),
        (&leapt, &["a"], "2026-03-08T07:00:00Z", "2026-03-08T08:00:00Z"),
        (&leapt, &["a"], "2026-03-09T06:30:00Z", "2026-03-09T07:30:00Z"),
        (&twice, &["a"], "2026-11-01T05:29:59Z", "open"),
        (&twice, &["a"], "2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z"),
        (&twice, &["a"], "2026-11-01T06:30:00Z", "open"),
        (&twice, &["a"], "2026-11-02T06:30:00Z", "2026-11-02T07:30:00Z"),
        // What waits for 02:30 goes on right after the leap.
        (&allowed, &["a"], "2026-03-08T05:00:00Z", "2026-03-08T07:00:00Z"),
        (&allowed, &["a"], "2026-03-08T07:59:00Z", "open"),
        (&allowed, &["a"], "2026-11-01T05:00:00Z", "2026-11-01T07:30:00Z"),
    ]);
}

#[test]
fn an_opening_is_told_by_its_day_where_it_is_near() {
    let windows: Vec<FreezeWindow> = vec![
        serde_json::from_value(window("0 18 18 12 *", "408h30m30s", "UTC")).expect("a window"),
        serde_json::from_value(about(window("0 12 * * *", "1h", "UTC"), &["b"])).expect("a window"),
    ];
    let told = |id: &str, now: &str| frozen(&windows, [id], at(now)).map(|frozen| frozen.told(at(now)));
    assert_eq!(told("a", "2026-12-24T12:00:00Z").as_deref(), Some("frozen until 2027-01-04 18:31 UTC"));
    assert_eq!(told("a", "2027-01-01T12:00:00Z").as_deref(), Some("frozen until Mon 18:31 UTC"));
    assert_eq!(told("b", "2027-02-01T12:59:59Z").as_deref(), Some("frozen until Mon 13:00 UTC"));
    let why = frozen(&windows, ["b"], at("2027-02-01T12:59:59Z")).map(|frozen| frozen.because());
    assert_eq!(why.as_deref(), Some("; b is frozen"));
}

#[test]
fn what_is_no_schedule_or_time_zone_is_told() {
    for good in ["0 18 * * FRI", "*/5 * * * *", "0 0 1,15 * 1-5", "30 2 29 2 *", "0 0 * * 7"] {
        assert!(schedule(good).is_ok(), "{good}");
    }
    for (bad, why) in [
        ("0 18 * *", "it has not five fields"),
        ("0 0 18 * * FRI", "it has not five fields"),
        ("@daily", "it has not five fields"),
        ("0 0 30 2 *", "no date is such a day"),
    ] {
        assert_eq!(schedule(bad).err().as_deref(), Some(why), "{bad}");
    }
    for bad in ["0 24 * * *", "60 * * * *", "0 0 * * NEVER", "0 0 32 * *", "*/0 * * * *", "5-1 * * * *"] {
        assert!(schedule(bad).is_err_and(|why| !why.is_empty() && !why.ends_with('.')), "{bad}");
    }
    for (zone, known) in
        [("UTC", true), (BERLIN, true), (NEW_YORK, true), ("Europe/Bielefeld", false), ("", false)]
    {
        assert_eq!(time_zone(zone).is_some(), known, "{zone}");
    }
}

#[test]
fn what_cannot_be_read_stops_everything_and_says_where() {
    let bad: FreezeWindow =
        serde_json::from_value(window("0 18 * * FRI", "1h", "Nowhere/Land")).expect("a window");
    let windows = [bad];
    let told = bad_windows(&windows);
    assert_eq!(
        told,
        [("/spec/freezeWindows/0/timeZone".to_owned(), "`Nowhere/Land` is no time zone".to_owned())]
    );
    let found = frozen(&windows, ["a"], at("2026-11-21T14:00:00Z")).expect("frozen");
    assert_eq!(found.opens, None);
    assert_eq!(found.told(at("2026-11-21T14:00:00Z")), "frozen as long as its windows stand");
    assert_eq!(frozen(&windows, [], at("2026-11-21T14:00:00Z")), None);
}

/// Each integration is named by windows of its own: to ask each set of them would take minutes.
#[test]
fn windows_are_asked_once_however_many_integrations_they_are_about() {
    let ids: Vec<String> = (0..2_000).map(|n| format!("app-{n}")).collect();
    let windows: Vec<Value> = (0..11)
        .map(|bit| {
            let named: Vec<&str> =
                (0..ids.len()).filter(|n| n >> bit & 1 == 1).map(|n| ids[n].as_str()).collect();
            about(window("*/5 * * * *", "6m", "UTC"), &named)
        })
        .collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let started = std::time::Instant::now();
    assert_eq!(until(&windows, &ids, "2026-11-21T14:00:00Z"), "never");
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}
