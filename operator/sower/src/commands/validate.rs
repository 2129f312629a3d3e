//! `sower validate`: every problem of every document that lies on disk, in one pass.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::json;
use sower_core::manifest;
use sower_core::problem::Problem;
use sower_source::Checkout;

use crate::cli::{Format, ProblemFormat, ValidateArgs, Where};
use crate::commands::Context;
use crate::environments::EnvironmentFiles;
use crate::failure::{Exit, Failure};
use crate::origin;
use crate::output::problems::Excerpt;
use crate::output::{document, problems, time};
use crate::settings::Settings;
use crate::snapshots::{Disk, Read};

/// Runs it.
///
/// # Errors
/// Usage, where a path or the project is not there.
pub fn run(args: &ValidateArgs, context: &Context) -> Result<Exit, Failure> {
    let started = Instant::now();
    let at = Where {
        environments: args.environments.clone(),
        source: args.source.clone(),
        target: Some(crate::cli::TargetKind::Files),
        ..Where::default()
    };
    let settings = Settings::read(&at, false)?;
    let mut checked = Checked { draws: args.output == ProblemFormat::Table, ..Checked::default() };
    if args.paths.is_empty() {
        everything(&settings, &mut checked)?;
    } else {
        named(&settings, &args.paths, &mut checked)?;
    }
    checked.problems.sort_by(|(a, _), (b, _)| {
        (&a.file, a.line, a.column, a.code, &a.message).cmp(&(&b.file, b.line, b.column, b.code, &b.message))
    });
    checked.problems.dedup_by(|(a, _), (b, _)| a == b);
    let took = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    print(&checked, args.output, took, context)?;
    let failed = checked.problems.iter().any(|(problem, _)| args.strict || problem.is_error());
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

/// What was looked at, and what was found.
#[derive(Default)]
struct Checked {
    /// Whether problems are drawn with their lines.
    draws: bool,
    /// Problems, each with what is drawn of its line.
    problems: Vec<(Problem, Option<Excerpt>)>,
    /// The documents of integrations: file and number in it; and whether it has a problem.
    integrations: BTreeSet<(String, u32)>,
    /// Those of them with a problem.
    off: BTreeSet<(String, u32)>,
    environments: usize,
    environments_off: usize,
    /// A document has as many problems as are noted of one: there may be more.
    cut: bool,
}

impl Checked {
    fn environments(&mut self, files: EnvironmentFiles) {
        self.environments += files.environments.len() + files.invalid;
        let off: BTreeSet<&str> = files.problems.iter().map(|problem| problem.file.as_str()).collect();
        self.environments_off += off.len().max(files.invalid);
        self.cut |= files.problems.chunk_by(|a, b| a.file == b.file).any(manifest::is_cut);
        let line = |p: &Problem| if self.draws { files.line(&p.file, p.line) } else { None };
        let excerpt = |p: &Problem| line(p).map(|line| problems::excerpt(&line, p));
        self.problems.extend(files.problems.iter().map(|p| (p.clone(), excerpt(p))));
    }

    fn integrations(&mut self, read: Read) {
        for found in &read.found {
            let document = (read.shown(&found.place.path), found.place.document);
            if !found.problems.is_empty() {
                self.off.insert(document.clone());
            }
            self.cut |= manifest::is_cut(&found.problems);
            self.integrations.insert(document);
            for problem in &found.problems {
                let excerpt = if self.draws { read.excerpt(problem) } else { None };
                self.problems.push((Problem { file: read.shown(&problem.file), ..problem.clone() }, excerpt));
            }
        }
    }
}

/// The environments, and every source path that they name.
fn everything(settings: &Settings, checked: &mut Checked) -> Result<(), Failure> {
    settings.project().map_err(|mut failure| {
        failure.next.retain(|(label, _)| label != "cluster");
        failure.next("or", "sower validate PATH")
    })?;
    let mut files = origin::environment_files(settings)?;
    // A single file is part of something else.
    if settings.environments.value.is_dir() {
        files.problems.extend(files.not_there(&EnvironmentFiles::default()));
    }
    let mut places: BTreeSet<(PathBuf, String)> = BTreeSet::new();
    for environment in &files.environments {
        places.extend(origin::on_disk(settings, &environment.name, &environment.spec));
    }
    if files.environments.is_empty() {
        places.extend(origin::on_disk(settings, "", &sower_crds::EnvironmentSpec::default()));
    }
    checked.environments(files);
    for (folder, path) in places {
        checked.integrations(Disk::new(&folder, settings)?.load(&path)?);
    }
    Ok(())
}

/// The documents below these paths; a file named here is a manifest.
fn named(settings: &Settings, paths: &[PathBuf], checked: &mut Checked) -> Result<(), Failure> {
    for path in paths {
        let full = path
            .canonicalize()
            .map_err(|_| Failure::usage(format!("no file or folder `{}`", path.display())))?;
        let inside = settings.root.as_deref().and_then(|root| root.canonicalize().ok());
        let own = if full.is_dir() { full.as_path() } else { full.parent().unwrap_or(Path::new("/")) };
        // What a manifest refers to may lie anywhere in its repository.
        let repository = || Checkout::discover(own).ok().and_then(|checkout| checkout.top());
        let folder = match inside.filter(|root| full.starts_with(root)).or_else(repository) {
            Some(root) if full.starts_with(&root) => root,
            _ => own.to_path_buf(),
        };
        let below = full.strip_prefix(&folder).unwrap_or(Path::new("")).to_string_lossy().into_owned();
        let disk = Disk::new(&folder, settings)?;
        let read = if full.is_dir() { disk.load(&below)? } else { disk.load_file(&below)? };
        let mut files = read.environments();
        if full.is_dir() && !files.environments.is_empty() {
            // Others may lie where this checkout has its own.
            let others =
                settings.environments.value.is_dir().then(|| origin::environment_files(settings).ok());
            files.problems.extend(files.not_there(&others.flatten().unwrap_or_default()));
        }
        checked.environments(files);
        checked.integrations(read);
    }
    Ok(())
}

fn print(checked: &Checked, format: ProblemFormat, took: u64, context: &Context) -> Result<(), Failure> {
    let style = &context.style;
    let all = || checked.problems.iter().map(|(problem, _)| problem);
    match format {
        ProblemFormat::Table => {
            let drawn = checked.problems.iter().map(|(p, e)| problems::drawn_with(p, e.as_ref(), style.out));
            style.raw(&drawn.collect::<String>());
            style.hint(&summary(checked, took));
        }
        ProblemFormat::Concise => style.say(&all().map(|problem| format!("{problem}\n")).collect::<String>()),
        ProblemFormat::Github => {
            style.say(&all().map(|p| format!("{}\n", problems::github(p))).collect::<String>())
        }
        ProblemFormat::Sarif => {
            let all: Vec<Problem> = all().cloned().collect();
            document::write(style, Format::Json, &problems::sarif(&all))?;
        }
        ProblemFormat::Json | ProblemFormat::Yaml => {
            let format = format.document();
            let (errors, warnings): (Vec<&Problem>, Vec<&Problem>) =
                all().partition(|problem| problem.is_error());
            let value = json!({
                "integrations": checked.integrations.len(), "environments": checked.environments,
                "errors": errors, "warnings": warnings, "more": checked.cut, "duration": took,
            });
            document::write(style, format, &value)?;
        }
    }
    Ok(())
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn summary(checked: &Checked, took: u64) -> String {
    let errors = checked.problems.iter().filter(|(problem, _)| problem.is_error()).count();
    let warnings = checked.problems.len() - errors;
    let (mut off, mut fine) = (Vec::new(), Vec::new());
    for (bad, all, noun) in [
        (checked.off.len(), checked.integrations.len(), "integration"),
        (checked.environments_off, checked.environments, "environment"),
    ] {
        match (bad, all) {
            (0, 0) => {}
            (0, all) => fine.push((all, counted(all, noun))),
            (bad, all) => off.push(format!("{bad} of {}", counted(all, noun))),
        }
    }
    let are = if matches!(fine.as_slice(), [(1, _)]) { "is" } else { "are" };
    let fine: Vec<String> = fine.into_iter().map(|(_, text)| text).collect();
    let fine = fine.join(" and ");
    if off.is_empty() {
        return match fine.is_empty() {
            true => format!("no manifest there ({})", time::took(took)),
            false => format!("{fine} {are} fine ({})", time::took(took)),
        };
    }
    let mut kinds = Vec::new();
    if errors > 0 {
        kinds.push(counted(errors, "error"));
    }
    if warnings > 0 {
        kinds.push(counted(warnings, "warning"));
    }
    let fine = if fine.is_empty() { String::new() } else { format!("; {fine} {are} fine") };
    let (least, told) = match checked.cut {
        true => ("at least ", ". Of one document no more are told"),
        false => ("", ""),
    };
    let (kinds, off) = (kinds.join(" and "), off.join(" and "));
    format!("{least}{kinds} in {off}{fine}{told}. What one means: sower rule CODE")
}
