//! Freeze windows: whether integrations may change now, and when they may again. A function of windows and a time.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use globset::{Glob, GlobSet, GlobSetBuilder};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};
use sower_crds::FreezeWindow;
use sower_crds::freeze::WindowKind;

/// Most changes between frozen and open that are looked at for an opening: with more, there is none worth waiting for.
const CHANGES: usize = 1000;
/// Windows that open within this time are told by the day of the week.
const A_WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Why something may not change now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen {
    /// From when on all of it may change; none: never, as far as the windows say.
    pub opens: Option<Timestamp>,
    /// The first integration that is frozen, where not all are.
    pub integration: Option<String>,
    /// Name of the window that stops it, where it has one.
    pub window: Option<String>,
    /// It is not inside a window that stops it, but outside of those that let it through.
    pub outside: bool,
}

impl Frozen {
    /// `frozen until Mon 06:00 UTC`.
    #[must_use]
    pub fn told(&self, now: Timestamp) -> String {
        match self.opens {
            Some(opens) => format!("frozen until {}", opening(opens, now)),
            None => "frozen as long as its windows stand".to_owned(),
        }
    }

    /// `; window weekend`, `; stripe is outside of window office-hours`, or nothing.
    #[must_use]
    pub fn because(&self) -> String {
        let place = if self.outside { "outside of" } else { "in" };
        match (&self.integration, &self.window) {
            (None, None) => String::new(),
            (None, Some(window)) => format!("; it is {place} window {window}"),
            (Some(id), Some(window)) => format!("; {id} is {place} window {window}"),
            (Some(id), None) => format!("; {id} is frozen"),
        }
    }
}

/// A time as people read it: its day of the week where it is near, its date where it is not. A minute that has begun
/// is told as the next.
fn opening(at: Timestamp, now: Timestamp) -> String {
    let minute = at.as_second() + (60 - at.as_second().rem_euclid(60)) % 60;
    let shown = Timestamp::from_second(minute).unwrap_or(at).to_zoned(TimeZone::UTC);
    let near = at.duration_since(now) < A_WEEK;
    shown.strftime(if near { "%a %H:%M UTC" } else { "%Y-%m-%d %H:%M UTC" }).to_string()
}

/// Reads a schedule of five fields.
///
/// # Errors
/// Where it is none, or never comes; in a clause for people.
pub fn schedule(text: &str) -> Result<Cron, String> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    if text.split(' ').filter(|field| !field.is_empty()).count() != 5 {
        return Err("it has not five fields".to_owned());
    }
    let cron = parser.parse(text).map_err(|error| {
        let told = error.to_string();
        told.rsplit(": ")
            .next()
            .unwrap_or(&told)
            .replace("CronPattern", "it")
            .trim_end_matches('.')
            .to_owned()
    })?;
    let some_day = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
    match cron.find_next_occurrence(&some_day, true) {
        Ok(_) => Ok(cron),
        Err(_) => Err("no date is such a day".to_owned()),
    }
}

/// A time zone by its name. The database is part of the program: every Sower knows the same zones.
#[must_use]
pub fn time_zone(name: &str) -> Option<TimeZone> {
    TimeZoneDatabase::bundled().get(name).ok()
}

/// What cannot be read of the windows: the pointer into the resource, and why.
#[must_use]
pub fn bad_windows(windows: &[FreezeWindow]) -> Vec<(String, String)> {
    let bad = |(index, window): (usize, &FreezeWindow)| {
        let (field, why) = Window::new(window).err()?;
        Some((format!("/spec/freezeWindows/{index}/{field}"), why))
    };
    windows.iter().enumerate().filter_map(bad).collect()
}

/// Whether a change of these integrations has to wait at this time. Windows that cannot be read stop everything.
#[must_use]
pub fn frozen<'a>(
    windows: &[FreezeWindow],
    integrations: impl IntoIterator<Item = &'a str>,
    now: Timestamp,
) -> Option<Frozen> {
    if windows.is_empty() {
        return None;
    }
    let mut integrations = integrations.into_iter().peekable();
    let unreadable = Frozen { opens: None, integration: None, window: None, outside: false };
    let read: Result<Vec<Window>, _> = windows.iter().map(Window::new).collect();
    let Ok(windows) = read else { return integrations.peek().map(|_| unreadable) };
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let mut first = None;
    let mut about: BTreeSet<Vec<usize>> = BTreeSet::new();
    let moment = Moment::new(&windows, now);
    for id in integrations {
        let which: Vec<usize> = (0..windows.len()).filter(|at| windows[*at].is_about(id)).collect();
        if first.is_none() {
            first = moment.stop(&which).map(|(_, at, outside)| (id.to_owned(), at, outside));
        }
        about.insert(which);
    }
    let (id, at, outside) = first?;
    let window = &windows[at];
    Some(Frozen {
        opens: opens(&windows, &about, now),
        integration: window.integrations.is_some().then_some(id),
        window: window.name.clone(),
        outside,
    })
}

/// When nothing is stopped any more, of what each of these sets of windows is about.
fn opens(windows: &[Window], about: &BTreeSet<Vec<usize>>, now: Timestamp) -> Option<Timestamp> {
    let mut then = now;
    for _ in 0..=CHANGES {
        let moment = Moment::new(windows, then);
        let mut stops = about.iter().filter_map(|which| moment.stop(which)).peekable();
        if stops.peek().is_none() {
            return Some(then);
        }
        let until: Option<Vec<Timestamp>> = stops.map(|(until, ..)| until).collect();
        then = until?.into_iter().max()?;
    }
    None
}

/// The windows at one time. To search a schedule takes long: each is asked once, however many integrations it is about.
struct Moment<'w> {
    windows: &'w [Window],
    at: Timestamp,
    open_until: Vec<OnceCell<Option<Timestamp>>>,
    next_begin: Vec<OnceCell<Option<Timestamp>>>,
}

impl<'w> Moment<'w> {
    fn new(windows: &'w [Window], at: Timestamp) -> Self {
        let unasked = || vec![OnceCell::new(); windows.len()];
        Self { windows, at, open_until: unasked(), next_begin: unasked() }
    }

    fn open_until(&self, window: usize) -> Option<Timestamp> {
        *self.open_until[window].get_or_init(|| self.windows[window].open_until(self.at))
    }

    fn next_begin(&self, window: usize) -> Option<Timestamp> {
        *self.next_begin[window].get_or_init(|| self.windows[window].next_begin(self.at))
    }

    /// Until when the windows that are about something stop it, the window to name, and whether it is outside of that one.
    /// What comes after is not looked at: another may stop it then.
    fn stop(&self, which: &[usize]) -> Option<(Option<Timestamp>, usize, bool)> {
        let of = |kind: WindowKind| which.iter().copied().filter(move |w| self.windows[*w].kind == kind);
        let denied = of(WindowKind::Deny).filter_map(|w| Some((self.open_until(w)?, w)));
        if let Some((until, window)) = denied.max_by_key(|(until, _)| *until) {
            return Some((Some(until).filter(|until| *until < Timestamp::MAX), window, false));
        }
        let first = of(WindowKind::Allow).next()?;
        if of(WindowKind::Allow).any(|w| self.open_until(w).is_some()) {
            return None;
        }
        Some((of(WindowKind::Allow).filter_map(|w| self.next_begin(w)).min(), first, true))
    }
}

/// A window that was read.
struct Window {
    name: Option<String>,
    cron: Cron,
    duration: SignedDuration,
    zone: TimeZone,
    kind: WindowKind,
    integrations: Option<GlobSet>,
}

impl Window {
    fn new(window: &FreezeWindow) -> Result<Self, (String, String)> {
        let FreezeWindow { name, schedule: text, duration, time_zone: zone, kind, integrations } = window;
        let of = |field: &str, why: String| (field.to_owned(), why);
        let cron = schedule(text).map_err(|why| of("schedule", format!("`{text}` is no schedule: {why}")))?;
        let lasts = duration.duration().map_err(|error| of("duration", error.to_string()))?;
        let read = time_zone(zone).ok_or_else(|| of("timeZone", format!("`{zone}` is no time zone")))?;
        let set =
            |patterns: &Vec<String>| {
                let mut set = GlobSetBuilder::new();
                for (index, pattern) in patterns.iter().enumerate() {
                    let glob = Glob::new(pattern);
                    set.add(glob.map_err(|e| {
                        (format!("integrations/{index}"), format!("`{pattern}`: {}", e.kind()))
                    })?);
                }
                set.build().map_err(|error| of("integrations", error.to_string()))
            };
        Ok(Self {
            name: name.clone(),
            cron,
            duration: SignedDuration::try_from(lasts).unwrap_or(SignedDuration::MAX),
            zone: read,
            kind: *kind,
            integrations: integrations.as_ref().map(set).transpose()?,
        })
    }

    fn is_about(&self, id: &str) -> bool {
        self.integrations.as_ref().is_none_or(|set| set.is_match(id))
    }

    /// When it closes, if it is open. The last beginning says so: all last equally long.
    fn open_until(&self, at: Timestamp) -> Option<Timestamp> {
        let here = at.to_zoned(self.zone.clone());
        let began = self.cron.find_previous_occurrence(&here, true).ok()?.timestamp();
        let until = began.checked_add(self.duration).unwrap_or(Timestamp::MAX);
        (began <= at && at < until).then_some(until)
    }

    fn next_begin(&self, after: Timestamp) -> Option<Timestamp> {
        let here = after.to_zoned(self.zone.clone());
        self.cron.find_next_occurrence(&here, false).ok().map(|begin| begin.timestamp())
    }
}
