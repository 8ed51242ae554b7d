//! `docs/features.md` names tests as proofs: each must be there.

use std::path::Path;

#[test]
fn every_proof_of_a_feature_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = root.join("docs/features.md");
    if !root.join("Cargo.lock").exists() {
        return; // a crate on its own has no such page
    }
    let page = std::fs::read_to_string(page).unwrap();
    let mut proofs = 0;
    for link in page.split("[`").skip(1) {
        let (label, rest) = link.split_once("`](../").expect("a link to a file");
        let (path, _) = rest.split_once(')').expect("the end of a link");
        let file = root.join(path);
        assert!(file.exists(), "{path} is not there");
        if let Some((_, test)) = label.split_once("::") {
            let code = std::fs::read_to_string(&file).unwrap();
            assert!(code.contains(&format!("fn {test}(")), "{path} has no test {test}");
            proofs += 1;
        }
    }
    assert!(proofs > 50, "only {proofs} proofs were found");
}
