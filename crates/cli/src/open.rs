//! Opening a database as the command line says.

use std::path::Path;

use crate::args::{Cli, DurabilityArg, OpenArgs, PresetArg};
use crate::engine::{Db, Durability, Family, FamilyOptions, Options};
use crate::failure::Failure;

/// Whether a database may be made where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Make one.
    Create,
    /// Refuse.
    Refuse,
}

/// Opens the database that `cli` names.
pub(crate) fn open(cli: &Cli, missing: Missing) -> Result<Db, Failure> {
    if cli.read_only || cli.pass_over_damage {
        let why = "this command writes, or must be alone with the database: not with --read-only";
        return Err(Failure::Request(why.into()));
    }
    let mut options = options(&cli.open)?;
    options.create_if_missing = missing == Missing::Create;
    Ok(Db::open(folder(cli)?, options)?)
}

/// A database, and the family in it that the command is about.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) db: Db,
    pub(crate) family: Family,
}

/// Opens the database that `cli` names, and the family in it.
pub(crate) fn open_family(cli: &Cli, missing: Missing) -> Result<Opened, Failure> {
    let db = open(cli, missing)?;
    let name = cli.family.as_deref().unwrap_or(DEFAULT_FAMILY);
    let family = match (db.family(name)?, missing) {
        (Some(family), _) => family,
        (None, Missing::Create) => db.create_family(name, FamilyOptions::from(&db.options()))?,
        (None, Missing::Refuse) => {
            let names = db.families().join(", ");
            let why = format!("there is no family {name}; the database has {names}");
            return Err(Failure::Request(why));
        }
    };
    Ok(Opened { db, family })
}

/// The family that every database has.
pub(crate) const DEFAULT_FAMILY: &str = "default";

/// The folder that `cli` names.
pub(crate) fn folder(cli: &Cli) -> Result<&Path, Failure> {
    cli.db.as_deref().ok_or_else(|| {
        Failure::Request("which database? give its folder with --db DIR, or set LSM_DB".into())
    })
}

/// The engine's options: its defaults, changed by what was given.
pub(crate) fn options(args: &OpenArgs) -> Result<Options, Failure> {
    let mut options = base(args)?;
    apply(args, &mut options)?;
    Ok(options)
}

/// What single options are changed in: a preset, a memory budget, or the engine's defaults.
pub(crate) fn base(args: &OpenArgs) -> Result<Options, Failure> {
    let options = args.preset.map_or_else(Options::default, PresetArg::options);
    let mut budget = 0;
    set_size(args.memory_budget, &mut budget)?;
    Ok(if budget == 0 { options } else { options.with_memory_budget(budget) })
}

/// Changes `options` by the single options that were given.
pub(crate) fn apply(args: &OpenArgs, options: &mut Options) -> Result<(), Failure> {
    if let Some(mode) = args.durability {
        options.durability = match mode {
            DurabilityArg::Sync => Durability::Sync,
            DurabilityArg::Buffered => Durability::Buffered,
            DurabilityArg::None => Durability::None,
        };
    }
    set(args.codec, &mut options.codec);
    set(args.codec_level, &mut options.codec_level);
    set(args.level_codecs.clone().map(|levels| levels.0), &mut options.level_codecs);
    set(args.compression_threads, &mut options.compression_threads);
    set(args.strategy, &mut options.strategy);
    set_size(args.write_buffer, &mut options.write_buffer_bytes)?;
    set_size(args.cache, &mut options.block_cache_bytes)?;
    set_size(args.block, &mut options.block_bytes)?;
    set(args.table, &mut options.table_bytes);
    set(args.filter_bits, &mut options.filter_bits_per_key);
    set(args.size_ratio, &mut options.size_ratio);
    set(args.threads, &mut options.background_threads);
    Ok(())
}

fn set<T>(given: Option<T>, option: &mut T) {
    if let Some(value) = given {
        *option = value;
    }
}

fn set_size(given: Option<u64>, option: &mut usize) -> Result<(), Failure> {
    let Some(bytes) = given else { return Ok(()) };
    *option = usize::try_from(bytes)
        .map_err(|error| Failure::Request(format!("{bytes} bytes: {error}")))?;
    Ok(())
}
