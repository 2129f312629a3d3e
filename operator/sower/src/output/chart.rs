//! Charts as SVG inside a page: bars, lines and ranks, coloured by the classes of that page, without script.

use std::fmt::Write as _;

/// A text of somebody else's inside HTML, in an element or in a quoted attribute.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // No document of HTML may hold these.
            c if c.is_control() && !c.is_whitespace() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// Width of a chart, in units of its own.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 26.0;
/// Characters of a name beside a bar.
const NAME: usize = 26;

/// One place on the x axis of a chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Below the axis.
    pub label: String,
    /// What a pointer is told.
    pub title: String,
}

/// A colour of the page, by its class, and what it means.
pub type Series = (&'static str, &'static str);

/// Bars, each of several counts on top of each other.
#[must_use]
pub fn stacked(about: &str, series: &[Series], bars: &[(Place, Vec<u64>)]) -> String {
    let top = bars.iter().map(|(_, counts)| counts.iter().sum()).max().unwrap_or(0);
    let scale = Scale::counts(top);
    let mut svg = open(about, HEIGHT);
    scale.draw(&mut svg, |tick| tick.to_string());
    let step = (WIDTH - LEFT - RIGHT) / as_float(bars.len().max(1) as u64);
    let wide = (step * 0.72).min(34.0);
    for (index, (place, counts)) in bars.iter().enumerate() {
        let left = LEFT + step * as_float(index as u64) + (step - wide) / 2.0;
        let _ = write!(svg, "<g><title>{}</title>", escaped(&place.title));
        // A pointer finds an empty bar too.
        let _ = write!(
            svg,
            r#"<rect class="none" x="{:.1}" y="{TOP}" width="{step:.1}" height="{:.1}"/>"#,
            LEFT + step * as_float(index as u64),
            HEIGHT - TOP - BOTTOM
        );
        let mut below = 0;
        for ((class, _), count) in series.iter().zip(counts).filter(|(_, count)| **count > 0) {
            let (from, to) = (scale.y(below), scale.y(below + count));
            below += count;
            let high = (from - to).max(1.0);
            let _ = write!(
                svg,
                r#"<rect class="{class}" x="{left:.1}" y="{:.1}" width="{wide:.1}" height="{high:.1}" rx="1"/>"#,
                from - high
            );
        }
        svg.push_str("</g>");
    }
    labels(&mut svg, bars.iter().map(|(place, _)| place.label.as_str()), step);
    close(svg, series)
}

/// Lines through values, with gaps where there is none; `say` writes a value.
#[must_use]
pub fn lines(
    about: &str,
    series: &[Series],
    points: &[(Place, Vec<Option<u64>>)],
    say: impl Fn(u64) -> String,
) -> String {
    let top = points.iter().flat_map(|(_, values)| values).flatten().max().copied().unwrap_or(0);
    let scale = Scale::milliseconds(top);
    let mut svg = open(about, HEIGHT);
    scale.draw(&mut svg, &say);
    let step = (WIDTH - LEFT - RIGHT) / as_float(points.len().max(1) as u64);
    let x = |index: usize| LEFT + step * (as_float(index as u64) + 0.5);
    for (of, (class, _)) in series.iter().enumerate() {
        let mut path = String::new();
        let mut pen = 'M';
        for (index, (_, values)) in points.iter().enumerate() {
            let Some(value) = values.get(of).copied().flatten() else {
                pen = 'M';
                continue;
            };
            let _ = write!(path, "{pen}{:.1} {:.1}", x(index), scale.y(value));
            pen = 'L';
        }
        let _ = write!(svg, r#"<path class="line {class}" d="{path}"/>"#);
    }
    for (index, (place, values)) in points.iter().enumerate() {
        for ((class, _), value) in series.iter().zip(values) {
            let Some(value) = value else { continue };
            let (title, x, y) = (escaped(&place.title), x(index), scale.y(*value));
            let _ = write!(
                svg,
                r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="2.6"><title>{title}</title></circle>"#
            );
        }
    }
    labels(&mut svg, points.iter().map(|(place, _)| place.label.as_str()), step);
    close(svg, series)
}

/// Bars that lie, longest first, each with its name and count.
#[must_use]
pub fn ranks(about: &str, class: &'static str, rows: &[(&str, u64)]) -> String {
    const ROW: f64 = 24.0;
    const NAMES: f64 = 200.0;
    let top = as_float(rows.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1));
    let mut svg = open(about, ROW * as_float(rows.len() as u64) + 4.0);
    for (index, (name, count)) in rows.iter().enumerate() {
        let y = ROW * as_float(index as u64) + 2.0;
        let wide = ((WIDTH - NAMES - 50.0) * as_float(*count) / top).max(2.0);
        let shown: String = match name.chars().count() {
            0..=NAME => (*name).to_owned(),
            _ => name.chars().take(NAME - 1).chain(['…']).collect(),
        };
        let _ = write!(
            svg,
            r#"<g><title>{}: {count}</title><text class="name" x="{:.1}" y="{:.1}">{}</text><rect class="{class}" x="{NAMES}" y="{y:.1}" width="{wide:.1}" height="16" rx="2"/><text class="count" x="{:.1}" y="{:.1}">{count}</text></g>"#,
            escaped(name),
            NAMES - 10.0,
            y + 12.5,
            escaped(&shown),
            NAMES + wide + 8.0,
            y + 12.5
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn open(about: &str, height: f64) -> String {
    format!(r#"<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{}">"#, escaped(about))
}

/// Ends a chart, with what its colours mean.
fn close(mut svg: String, series: &[Series]) -> String {
    svg.push_str("</svg>\n<p class=\"legend\">");
    for (class, meaning) in series {
        let _ = write!(svg, r#"<span><i class="{class}"></i>{}</span>"#, escaped(meaning));
    }
    svg.push_str("</p>\n");
    svg
}

/// As many labels as fit, evenly apart.
fn labels<'a>(svg: &mut String, all: impl ExactSizeIterator<Item = &'a str>, step: f64) {
    let every = all.len().div_ceil(8).max(1);
    for (index, label) in all.enumerate().step_by(every) {
        let x = LEFT + step * (as_float(index as u64) + 0.5);
        let _ = write!(
            svg,
            r#"<text class="below" x="{x:.1}" y="{:.1}">{}</text>"#,
            HEIGHT - 8.0,
            escaped(label)
        );
    }
}

/// A y axis that begins at nothing.
struct Scale {
    tick: u64,
    ticks: u64,
}

impl Scale {
    fn counts(top: u64) -> Self {
        Self::by(top)
    }

    /// Ticks that people read as times: seconds and minutes go by 60, hours by 24.
    fn milliseconds(top: u64) -> Self {
        const STEPS: [u64; 12] = [
            1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000,
            21_600_000,
        ];
        match STEPS.into_iter().find(|step| top.div_ceil(*step) <= 5) {
            _ if top <= 2_500 => Self::by(top),
            Some(tick) => Self { tick, ticks: top.div_ceil(tick) },
            None => {
                let days = Self::by(top.div_ceil(86_400_000));
                Self { tick: days.tick * 86_400_000, ticks: days.ticks }
            }
        }
    }

    /// Four or five ticks of a round size.
    fn by(top: u64) -> Self {
        let mut unit = 1u64;
        loop {
            for of in [1, 2, 5] {
                let tick = unit.saturating_mul(of);
                let ticks = top.max(1).div_ceil(tick);
                if ticks <= 5 {
                    return Self { tick, ticks };
                }
            }
            unit = unit.saturating_mul(10);
        }
    }

    fn y(&self, value: u64) -> f64 {
        let most = as_float(self.tick) * as_float(self.ticks.max(1));
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * as_float(value) / most
    }

    fn draw(&self, svg: &mut String, say: impl Fn(u64) -> String) {
        for number in 0..=self.ticks.max(1) {
            let value = number * self.tick;
            let y = self.y(value);
            let said = if value == 0 { "0".to_owned() } else { say(value) };
            let _ = write!(
                svg,
                r#"<line class="grid" x1="{LEFT}" x2="{:.1}" y1="{y:.1}" y2="{y:.1}"/><text class="beside" x="{:.1}" y="{:.1}">{}</text>"#,
                WIDTH - RIGHT,
                LEFT - 8.0,
                y + 4.0,
                escaped(&said)
            );
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "what is drawn is far below 2^53, or looks the same")]
fn as_float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_is_no_markup() {
        assert_eq!(
            escaped("<b a=\"1\" c='2'>&\u{7}"),
            "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;\u{fffd}"
        );
        let hostile = "</text><script>alert(1)</script>";
        let place = || Place { label: hostile.into(), title: hostile.into() };
        let charts = [
            stacked(hostile, &[("ok", "done")], &[(place(), vec![3])]),
            lines(hostile, &[("p50", "half")], &[(place(), vec![Some(3)])], |_| hostile.into()),
            ranks(hostile, "ok", &[(hostile, 2)]),
        ];
        assert!(charts.iter().all(|chart| !chart.contains("<script")), "{charts:?}");
    }

    #[test]
    fn an_axis_has_round_ticks_and_holds_its_top() {
        for (top, tick, ticks) in
            [(0, 1, 1), (1, 1, 1), (5, 1, 5), (6, 2, 3), (23, 5, 5), (26, 10, 3), (1_000, 200, 5)]
        {
            let scale = Scale::counts(top);
            assert_eq!((scale.tick, scale.ticks), (tick, ticks), "{top}");
        }
        for (top, tick) in [
            (80, 20),
            (2_400, 500),
            (4_200, 1_000),
            (140_000, 30_000),
            (3 * 3_600_000, 3_600_000),
            (3 * 86_400_000, 86_400_000),
            (400 * 86_400_000, 100 * 86_400_000),
        ] {
            let scale = Scale::milliseconds(top);
            assert_eq!(scale.tick, tick, "{top}");
            assert!(scale.tick * scale.ticks >= top);
        }
        assert!(Scale::counts(u64::MAX).ticks <= 5);
    }

    #[test]
    fn a_gap_breaks_the_line() {
        let place = || Place { label: "x".into(), title: "x".into() };
        let points = [Some(1), None, Some(2), Some(3)].map(|value| (place(), vec![value]));
        let svg = lines("a", &[("p50", "half")], &points, |value| value.to_string());
        let path = svg.split(" d=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
        assert_eq!((path.matches('M').count(), path.matches('L').count()), (2, 1), "{path}");
        assert_eq!(svg.matches("<circle").count(), 3);
    }
}
