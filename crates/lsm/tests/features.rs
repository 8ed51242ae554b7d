//! `docs/features.md` names tests as proofs, and places in the documentation as examples: each must
//! be there, and no row of tier 1 may be without.

use std::path::{Path, PathBuf};

/// A link to a file: what it names there, the file, and what the file holds.
struct Link {
    label: String,
    file: PathBuf,
    code: String,
}

/// The page and the folder that its links start from; nothing for a crate on its own.
fn page() -> Option<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let there = root.join("Cargo.lock").exists();
    there.then(|| (std::fs::read_to_string(root.join("docs/features.md")).expect("text"), root))
}

fn links(cell: &str, root: &Path) -> Vec<Link> {
    let parse = |link: &str| {
        let (label, rest) = link.split_once("`](../").expect("a link to a file");
        let file = root.join(rest.split_once(')').expect("the end of a link").0);
        let code =
            std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        Link { label: label.into(), file, code }
    };
    cell.split("[`").skip(1).map(parse).collect()
}

/// The cells of each row of the tables, the first of which names the feature.
fn rows(page: &str) -> impl Iterator<Item = Vec<&str>> {
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let cells = rows.map(|line| line.trim_matches('|').split('|').map(str::trim).collect());
    cells.filter(|cells: &Vec<_>| cells.len() == 11 && cells[0] != "Feature")
}

/// Whether the documentation before this line has an example that runs.
fn has_example(lines: &[&str], at: usize) -> bool {
    let doc = lines[..at].iter().rev().take_while(|line| {
        let line = line.trim_start();
        line.starts_with("//") || line.starts_with("#[")
    });
    doc.into_iter().any(|line| ["/// ```", "//! ```"].contains(&line.trim()))
}

/// Checks a place in the documentation: `Type::item`, `item`, `module a::b` or `crate a`.
fn check_example(link: &Link) {
    let (label, file) = (&link.label, link.file.display());
    let lines: Vec<&str> = link.code.lines().collect();
    if label.starts_with("crate ") || label.starts_with("module ") {
        let end = lines.iter().position(|line| !line.starts_with("//!")).unwrap_or(lines.len());
        assert!(has_example(&lines, end), "{file} has no example for {label}");
        return;
    }
    if link.file.components().any(|part| part.as_os_str() == "tests") {
        return check_test(link);
    }
    let name = label.rsplit("::").next().expect("a name");
    let heads = ["pub fn ", "pub struct ", "pub enum ", "pub "];
    let is_item = |line: &str| {
        let rest = heads.iter().find_map(|head| line.trim_start().strip_prefix(head));
        let rest = rest.unwrap_or(line.trim_start()).strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(['(', '<', ':', ' ', ';']))
    };
    let found = (0..lines.len()).any(|at| is_item(lines[at]) && has_example(&lines, at));
    assert!(found, "{file} has no example for {label}");
}

fn check_test(link: &Link) {
    let Some((_, test)) = link.label.split_once("::") else { return };
    let there = link.code.contains(&format!("fn {test}("));
    assert!(there, "{} has no test {test}", link.file.display());
}

#[test]
fn every_proof_and_every_example_of_a_feature_is_there() {
    let Some((page, root)) = page() else { return };
    let (mut proofs, mut examples) = (0, 0);
    for cells in rows(&page) {
        let (feature, tier, here) = (cells[0], cells[7], cells[8]);
        let (proof, example) = (links(cells[9], &root), links(cells[10], &root));
        proof.iter().for_each(check_test);
        example.iter().for_each(check_example);
        proofs += proof.len();
        examples += example.len();
        if tier == "1" {
            assert!(here.starts_with(['Y', 'P']), "{feature} is of tier 1");
            assert!(!proof.is_empty() && !example.is_empty(), "{feature}: a test and an example");
        } else {
            assert!(here == "open" || here == "–" || here.len() > 4 || !proof.is_empty());
        }
    }
    assert!(proofs > 80 && examples > 60, "{proofs} proofs and {examples} examples");
}
