use super::*;

#[test]
fn every_code_has_a_page_under_its_name() {
    for (code, page) in CODES {
        assert!(page.starts_with(&format!("# {code}\n")), "{code}");
    }
    assert!(CODES.is_sorted_by(|left, right| left.0 < right.0));
}
