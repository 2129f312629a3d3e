//! `sower diff`: environment against environment, from the rows. Writes nothing.

use std::collections::{BTreeMap, BTreeSet};

use sower_core::between::{self, Carried, Difference};
use sower_core::plan::Verb;
use sower_core::snapshot::{full_revision, short_revision};
use sower_store::{Definition, EnvironmentRow, Listed, Store};

use crate::cli::DiffArgs;
use crate::commands::Context;
use crate::commands::explain::evidence::Ground;
use crate::commands::explain::verdict::Verdict;
use crate::commands::plan::{field, inside_of};
use crate::failure::{Exit, Failure};
use crate::output::document::Fields;
use crate::output::progress::Progress;
use crate::output::{changes, document};
use crate::session::{Member, Session};

/// Runs it.
///
/// # Errors
/// Usage, or where a database does not answer. Where sources cannot be read, what differs is shown without its reasons.
pub async fn run(args: &DiffArgs, context: &Context) -> Result<Exit, Failure> {
    let session = Session::ask_two(&args.at, [&args.from, &args.to], context).await?;
    let [from, to] = session.members.as_slice() else {
        let names: Vec<&str> = session.members.iter().map(Member::name).collect();
        return Err(Failure::usage(format!("two environments are compared, not {}", names.join(", "))));
    };
    let progress = Progress::start(&context.style, "comparing");
    let (from, to) = futures::try_join!(Side::read(&session, from), Side::read(&session, to))?;
    let (from_rows, to_rows) = (from.checksums(), to.checksums());
    let asked = between::in_question(&from_rows, &to_rows);
    let (from_here, to_here) =
        futures::try_join!(from.carried(&session, &asked), to.carried(&session, &asked))?;
    let different = asked
        .iter()
        .filter_map(|id| between::difference(id, from_here.contents.get(*id), to_here.contents.get(*id)));
    let different: Vec<Difference> = different.collect();
    let mut why = BTreeMap::new();
    if !different.is_empty() {
        let (left, right) = futures::join!(
            verdicts(&session, &from, &from_here.definitions, &different),
            verdicts(&session, &to, &to_here.definitions, &different),
        );
        session.say_source();
        let mut failures: Vec<Failure> = Vec::new();
        for verdicts in [left, right] {
            match verdicts {
                Ok(verdicts) => {
                    for (id, verdict) in verdicts {
                        why.entry(id).or_insert_with(Vec::new).push(verdict);
                    }
                }
                Err(failure) if failures.contains(&failure) => {}
                Err(failure) => failures.push(failure),
            }
        }
        failures.iter().for_each(|failure| context.style.note(&unexplained(failure)));
    }
    drop(progress);
    session.say_from(None, true);
    let ids = from_rows.keys().chain(to_rows.keys()).collect::<BTreeSet<_>>().len();
    let compared = Compared { from: &from, to: &to, same: ids - different.len(), different, why };
    let exit = match args.exit_code && !compared.different.is_empty() {
        true => session.exit.worse(Exit::Differences),
        false => session.exit,
    };
    if document::write(&context.style, args.output, &compared.described())? {
        return Ok(exit);
    }
    let rest = format!("sower diff {} {}{} | less", args.from, args.to, session.flags());
    let text = changes::bounded(compared.lines(), context.style.terminal, &rest);
    let gap = if text.is_empty() { "" } else { "\n" };
    context.style.say(&format!("{text}{gap}{}\n", compared.summary()));
    Ok(exit)
}

/// Why what differs is not explained: the rows were compared all the same.
fn unexplained(failure: &Failure) -> String {
    format!("warning: what keeps each from being there is not told: {}", failure.message)
}

/// One of the two environments, with what it carries.
struct Side<'a> {
    member: &'a Member,
    store: Store,
    row: Option<EnvironmentRow>,
    listed: Vec<Listed>,
}

/// What a side carries of the integrations in question.
struct Here {
    definitions: BTreeMap<String, Definition>,
    contents: BTreeMap<String, Carried>,
}

impl<'a> Side<'a> {
    async fn read(session: &Session, member: &'a Member) -> Result<Self, Failure> {
        let store = session.store(member).await.inspect_err(|_| session.say_from(None, true))?;
        let read = async {
            let row = store.environment(member.name()).await?;
            Ok((row, store.integrations(Some(member.name())).await?))
        };
        let read: Result<_, sower_store::StoreError> = read.await;
        let (row, listed) = read.map_err(|error| session.trouble(&error.into(), member))?;
        Ok(Self { member, store, row, listed })
    }

    fn checksums(&self) -> BTreeMap<&str, Option<&str>> {
        self.listed.iter().map(|row| (row.id.as_str(), row.checksum.as_deref())).collect()
    }

    async fn carried(&self, session: &Session, asked: &[&str]) -> Result<Here, Failure> {
        let carried = self.checksums();
        let ids: Vec<&str> = asked.iter().copied().filter(|id| carried.contains_key(id)).collect();
        let read = self.store.definitions(self.member.name(), &ids).await;
        let read = read.map_err(|error| session.trouble(&error.into(), self.member))?;
        let content = |one: &Definition| Carried {
            version: one.listed.version.clone(),
            manifest: serde_json::from_str(&one.manifest).unwrap_or_default(),
        };
        let contents = read.iter().map(|one| (one.listed.id.clone(), content(one))).collect();
        Ok(Here { definitions: read.into_iter().map(|one| (one.listed.id.clone(), one)).collect(), contents })
    }

    /// `staging (main@3f2c1a9)`.
    fn shown(&self) -> String {
        let revision = self.row.as_ref().map(|row| short_revision(row.revisions()));
        let revision = revision.filter(|revision| !revision.is_empty());
        format!("{} ({})", self.member.name(), revision.as_deref().unwrap_or("not seeded"))
    }

    fn revision(&self) -> Option<String> {
        self.row.as_ref().map(|row| full_revision(row.revisions())).filter(|revision| !revision.is_empty())
    }
}

/// What becomes of each of these on one side, as `sower explain` judges it.
async fn verdicts(
    session: &Session,
    side: &Side<'_>,
    carried: &BTreeMap<String, Definition>,
    different: &[Difference],
) -> Result<Vec<(String, Verdict)>, Failure> {
    let ground = Ground::of(session, side.member, &side.store).await?;
    let mut verdicts = Vec::new();
    for Difference { id, .. } in different {
        let evidence = ground.about(&side.store, side.member, id, carried.get(id).cloned()).await;
        let evidence = evidence.map_err(|error| session.trouble(&error.into(), side.member))?;
        verdicts.push((id.clone(), Verdict::of(side.member, &evidence, id)));
    }
    Ok(verdicts)
}

/// Two environments, compared.
struct Compared<'a> {
    from: &'a Side<'a>,
    to: &'a Side<'a>,
    same: usize,
    different: Vec<Difference>,
    why: BTreeMap<String, Vec<Verdict>>,
}

impl Compared<'_> {
    fn count(&self, verb: Verb) -> usize {
        self.different.iter().filter(|one| one.verb() == verb).count()
    }

    /// One entry for each integration: what differs inside it, and what keeps it so.
    fn lines(&self) -> Vec<String> {
        self.different.iter().map(|one| format!("{}{}", self.head(one), self.reasons(&one.id))).collect()
    }

    fn head(&self, one: &Difference) -> String {
        let (mark, id) = (changes::mark(one.verb()), &one.id);
        match (&one.from, &one.to) {
            (Some(from), Some(to)) => {
                let versions = if from == to { from.clone() } else { format!("{from} -> {to}") };
                format!("{mark} {id} {versions}   {}{}", one.means().as_str(), inside_of(&one.inside))
            }
            (Some(version), None) => format!("{mark} {id} {version}   only in {}", self.from.member.name()),
            (None, version) => {
                let version = version.as_deref().unwrap_or_default();
                format!("{mark} {id} {version}   only in {}", self.to.member.name())
            }
        }
    }

    fn reasons(&self, id: &str) -> String {
        let verdicts = self.why.get(id).into_iter().flatten();
        let lines = verdicts.flat_map(|verdict| {
            verdict.why().into_iter().map(|why| format!("\n    {}: {why}", verdict.environment()))
        });
        lines.collect()
    }

    fn summary(&self) -> String {
        format!(
            "{} and {}: {} only in {}, {} only in {}, {} different, {} the same",
            self.from.shown(),
            self.to.shown(),
            self.count(Verb::Remove),
            self.from.member.name(),
            self.count(Verb::Create),
            self.to.member.name(),
            self.count(Verb::Update),
            self.same
        )
    }

    /// For programs, in the manner of a plan: `create` is what only the second environment carries.
    fn described(&self) -> Fields {
        let change = |one: &Difference| {
            let kind = if one.verb() == Verb::Remove { "delete" } else { one.verb().as_str() };
            let why: Vec<Fields> = self.why.get(&one.id).into_iter().flatten().map(Verdict::brief).collect();
            Fields::default()
                .with("integration", &one.id)
                .with("kind", kind)
                .with("from", &one.from)
                .with("to", &one.to)
                .with("compatibility", one.means())
                .with("fields", one.inside.iter().map(field).collect::<Vec<_>>())
                .with("why", why)
        };
        Fields::default()
            .with("from", self.from.member.name())
            .with("to", self.to.member.name())
            .with("fromRevision", self.from.revision())
            .with("toRevision", self.to.revision())
            .with("create", self.count(Verb::Create))
            .with("update", self.count(Verb::Update))
            .with("delete", self.count(Verb::Remove))
            .with("unchanged", self.same)
            .with("changes", self.different.iter().map(change).collect::<Vec<_>>())
            .with("errors", Vec::<Fields>::new())
    }
}
