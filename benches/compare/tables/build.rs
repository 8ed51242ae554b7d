//! Links the system's RocksDB (Debian: `apt-get install librocksdb-dev`).

fn main() {
    println!("cargo:rustc-link-lib=rocksdb");
}
