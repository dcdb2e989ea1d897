//! Lists of ciphers and protocols, as operators have them in their configuration files.

use super::*;

/// The names of the suites of TLS 1.2 for `list`, or the error.
fn names(list: &str) -> Result<Vec<&'static str>, String> {
    let choice = tls12(list)?;
    let name = |suite: &SupportedCipherSuite| {
        TLS12.iter().find(|known| known.0 == *suite).map_or("?", |known| known.1)
    };
    Ok(choice.offered.iter().map(name).collect())
}

const RSA_256: &str = "ECDHE-RSA-AES256-GCM-SHA384";
const RSA_128: &str = "ECDHE-RSA-AES128-GCM-SHA256";
const RSA_CHACHA: &str = "ECDHE-RSA-CHACHA20-POLY1305";

#[test]
fn names_and_keywords_choose_suites_in_their_order() {
    assert_eq!(names(&format!("{RSA_128}:{RSA_256}")).unwrap(), [RSA_128, RSA_256]);
    assert_eq!(names("ECDHE+aRSA+AESGCM").unwrap(), [RSA_256, RSA_128]);
    assert_eq!(names("ALL:!ECDSA:-AES").unwrap(), [RSA_CHACHA]);
    assert_eq!(names("aRSA:+AES256").unwrap(), [RSA_CHACHA, RSA_128, RSA_256]);
    assert_eq!(names("").unwrap().len(), TLS12.len());
    assert_eq!(names("HIGH:!aNULL:!MD5:!3DES:@STRENGTH").unwrap().len(), TLS12.len());
    assert_eq!(names("DEFAULT:-AES128-SHA256").unwrap().len(), TLS12.len());
    assert_eq!(names("DEFAULT@x").unwrap_err(), names("AES128-SHA").unwrap_err());
}

#[test]
fn a_banned_suite_stays_out() {
    assert_eq!(names("!AES128:aRSA").unwrap(), [RSA_256, RSA_CHACHA]);
    assert_eq!(names("aRSA:-AES128:aRSA").unwrap(), [RSA_256, RSA_CHACHA, RSA_128]);
}

#[test]
fn what_is_missing_is_named_and_nothing_but_that_is_refused() {
    let choice = tls12(&format!("AES128-SHA256:{RSA_256}:DHE-RSA-AES256-SHA")).unwrap();
    assert_eq!(choice.lacking, ["AES128-SHA256", "DHE-RSA-AES256-SHA"]);
    for list in ["AES128-SHA256", "kRSA", "DHE:PSK", "ALL:!ALL", "SHA256", "eNULL"] {
        assert!(names(list).is_err(), "{list}");
    }
}

#[test]
fn no_more_strength_is_promised_than_there_is() {
    assert!(names("DEFAULT:@SECLEVEL=2").is_ok());
    assert!(names("DEFAULT:@SECLEVEL=3").unwrap_err().contains("security level 3"));
    assert!(names("DEFAULT:@OTHER").is_err());
}

#[test]
fn suites_of_tls_1_3_are_chosen_by_name() {
    assert_eq!(tls13("").unwrap().offered.len(), TLS13.len());
    let choice = tls13("TLS_AES_128_CCM_SHA256:TLS_AES_128_GCM_SHA256").unwrap();
    assert_eq!(choice.offered, [suite::TLS13_AES_128_GCM_SHA256]);
    assert_eq!(choice.lacking, ["TLS_AES_128_CCM_SHA256"]);
    assert!(tls13("TLS_AES_128_CCM_SHA256").is_err());
}

#[test]
fn versions_older_than_1_2_are_left_out() {
    let versions = |list| protocols(list).map(|choice| choice.offered);
    assert_eq!(versions("").unwrap(), [&version::TLS13, &version::TLS12]);
    assert_eq!(versions("TLSv1.2").unwrap(), [&version::TLS12]);
    assert_eq!(versions("tlsv1 TLSv1.1 TLSv1.3").unwrap(), [&version::TLS13]);
    assert!(versions("TLSv1 TLSv1.1").is_err());
    assert!(versions("TLSv1.2 SSLv3").unwrap_err().contains("Invalid tls-protocols"));
}
