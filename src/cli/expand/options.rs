//! What `mkbc expand` and `mkbc lock` take.

use crate::cli::args::Source;
use clap::{Args, Subcommand};

#[derive(Args)]
pub struct ExpandOptions {
    #[command(flatten)]
    pub source: Source,
    /// Forget the fills in the lock file and look again; those that were taken with --accept stay while their holes do not change
    #[arg(long)]
    pub refresh: bool,
    /// Fail where the lock file does not hold every fill
    #[arg(long, conflicts_with_all = ["refresh", "planner"])]
    pub locked: bool,
    /// Take the lock file's N-th fill of a hole in place of the first, as they are listed
    #[arg(long, value_name = "N", conflicts_with_all = ["refresh", "locked", "planner", "diff"])]
    pub accept: Option<usize>,
    /// The hole that --accept is about, JOB.HOLE, where there are several; or the only one that --refresh and --diff look at, accepted or not
    #[arg(long, value_name = "HOLE")]
    pub hole: Option<String>,
    /// Show how the lock file would change with fills made anew, and leave it as it is
    #[arg(long, conflicts_with = "locked")]
    pub diff: bool,
    /// The cluster for which the limits choose among fills; without it the one that the job names
    #[arg(long)]
    pub cluster: Option<String>,
    /// Rank fills by meaning too, with all-MiniLM-L6-v2, where it is installed here
    #[arg(long, conflicts_with_all = ["locked", "accept"])]
    pub meaning: bool,
    #[command(flatten)]
    pub planner: PlannerOptions,
}

/// Which language model is asked for fills, and how far.
#[derive(Args, Clone)]
pub struct PlannerOptions {
    /// Ask a language model for fills as well: openai:MODEL
    #[arg(long, value_name = "openai:MODEL")]
    pub planner: Option<String>,
    /// The address of an OpenAI-compatible endpoint [default: OPENAI_BASE_URL, else api.openai.com]; the key is in OPENAI_API_KEY
    #[arg(long, value_name = "URL", requires = "planner")]
    pub endpoint: Option<String>,
    /// Independent answers of the model
    #[arg(long, default_value_t = 1, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=16))]
    pub samples: u32,
    /// Answers to each, those included that mend a mistake
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10))]
    pub rounds: u32,
    /// Tokens in all, read and written, after which nothing more is asked
    #[arg(long, default_value_t = 100_000, value_name = "N")]
    pub tokens: u64,
    /// Money after which nothing more is asked: 0.05usd; needs --price
    #[arg(long, value_name = "MONEY", requires = "price")]
    pub budget: Option<String>,
    /// USD for a million tokens read and for a million written: 0.15,0.60
    #[arg(long, value_name = "IN,OUT", requires = "planner")]
    pub price: Option<String>,
    /// Seconds that one answer may take
    #[arg(long, default_value_t = 60.0, value_name = "SECONDS")]
    pub answer_timeout: f64,
}

#[derive(Subcommand)]
pub enum LockCommand {
    /// Check every fill of a lock file against its job and today's library
    Verify(LockOptions),
}

#[derive(Args)]
pub struct LockOptions {
    #[command(flatten)]
    pub source: Source,
}
