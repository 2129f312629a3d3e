//! The words of the command line: every command, flag and help text.

mod asking;
mod changing;
mod keeping;
mod rollout;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub use asking::{BlameArgs, DiffArgs, DriftArgs, ExplainArgs, HistoryArgs, ResolveArgs, UsageArgs};
pub use changing::{ApplyArgs, PromoteArgs, RecordArgs, RollbackArgs, SeedArgs, SuspendArgs, UsageCommand};
pub use keeping::{AdoptArgs, ExportArgs, ReportArgs, ReportFormat};
pub use rollout::{RolloutArgs, RolloutChangeArgs, RolloutStatusArgs, RolloutVerb};

use crate::past::SeedingName;

/// The first screen: verbs in the order in which one meets them.
const HELP: &str = "\
Keeps an integration catalog in git, and every environment's database equal to it

Usage: sower <COMMAND> [OPTIONS]

Ask:
  status      What every environment holds, and what needs you
  get         List integrations, environments or conflicts
  plan        What a seeding would change
  explain     Why an integration is, or is not, in an environment
  history     The seedings of an environment, newest first
  drift       Rows that no longer are what was seeded
  diff        What one environment holds otherwise than another
  blame       Which seeding last changed each part of an integration
  report      What became of the seedings of a time, as figures and charts
  resolve     Which version of an integration a consumer gets
  usage       How often each version was executed, and how often that failed
Change:
  seed        Make an environment's database equal to git
  apply       Approve a plan that waits, and apply it
  rollback    Make an earlier state of an environment current again
  rollout     See how a new version reaches its users; pause it, go on, end it
  promote     Let integrations in that another environment carries
  suspend     Stop seeding an environment
  resume      Go on seeding it
  export      Write the catalog of an environment back as manifests
  adopt       Take over rows that were made by hand
Write manifests:
  validate    Every problem of every document, in one pass
  rule        What a problem means and how to mend it
Serve and set up:
  run         The operator; with --standalone, files in place of a cluster
  doctor      What is set, where it was set, and whether it answers
  generate    CRDs, the editor's JSON Schema, man pages
  completion  Shell completion

Each has examples: sower <COMMAND> --help
";

/// Keeps an integration catalog in git, and every environment's database equal to it.
#[derive(Debug, Parser)]
#[command(name = "sower", version, override_help = HELP, disable_help_subcommand = true, propagate_version = true)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    /// Flags that every command takes.
    #[command(flatten)]
    pub looks: Looks,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How the output looks.
#[derive(Debug, Clone, Args)]
pub struct Looks {
    /// When to colour (NO_COLOR and CLICOLOR_FORCE are honoured)
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        value_name = "WHEN",
        help_heading = "Looks"
    )]
    pub color: ColorChoice,
    /// No `from:` line, no progress, no hints
    #[arg(short, long, global = true, help_heading = "Looks")]
    pub quiet: bool,
    /// Say what lies beneath; twice for more (or SOWER_LOG)
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Looks")]
    pub verbose: u8,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Where a command acts.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Where it acts")]
pub struct Where {
    /// Files of this checkout, or the resources of a cluster
    #[arg(long, value_enum, value_name = "TARGET")]
    pub target: Option<TargetKind>,
    /// The Environments: a folder or a file (default: environments)
    #[arg(long, value_name = "DIR|FILE")]
    pub environments: Option<PathBuf>,
    /// In place of the environments' own sources: DIR (edits included), DIR#REF or URL[#REF] (commits only)
    #[arg(long, value_name = "SOURCE")]
    pub source: Option<String>,
    /// The database (default: sqlite://.sower/sower.db)
    #[arg(long, value_name = "URL")]
    pub database: Option<String>,
    /// Namespace in the cluster (implies --target cluster)
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Context of the kubeconfig (implies --target cluster)
    #[arg(long, value_name = "CONTEXT")]
    pub context: Option<String>,
    /// The kubeconfig (implies --target cluster)
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// Where acting from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TargetKind {
    /// Files on disk.
    Files,
    /// Resources of a cluster.
    Cluster,
}

/// One environment, or all.
#[derive(Debug, Clone, Default, Args)]
pub struct Which {
    /// The environment
    #[arg(short, long, value_name = "NAME")]
    pub environment: Option<String>,
    /// All namespaces of the cluster (implies --target cluster)
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
}

/// Formats of most commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
    /// For programs and people.
    Yaml,
}

/// Formats of `plan`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum PlanFormat {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
    /// For programs and people.
    Yaml,
    /// For the comment of a merge request.
    Markdown,
}

impl PlanFormat {
    /// The same among those of most commands: what is for people is no document.
    #[must_use]
    pub fn document(self) -> Format {
        match self {
            Self::Table | Self::Markdown => Format::Table,
            Self::Json => Format::Json,
            Self::Yaml => Format::Yaml,
        }
    }
}

/// Formats of `validate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ProblemFormat {
    /// Drawn, with the lines of the manifest.
    #[default]
    Table,
    /// One document for programs.
    Json,
    /// One document for programs and people.
    Yaml,
    /// One line a problem.
    Concise,
    /// Annotations of a pull request.
    Github,
    /// SARIF 2.1.0.
    Sarif,
}

impl ProblemFormat {
    /// The format of a failure, which is no problem: for people where it is no JSON or YAML.
    #[must_use]
    pub fn document(self) -> Format {
        match self {
            Self::Json => Format::Json,
            Self::Yaml => Format::Yaml,
            Self::Table | Self::Concise | Self::Github | Self::Sarif => Format::Table,
        }
    }
}

/// Everything Sower does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// What every environment holds, and what needs you
    #[command(after_help = "Examples:
  sower status                     every environment of this checkout
  sower status -e production       its conditions, failures, plan and last seedings
  sower status -n sower            the environments of a cluster")]
    Status(StatusArgs),
    /// List integrations, environments or conflicts
    #[command(after_help = "Examples:
  sower get integrations                       what each environment holds
  sower get intg -e production -o json         one environment, for programs
  sower get integration slack -e staging -o yaml
  sower get integration slack -e staging --at 2    as seeding 2 left it
  sower get versions slack -e staging              every content it had there
  sower get conflicts
  sower get quarantine             what was rolled back from")]
    Get(GetArgs),
    /// What a seeding would change
    #[command(after_help = "Examples:
  sower plan                       one line per environment
  sower plan -e production         row by row
  sower plan --exit-code -q        3 if there are differences
  sower plan -e production -o json > plan.json    what `sower apply` takes
  sower plan -o markdown           for the comment of a merge request")]
    Plan(PlanArgs),
    /// Why an integration is, or is not, in an environment
    #[command(after_help = "Examples:
  sower explain slack
  sower explain wordpress -e production")]
    Explain(ExplainArgs),
    /// The seedings of an environment, newest first
    #[command(after_help = "Examples:
  sower history -e production
  sower history -e production -o json | jq '.[0]'")]
    History(HistoryArgs),
    /// Rows that no longer are what was seeded
    #[command(after_help = "Examples:
  sower drift                      every environment
  sower drift -e production -o json | jq '.rows[]'
  sower drift --exit-code -q       3 if there is drift")]
    Drift(DriftArgs),
    /// What one environment holds otherwise than another
    #[command(after_help = "Examples:
  sower diff staging production
  sower diff staging production -o json | jq '.changes[]'
  sower diff staging production --exit-code -q    3 if there are differences")]
    Diff(DiffArgs),
    /// Which seeding last changed each part of an integration
    #[command(after_help = "Examples:
  sower blame slack -e production
  sower blame slack -e production -o json | jq '.parts[]'")]
    Blame(BlameArgs),
    /// What became of the seedings of a time, as figures and charts
    #[command(after_help = "Examples:
  sower report                     one line per environment, of the last 30 days
  sower report -e production --since 12h
  sower report -o html > report.html")]
    Report(ReportArgs),
    /// Which version of an integration a consumer gets
    #[command(after_help = "Examples:
  sower resolve stripe -e production --key customer-42
  sower resolve stripe -e production --key customer-42 --label tier=gold -o json    and why
  sower resolve stripe -e production --keys customers.txt    one key a line: prints key<TAB>version
  cut -f1 customers.tsv | sower resolve stripe -e production --keys -")]
    Resolve(ResolveArgs),
    /// How often each version was executed, and how often that failed
    #[command(after_help = "Examples:
  sower usage -e production                    of the last hour
  sower usage stripe --since 7d
  sower usage record stripe -e production --version 1.1.0 --executions 200 --errors 1")]
    Usage(Box<UsageArgs>),
    /// Make an environment's database equal to git
    #[command(alias = "reconcile")]
    #[command(after_help = "Examples:
  sower seed -e development
  sower seed --all
  sower seed -e staging --source .             the files on disk, edits included
  sower seed -e staging --only slack,stripe
  sower seed -e production -n sower            asks the operator of a cluster")]
    Seed(SeedArgs),
    /// Approve a plan that waits, and apply it
    #[command(after_help = "Examples:
  sower apply 7c1e09b4d2f8 -e production
  sower apply plan.json                        of sower plan -e production -o json
  sower apply 7c1e09b4d2f8 -e production -n sower    asks the operator of a cluster")]
    Apply(ApplyArgs),
    /// Make an earlier state of an environment, or an earlier version of one integration, current again
    #[command(after_help = "Examples:
  sower rollback -e production --to 57              as seeding 57 left it
  sower rollback -e production --to main@3f2c1a9    as the last seeding of that revision left it
  sower rollback slack -e production --to 1.0.0     one integration
  sower rollback -e production --undo               takes the last one back, and seeds
  sower get quarantine -e production                what stays out until then")]
    Rollback(RollbackArgs),
    /// See how a new version reaches its users; pause it, go on, end it
    #[command(disable_help_subcommand = true)]
    Rollout(RolloutArgs),
    /// Let integrations in that another environment carries, without waiting any longer
    #[command(after_help = "Examples:
  sower promote stripe --from staging --to production
  sower promote stripe slack --to production --dry-run
  sower explain stripe -e production           what it waits for")]
    Promote(PromoteArgs),
    /// Stop seeding an environment
    #[command(after_help = "Examples:
  sower suspend -e production -n sower")]
    Suspend(SuspendArgs),
    /// Go on seeding it
    #[command(after_help = "Examples:
  sower resume -e production -n sower")]
    Resume(SuspendArgs),
    /// Write the catalog of an environment back as manifests
    #[command(after_help = "Examples:
  sower export -e production --dir backup/integrations
  sower export -e production | less
  sower export --foreign -e production --dir by-hand    rows that Sower did not write")]
    Export(ExportArgs),
    /// Take over rows that were made by hand
    #[command(after_help = "Examples:
  sower adopt integrations -e production --dry-run
  sower adopt integrations -e production")]
    Adopt(AdoptArgs),
    /// Every problem of every document, in one pass
    #[command(after_help = "Examples:
  sower validate                               the environments and every source path
  sower validate integrations/slack            one folder
  sower validate -o github                     annotations of a pull request
  sower validate --strict                      warnings fail, too")]
    Validate(ValidateArgs),
    /// What a problem means and how to mend it
    #[command(after_help = "Examples:
  sower rule bad-version
  sower rule                                   all of them")]
    Rule(RuleArgs),
    /// The operator; with --standalone, files in place of a cluster
    #[command(after_help = "Examples:
  sower run                                    in a cluster, or with a kubeconfig
  sower run --standalone                       this checkout, watched")]
    Run(Box<RunArgs>),
    /// What is set, where it was set, and whether it answers
    #[command(after_help = "Examples:
  sower doctor
  sower doctor -n sower")]
    Doctor(DoctorArgs),
    /// CRDs, the editor's JSON Schema, man pages
    #[command(after_help = "Examples:
  sower generate crds | kubectl apply --server-side -f -
  sower generate schema > manifest.schema.json
  sower generate migrations --engine postgres")]
    Generate(GenerateArgs),
    /// Shell completion
    #[command(after_help = "Examples:
  source <(sower completion bash)
  sower completion zsh > ~/.zfunc/_sower")]
    Completion(CompletionArgs),
    /// Fetches for the parent process (git's time-outs are process-wide)
    #[command(hide = true)]
    FetchChild,
    /// Words for a shell's completion
    #[command(hide = true)]
    Complete(CompleteArgs),
}

/// `sower status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    /// Which environments.
    pub which: Which,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: Format,
    #[command(flatten)]
    /// Where.
    pub at: Where,
}

/// What `sower get` lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Integrations.
    #[value(name = "integrations", aliases = ["integration", "intg"])]
    Integrations,
    /// Environments.
    #[value(name = "environments", aliases = ["environment", "env"])]
    Environments,
    /// Open conflicts.
    #[value(name = "conflicts", aliases = ["conflict"])]
    Conflicts,
    /// What stays out because it was rolled back from.
    #[value(name = "quarantine", aliases = ["quarantined"])]
    Quarantine,
    /// Every content of an integration there ever was.
    #[value(name = "versions", aliases = ["version"])]
    Versions,
}

/// `sower get`.
#[derive(Debug, Args)]
pub struct GetArgs {
    /// integrations (intg), environments (env), conflicts, quarantine or versions
    #[arg(value_enum)]
    pub kind: Kind,
    /// Only this one
    pub name: Option<String>,
    /// The integration as this seeding left it: production-57, or 57 beside -e
    #[arg(long = "at", value_name = "SEEDING")]
    pub at_seeding: Option<SeedingName>,
    #[command(flatten)]
    /// Which environments.
    pub which: Which,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: Format,
    #[command(flatten)]
    /// Where.
    pub at: Where,
}

/// `sower plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    /// Which environments.
    pub which: Which,
    /// Only these integrations
    #[arg(long, value_delimiter = ',', value_name = "ID,ID")]
    pub only: Vec<String>,
    /// What writing unchanged rows again would do
    #[arg(long)]
    pub reseed: bool,
    /// Exit with 3 if there are differences
    #[arg(long)]
    pub exit_code: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: PlanFormat,
    #[command(flatten)]
    /// Where.
    pub at: Where,
}

/// `sower validate`.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// Files or folders in place of the environments and every source path
    pub paths: Vec<PathBuf>,
    /// Warnings fail, too
    #[arg(long)]
    pub strict: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: ProblemFormat,
    /// The Environments: a folder or a file (default: environments)
    #[arg(long, value_name = "DIR|FILE", help_heading = "Where it acts")]
    pub environments: Option<PathBuf>,
    /// The folder whose files are read
    #[arg(long, value_name = "DIR", help_heading = "Where it acts")]
    pub source: Option<String>,
}

/// `sower rule`.
#[derive(Debug, Args)]
pub struct RuleArgs {
    /// The code, as a problem shows it; without one, all
    pub code: Option<String>,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: Format,
}

/// `sower run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Files in place of a cluster: seeds every environment of this checkout, then watches
    #[arg(long)]
    pub standalone: bool,
    /// Address of health, metrics and the API
    #[arg(long, env = "SOWER_LISTEN", default_value = "127.0.0.1:8400", value_name = "ADDRESS:PORT")]
    pub listen: String,
    /// Name of this cluster: first part of what an environment's keeper is called
    #[arg(long, env = "SOWER_CLUSTER_NAME", default_value = "cluster", value_name = "NAME")]
    pub cluster_name: String,
    /// Namespaces to watch; without it, all
    #[arg(long, env = "SOWER_WATCH_NAMESPACES", value_delimiter = ',', value_name = "NAMESPACE,NAMESPACE")]
    pub watch_namespaces: Vec<String>,
    /// Watch Secrets (their metadata), so that a new credential is noticed at once
    #[arg(long, env = "SOWER_WATCH_SECRETS")]
    pub watch_secrets: bool,
    /// Namespace of the Lease; without it, no leader election
    #[arg(long, env = "SOWER_LEASE_NAMESPACE", value_name = "NAMESPACE")]
    pub lease_namespace: Option<String>,
    /// Name of the Lease
    #[arg(long, env = "SOWER_LEASE_NAME", default_value = "sower", value_name = "NAME")]
    pub lease_name: String,
    /// Seconds the Lease lasts
    #[arg(long, env = "SOWER_LEASE_DURATION", default_value_t = 15, value_name = "SECONDS")]
    pub lease_duration: u32,
    /// Environments that are reconciled side by side
    #[arg(long, env = "SOWER_CONCURRENCY", default_value_t = 4, value_name = "N")]
    pub concurrency: u16,
    /// Allow file:// repositories, local paths and SQLite URLs in resources
    #[arg(long, env = "SOWER_ALLOW_LOCAL")]
    pub allow_local: bool,
    /// Folder of a mounted Secret with the database's url (or uri), ca.crt, tls.crt, tls.key
    #[arg(long, env = "SOWER_DATABASE_SECRET", value_name = "DIR", conflicts_with = "standalone")]
    pub database_secret: Option<PathBuf>,
    /// Folder of the git mirrors
    #[arg(long, env = "SOWER_CACHE", value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// File with the bearer token of the API; without one, it answers on loopback alone
    #[arg(long, env = "SOWER_API_TOKEN_FILE", value_name = "FILE")]
    pub api_token_file: Option<PathBuf>,
    /// Log format; by default text on a terminal and JSON elsewhere
    #[arg(long, env = "SOWER_LOG_FORMAT", value_enum, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    #[command(flatten)]
    /// Where.
    pub at: Where,
}

/// Formats of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// `sower doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Output format
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: Format,
    #[command(flatten)]
    /// Where.
    pub at: Where,
}

/// What `sower generate` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Generated {
    /// The CustomResourceDefinitions, as YAML.
    Crds,
    /// The JSON Schema of manifests and environments, for editors.
    Schema,
    /// The SQL of every migration.
    Migrations,
    /// Man pages.
    Man,
    /// The reference pages of docs/.
    Docs,
}

/// Database engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// PostgreSQL 14 or newer.
    Postgres,
    /// SQLite 3.
    Sqlite,
}

/// `sower generate`.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// What to write
    #[arg(value_enum)]
    pub what: Generated,
    /// Write files into this folder instead of standard output
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Engine of the migrations
    #[arg(long, value_enum, default_value = "postgres", value_name = "ENGINE")]
    pub engine: Engine,
}

/// `sower completion`.
#[derive(Debug, Args)]
pub struct CompletionArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// What `sower complete` lists.
#[derive(Debug, Args)]
pub struct CompleteArgs {
    /// environments, integrations, seedings or codes
    pub what: String,
}

/// Every command that is for people, with its words: `sower status`, `sower rollout pause`.
#[must_use]
pub fn every(cli: &clap::Command) -> Vec<(String, &clap::Command)> {
    below(cli, cli.get_name())
}

fn below<'a>(command: &'a clap::Command, words: &str) -> Vec<(String, &'a clap::Command)> {
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
    shown
        .flat_map(|command| {
            let words = format!("{words} {}", command.get_name());
            let more = below(command, &words);
            std::iter::once((words, command)).chain(more)
        })
        .collect()
}
