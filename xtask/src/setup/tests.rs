#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn the_archive_is_found_in_both_formats_of_sources() {
    let old =
        "# deb http://no.example/debian x main\ndeb [arch=amd64] http://a.example/debian b main";
    assert_eq!(apt::address_in(old).unwrap(), "http://a.example/debian");
    let new =
        "Types: deb\nURIs: http://a.example/debian-security\nURIs: http://b.example/debian/\n";
    assert_eq!(apt::address_in(new).unwrap(), "http://b.example/debian/");
    assert_eq!(apt::address_in("deb http://a.example/other b main"), None);
}

#[test]
fn the_file_of_paths_reads_back() {
    let peers = parse_env("# head\nREDIX_SUITE=/a b/c\nREDIX_PYTHON=/d=e\n");
    assert_eq!(peers["REDIX_SUITE"], Path::new("/a b/c"));
    assert_eq!(peers["REDIX_PYTHON"], Path::new("/d=e"));
    assert_eq!(peers.len(), 2);
}
