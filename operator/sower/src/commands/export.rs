//! `sower export`: the catalog of a database, written back as manifests that seed to the same rows.

use std::path::Path;

use sower_core::adopt::{Composed, composed};
use sower_core::catalog::Annotations;
use sower_core::manifest::{Written, checksum, written};
use sower_store::{Exported, Store, StoreError, Strangers};

use crate::backup::Backup;
use crate::cli::{ExportArgs, Which};
use crate::commands::Context;
use crate::failure::{Exit, Failure};
use crate::output::changes::some;
use crate::session::{Member, Session};

/// Integrations whose hand-made rows are read at a time.
const PAGE: usize = 200;
/// Documents that Sower reads of one file.
const ONE_FILE: usize = 1000;

/// Runs it.
///
/// # Errors
/// Usage, where it is not plain which environment is meant; refused, where the folder is somebody's own; else where the
/// database does not answer or the folder cannot be written.
pub async fn run(args: &ExportArgs, context: &Context) -> Result<Exit, Failure> {
    let which = Which { environment: args.environment.clone(), all_namespaces: false };
    let session = Session::ask(&args.at, &which, context).await?;
    session.some_environment()?;
    if let [first, _, ..] = session.members.as_slice() {
        let names: Vec<&str> = session.members.iter().map(Member::name).collect();
        return Err(Failure::usage(format!("which environment? There are {}", names.join(", ")))
            .next("one", format!("sower export -e {}{}", first.name(), session.flags())));
    }
    let (answers, mut exit) = session
        .each(async |member| {
            let store = session.rows(member).await?;
            let mut out = Out::open(args.dir.as_deref(), context)?;
            let strangers = match args.foreign {
                true => foreign(&session, &store, member, &mut out).await?,
                false => seeded(&session, &store, member, &mut out).await?,
            };
            Ok((out, strangers))
        })
        .await?;
    for (member, (out, strangers)) in answers {
        if !out.off.is_empty() {
            exit = exit.worse(Exit::Failed);
        }
        out.end(args, &session, member, &strangers)?;
    }
    Ok(exit)
}

/// Where manifests go, and what is to be said of them.
struct Out<'a> {
    context: &'a Context,
    folder: Option<Backup>,
    count: usize,
    /// Integrations whose document does not restore what is there.
    off: Vec<String>,
}

/// What ends an export.
enum Ends {
    Store(StoreError),
    Failure(Failure),
}

impl From<StoreError> for Ends {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl<'a> Out<'a> {
    fn open(dir: Option<&Path>, context: &'a Context) -> Result<Self, Failure> {
        Ok(Self { context, folder: dir.map(Backup::open).transpose()?, count: 0, off: Vec::new() })
    }

    /// Writes one integration.
    fn put(&mut self, id: &str, manifest: &str, annotations: Annotations) -> Result<(), Failure> {
        match written(manifest, annotations) {
            // The folder is named by what the manifest says, whose id is one.
            Ok(Written { id: own, .. }) if own != id => {
                self.say_off(id, &format!("it is left out: its manifest is one of {own}"));
            }
            Ok(Written { id, text, off }) => {
                if let Some(off) = off {
                    self.say_off(&id, &format!("Sower would refuse it as it is: {off}"));
                }
                match &mut self.folder {
                    Some(folder) => folder.put(&id, &text)?,
                    None => self.context.style.raw(&format!("---\n{text}")),
                }
                self.count += 1;
            }
            Err(why) => self.say_off(id, &format!("it is left out: {why}")),
        }
        Ok(())
    }

    fn say_off(&mut self, id: &str, why: &str) {
        self.context.style.note(&format!("warning: {}: {why}", printable(id)));
        self.off.push(id.to_owned());
    }

    fn end(
        self,
        args: &ExportArgs,
        session: &Session,
        member: &Member,
        strangers: &Strangers,
    ) -> Result<(), Failure> {
        let Self { context, folder, count, off } = self;
        let (style, name) = (&context.style, member.name());
        let many = match count {
            1 => "1 integration".to_owned(),
            several => format!("{several} integrations"),
        };
        match (folder, &args.dir) {
            (Some(folder), Some(dir)) => {
                let gone = match folder.finish()? {
                    0 => String::new(),
                    gone => format!("; removed {gone} that it no longer carries"),
                };
                style.say(&format!("Exported {many} of {name} to {}{gone}\n", dir.display()));
            }
            _ if count == 0 && off.is_empty() && strangers.is_empty() => {
                let what = if args.foreign { "no row that Sower did not write" } else { "no integration" };
                style.hint(&format!("{name} holds {what}"));
                return Ok(());
            }
            _ if count > ONE_FILE => style.hint(&format!(
                "{many} are more than Sower reads of one file ({ONE_FILE}): --dir writes one file each"
            )),
            _ => {}
        }
        if args.foreign {
            let dir = args.dir.as_deref().unwrap_or(Path::new("DIR")).display();
            style.hint(&format!("Review them, then: sower adopt {dir} -e {name}{}", session.flags()));
        } else if !strangers.is_empty() {
            let rows = strangers.rows.iter().map(|(kind, id, _)| format!("{} {id}", kind.as_str()));
            let all: Vec<String> =
                strangers.definitions.iter().map(|id| format!("integration {id}")).chain(rows).collect();
            let named = some(all.iter().map(String::as_str), 10);
            style
                .note(&format!("warning: rows that Sower did not write are left out: {}", printable(&named)));
            style.hint(&format!("As manifests: sower export --foreign -e {name}{}", session.flags()));
        }
        Ok(())
    }
}

/// Every integration that is carried.
async fn seeded(
    session: &Session,
    store: &Store,
    member: &Member,
    out: &mut Out<'_>,
) -> Result<Strangers, Failure> {
    let take = |page: Vec<Exported>| -> Result<(), Ends> {
        for one in page {
            if checksum(&one.manifest) != one.checksum {
                let said = "it is no longer what was seeded, and exported as it is: sower drift";
                out.say_off(&one.id, said);
            }
            let annotations = Annotations { prune_disabled: one.prune_disabled, ..Annotations::default() };
            out.put(&one.id, &one.manifest, annotations).map_err(Ends::Failure)?;
        }
        Ok(())
    };
    store.export(member.name(), take).await.map_err(|ends| match ends {
        Ends::Store(error) => session.trouble(&error.into(), member),
        Ends::Failure(failure) => failure,
    })
}

/// The rows that nobody seeded, as the manifests that would have made them.
async fn foreign(
    session: &Session,
    store: &Store,
    member: &Member,
    out: &mut Out<'_>,
) -> Result<Strangers, Failure> {
    let failed = |error: StoreError| session.trouble(&error.into(), member);
    let strangers = store.strangers(member.name()).await.map_err(failed)?;
    let ids: Vec<&str> = strangers.integrations().into_iter().collect();
    for ids in ids.chunks(PAGE) {
        for hand in store.hand_made(member.name(), ids).await.map_err(failed)? {
            let Composed { manifest, refused: _, off } = composed(&hand);
            for one in off {
                let column = one.column.unwrap_or("row");
                out.say_off(&hand.definition.id, &format!("{} {}: {column}: {}", one.kind, one.id, one.said));
            }
            out.put(&hand.definition.id, &manifest, Annotations::default())?;
        }
    }
    Ok(strangers)
}

/// A name that somebody else wrote, without what steers a terminal.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}
