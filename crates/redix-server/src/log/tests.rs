use super::*;

/// 9 September 2001 01:46:40.042 UTC; the minutes and seconds are the same in most zones.
const UNIX_MS: i64 = 1_000_000_000_042;

fn line_of(form: LogFormat, time: LogTimestamp, level: Level, text: &str) -> String {
    line(form, time, &Stamp { unix_ms: UNIX_MS, pid: 7, replica: false, level }, text)
}

#[test]
fn a_replica_has_a_role_of_its_own() {
    let stamp = Stamp { unix_ms: UNIX_MS, pid: 7, replica: true, level: Level::Notice };
    let line = |form| line(form, LogTimestamp::Milliseconds, &stamp, "x");
    assert_eq!(line(LogFormat::Legacy), format!("7:S {UNIX_MS} * x\n"));
    assert!(line(LogFormat::Logfmt).starts_with("pid=7 role=replica "));
    assert!(line(LogFormat::Json).contains("\"role\":\"replica\""));
}

#[test]
fn legacy_lines_have_pid_role_date_level_and_text() {
    let line = line_of(LogFormat::Legacy, LogTimestamp::Legacy, Level::Warning, "a \"b\"");
    let (head, rest) = line.split_at("7:M ".len());
    assert_eq!(head, "7:M ");
    assert!(rest.contains(" Sep 2001 "), "{line}");
    assert!(rest.ends_with(":40.042 # a \"b\"\n"), "{line}");
}

#[test]
fn every_level_has_its_mark() {
    for (level, mark) in
        [(Level::Debug, '.'), (Level::Verbose, '-'), (Level::Notice, '*'), (Level::Warning, '#')]
    {
        let line = line_of(LogFormat::Legacy, LogTimestamp::Milliseconds, level, "x");
        assert_eq!(line, format!("7:M {UNIX_MS} {mark} x\n"));
    }
}

#[test]
fn other_forms_escape_the_text() {
    let line =
        line_of(LogFormat::Logfmt, LogTimestamp::Milliseconds, Level::Notice, "a \"b\"\n\u{1}");
    let expected = "pid=7 role=primary timestamp=\"1000000000042\" level=notice \
                    message=\"a \\\"b\\\"\\n\\u0001\"\n";
    assert_eq!(line, expected);
    let line = line_of(LogFormat::Json, LogTimestamp::Milliseconds, Level::Debug, "\\\u{8}\u{c}");
    let expected = "{\"pid\":7,\"role\":\"primary\",\"timestamp\":\"1000000000042\",\
                    \"level\":\"debug\",\"message\":\"\\\\\\b\\f\"}\n";
    assert_eq!(line, expected);
}

#[test]
fn iso_times_end_with_the_zone() {
    let time = timestamp(LogTimestamp::Iso8601, UNIX_MS);
    assert!(time.starts_with("2001-09-"), "{time}");
    assert!(time[19..].starts_with(".042"), "{time}");
    assert_eq!(time.len(), "2001-09-09T01:46:40.042+00:00".len());
}
