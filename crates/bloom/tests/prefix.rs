//! Prefixes in filters.

use bloom::{Builder, Filter, Kind, PrefixRule};

fn filter(kind: Kind, rule: Option<PrefixRule>, keys: &[&[u8]]) -> Filter<Vec<u8>> {
    let mut builder = Builder::new(kind, 14.0);
    if let Some(rule) = rule {
        builder = builder.with_prefixes(rule);
    }
    for key in keys {
        builder.add(key);
    }
    Filter::decode(builder.finish()).expect("its own bytes")
}

#[test]
fn every_prefix_of_a_member_is_found_and_most_others_are_not() {
    let keys: Vec<Vec<u8>> =
        (0..2_000u32).map(|n| format!("{:04}/{n}", n / 4).into_bytes()).collect();
    let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    for &kind in Kind::ALL {
        for rule in [PrefixRule::Fixed(4), PrefixRule::UpTo(b'/')] {
            let filter = filter(kind, Some(rule), &keys);
            assert_eq!(filter.prefix_rule(), Some(rule));
            assert_eq!(filter.keys(), 2_000 + 500, "a prefix counts once for its run of keys");
            for key in &keys {
                assert!(filter.may_contain(key));
                for length in 0..=key.len() {
                    assert!(filter.may_contain_prefix(&key[..length]), "{kind:?} {rule:?} {key:?}");
                }
            }
            let absent = (5_000..7_000u32)
                .filter(|n| filter.may_contain_prefix(format!("{n:04}/x").as_bytes()))
                .count();
            assert!(absent < 60, "{absent} of 2000 absent prefixes");
        }
    }
}

#[test]
fn without_prefixes_the_answer_is_maybe() {
    let plain = filter(Kind::DoubleProbe, None, &[b"key"]);
    assert!(plain.may_contain_prefix(b"zzz") && plain.prefix_rule().is_none());
    let short = filter(Kind::DoubleProbe, Some(PrefixRule::Fixed(4)), &[b"abc"]);
    assert!(short.may_contain_prefix(b"ab"), "a key too short for the rule is still found");
    let empty = filter(Kind::DoubleProbe, Some(PrefixRule::Fixed(1)), &[]);
    assert!(!empty.may_contain_prefix(b"ab"));
}
