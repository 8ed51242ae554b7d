//! Links the system's libraries that features ask for.

fn main() {
    let asked = |feature: &str| std::env::var_os(format!("CARGO_FEATURE_{feature}")).is_some();
    if asked("LEVELDB") {
        println!("cargo:rustc-link-lib=leveldb");
    }
    if asked("ROCKSDB_SYSTEM") {
        println!("cargo:rustc-link-lib=rocksdb");
    }
    #[cfg(feature = "wiredtiger")]
    {
        println!("cargo:rerun-if-changed=src/adapters/wiredtiger.c");
        cc::Build::new().file("src/adapters/wiredtiger.c").opt_level(3).compile("wiredtiger_calls");
        println!("cargo:rustc-link-lib=wiredtiger");
    }
    println!("cargo:rerun-if-changed=build.rs");
}
