//! SurrealKV: an LSM tree in Rust with transactions. One transaction a call; commits are
//! asynchronous and waited for.

use surrealkv::{
    CompactRangeOptions, CompressionType, Durability, LSMIterator as _, Mode, Options, ReadOptions,
    Tree, TreeBuilder,
};
use tokio::runtime::{Builder, Runtime};
use workloads::engine::{Batch, Each, Read};
use workloads::{Engine, Guarantee, Result, Session, Setup};

use super::{Entry, Kind};

pub(super) const ENTRY: Entry = Entry {
    name: "surrealkv",
    kind: Kind::Lsm,
    note: "snappy; Durability::Eventual; synced: Immediate",
    open: |setup| Ok(Box::new(SurrealKv::open(setup)?)),
};

struct SurrealKv {
    tree: Tree,
    runtime: Runtime,
    durability: Durability,
}

impl SurrealKv {
    fn open(setup: &Setup<'_>) -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(2).build()?;
        let options = Options::new()
            .with_path(setup.path.to_path_buf())
            .with_max_memtable_size(setup.write_buffer_bytes)
            .with_block_cache_capacity(setup.cache_bytes as u64)
            .with_compression_per_level(vec![CompressionType::SnappyCompression]);
        let tree = {
            let _inside = runtime.enter();
            TreeBuilder::with_options(options).build()?
        };
        let durability = match setup.guarantee {
            Guarantee::Buffered => Durability::Eventual,
            Guarantee::Synced => Durability::Immediate,
        };
        Ok(Self { tree, runtime, durability })
    }
}

impl Engine for SurrealKv {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(SurrealSession { surreal: self }))
    }

    fn settle(&self) -> Result<()> {
        let _inside = self.runtime.enter();
        // To level 0 only: what is in memory becomes tables, and no more.
        let options = CompactRangeOptions {
            target_level: Some(0),
            flush_memtable: true,
            ..CompactRangeOptions::default()
        };
        Ok(self.tree.compact_range(None, None, &options)?)
    }

    fn compact(&self) -> Result<bool> {
        let _inside = self.runtime.enter();
        self.tree.compact_range(None, None, &CompactRangeOptions::default())?;
        Ok(true)
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.runtime.block_on(self.tree.close())?)
    }
}

struct SurrealSession<'a> {
    surreal: &'a SurrealKv,
}

impl Session for SurrealSession<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.write(&[(key, Some(value))])
    }

    fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.write(&[(key, None)])
    }

    fn write(&mut self, batch: &Batch<'_>) -> Result<()> {
        let mut txn = self.surreal.tree.begin_with_mode(Mode::WriteOnly)?;
        txn.set_durability(self.surreal.durability);
        for (key, value) in batch {
            match value {
                Some(value) => txn.set(*key, *value)?,
                None => txn.delete(*key)?,
            }
        }
        Ok(self.surreal.runtime.block_on(txn.commit())?)
    }

    fn get(&mut self, key: &[u8], read: &mut Read<'_>) -> Result<bool> {
        let txn = self.surreal.tree.begin_with_mode(Mode::ReadOnly)?;
        let found = txn.get(key)?;
        found.as_deref().map(read);
        Ok(found.is_some())
    }

    fn scan(&mut self, from: &[u8], each: &mut Each<'_>) -> Result<()> {
        let txn = self.surreal.tree.begin_with_mode(Mode::ReadOnly)?;
        let mut options = ReadOptions::new();
        options.set_iterate_lower_bound(Some(from.to_vec()));
        let mut entries = txn.range_with_options(&options)?;
        let mut valid = entries.seek_first()?;
        while valid && each(entries.key().user_key(), entries.value()?.as_ref()) {
            valid = entries.next()?;
        }
        Ok(())
    }
}
