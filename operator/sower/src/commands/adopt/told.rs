//! What an adoption tells: each integration and what became of its rows, and what to do about the rest.

use serde_json::{Value, json};
use sower_core::adopt::Differs;
use sower_core::manifest::LoadedEnvironment;
use sower_store::{Applied, TakenTable};

use super::{Fate, Looked};
use crate::cli::AdoptArgs;
use crate::commands::Context;
use crate::failure::Exit;
use crate::output::changes;
use crate::output::document::Fields;
use crate::output::table::Table;

/// An adoption, as it is told.
pub(super) struct Told<'a> {
    pub(super) environment: &'a LoadedEnvironment,
    pub(super) args: &'a AdoptArgs,
    pub(super) looked: &'a Looked,
    pub(super) applied: Option<&'a Applied>,
}

impl Told<'_> {
    /// Failed, where rows were not adopted that the folder has a manifest of.
    pub(super) fn exit(&self) -> Exit {
        let fails = |fate: &Fate| matches!(fate, Fate::Differs(_) | Fate::Invalid | Fate::Excluded(_));
        match self.looked.fates.iter().any(|(_, fate)| fails(fate)) {
            true => Exit::Failed,
            false => Exit::Done,
        }
    }

    /// For people.
    pub(super) fn tell(&self, context: &Context, flags: &str) {
        let (style, name) = (&context.style, &self.environment.name);
        let dir = self.args.dir.display();
        let lines: Vec<String> = self.looked.fates.iter().map(|(id, fate)| line(id, fate)).collect();
        let rest = format!("sower adopt {dir} -e {name} --dry-run{flags} | less");
        let text = changes::bounded(lines, style.terminal, &rest);
        let gap = if text.is_empty() { "" } else { "\n" };
        style.say(&format!("{}{text}{gap}{}\n", self.tables(), self.summary()));
        let fates = || self.looked.fates.iter().map(|(_, fate)| fate);
        if fates().any(|fate| matches!(fate, Fate::Differs(_))) {
            style.hint(&format!(
                "Write the manifests as the rows are: sower export --foreign -e {name} --dir DIR{flags}; or change the rows"
            ));
        }
        if let Some((id, _)) = self.looked.fates.iter().find(|(_, fate)| matches!(fate, Fate::Excluded(_))) {
            style.hint(&format!("Why it is excluded: sower explain {id} -e {name}{flags}"));
        }
        if fates().any(|fate| matches!(fate, Fate::Unnamed)) {
            style.hint(&format!(
                "Make manifests of the others: sower export --foreign -e {name} --dir DIR{flags}"
            ));
        }
        if self.args.dry_run && !self.looked.adoptions.is_empty() {
            style.hint(&format!("Adopt them: sower adopt {dir} -e {name}{flags}"));
        } else if self.applied.is_some() {
            style.hint(&format!("What a seeding would change now: sower plan -e {name}{flags}"));
        }
    }

    /// What became of the tables of somebody else's.
    fn tables(&self) -> String {
        let Some(taken) = &self.looked.taken else { return String::new() };
        let mut table = Table::new(&["TABLE", "KEPT AS", "COPIED", "ONLY THERE"]);
        for TakenTable { table: name, kept_as, rows, left } in &taken.tables {
            let copied = rows.map_or_else(
                || "-".to_owned(),
                |rows| count(usize::try_from(rows).unwrap_or(usize::MAX), "row"),
            );
            let left = if rows.is_none() { "all of it".to_owned() } else { left.join(", ") };
            table.row([
                name.clone(),
                kept_as.clone(),
                copied,
                if left.is_empty() { "-".to_owned() } else { left },
            ]);
        }
        table.text() + "\n"
    }

    /// `Adopted 14 rows of 2 integrations of production (seeding 1); 1 integration differs`.
    fn summary(&self) -> String {
        let name = &self.environment.name;
        let (integrations, rows) = self.looked.adopted();
        let many = format!("{} of {}", count(rows, "row"), count(integrations, "integration"));
        let mut text = match (self.applied, self.args.dry_run) {
            _ if self.looked.fates.is_empty() => {
                format!("Nothing to adopt: every row of {name} is Sower's own")
            }
            (Some(applied), _) => format!("Adopted {many} of {name} (seeding {})", applied.seq),
            (None, true) if integrations > 0 => format!("Would adopt {many} of {name}"),
            (None, _) => format!("Adopted nothing of {name}"),
        };
        let number =
            |fits: fn(&Fate) -> bool| self.looked.fates.iter().filter(|(_, fate)| fits(fate)).count();
        let differ = number(|fate| matches!(fate, Fate::Differs(_)));
        for (number, word) in [
            (differ, if differ == 1 { "differs" } else { "differ" }),
            (number(|fate| matches!(fate, Fate::Invalid)), "refused"),
            (number(|fate| matches!(fate, Fate::Excluded(_))), "excluded"),
            (number(|fate| matches!(fate, Fate::Unnamed)), "without a manifest"),
        ] {
            if number > 0 {
                text.push_str(&format!(", {number} {word}"));
            }
        }
        text
    }

    /// For programs.
    pub(super) fn document(&self) -> Fields {
        let (integrations, rows) = self.looked.adopted();
        let fates: Vec<Value> = self.looked.fates.iter().map(|(id, fate)| described(id, fate)).collect();
        let table = |one: &TakenTable| json!({"table": one.table, "keptAs": one.kept_as, "rowsCopied": one.rows, "columnsLeft": one.left});
        let tables: Vec<Value> =
            self.looked.taken.iter().flat_map(|taken| &taken.tables).map(table).collect();
        let status = match (self.applied, self.args.dry_run) {
            (Some(_), _) => "completed",
            (None, true) => "planned",
            (None, false) => "unchanged",
        };
        let errors: Vec<Value> = self
            .looked
            .fates
            .iter()
            .filter(|(_, fate)| matches!(fate, Fate::Differs(_) | Fate::Invalid | Fate::Excluded(_)))
            .map(|(id, fate)| json!({"integration": id, "code": word(fate), "message": line(id, fate).lines().next()}))
            .collect();
        Fields::default()
            .with("environment", &self.environment.name)
            .with("seeding", self.applied.map(|applied| format!("{}-{}", self.environment.name, applied.seq)))
            .with("revision", self.looked.planned.reading.revision_full())
            .with("status", status)
            .with("integrationsAdopted", integrations)
            .with("rowsAdopted", rows)
            .with("manifestsBeside", self.looked.beside)
            .with("tables", tables)
            .with("integrations", fates)
            .with("errors", errors)
    }
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn word(fate: &Fate) -> &'static str {
    match fate {
        Fate::Adopted { .. } => "adopted",
        Fate::Differs(_) => "differs",
        Fate::Invalid => "refused",
        Fate::Excluded(_) => "excluded",
        Fate::Unnamed => "unnamed",
    }
}

/// One integration; below it, where its rows are otherwise than the manifest says.
fn line(id: &str, fate: &Fate) -> String {
    match fate {
        Fate::Adopted { version, rows } => format!("+ {id} {version}   {}", count(*rows, "row")),
        Fate::Invalid => format!("! {id}   its manifest is refused"),
        Fate::Excluded(why) => format!("! {id}   excluded, a seeding would take its rows out: {why}"),
        Fate::Unnamed => format!("= {id}   no manifest of it here"),
        Fate::Differs(all) => {
            let rows: String = all.iter().map(|one| format!("\n    {}", difference(one))).collect();
            format!("! {id}   the rows are not what the manifest says{rows}")
        }
    }
}

/// `action slack/post: name: "Post" -> "Post a message"`.
fn difference(one: &Differs) -> String {
    let column = one.column.map(|column| format!("{column}: ")).unwrap_or_default();
    let text = format!("{} {}: {column}{}", one.kind, one.id, one.said);
    text.chars().filter(|c| !c.is_control()).collect()
}

fn described(id: &str, fate: &Fate) -> Value {
    let differences = match fate {
        Fate::Differs(all) => all.as_slice(),
        _ => &[],
    };
    let differences: Vec<Value> = differences
        .iter()
        .map(|one| json!({"kind": one.kind, "id": one.id, "column": one.column, "message": one.said}))
        .collect();
    let (version, rows) = match fate {
        Fate::Adopted { version, rows } => (Some(version), Some(rows)),
        _ => (None, None),
    };
    json!({"integration": id, "fate": word(fate), "version": version, "rows": rows, "differences": differences})
}
